"""The tools that a search of this server may find, and the order in which it finds them.

Names, descriptions, and the names and descriptions of arguments are searched. A tool whose name
fits comes before one whose description does, and that before one of whose arguments something fits.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import log
from typing import Any, Final

from antiphon.core.prompt import Tool

MOST_FOUND: Final = 5
"""The most tools that one search finds."""
LONGEST_PATTERN: Final = 200
LONGEST_QUERY: Final = 500

MOST_ARGUMENTS: Final = 500
"""The most arguments of one tool that are searched, also inside of others."""

LONGEST_TEXT: Final = 10_000
"""The characters of a name or a description that are searched."""

# The usual constants of BM25: how soon repeated words count no more, and how much length does.
_SATURATION: Final = 1.2
_LENGTH: Final = 0.75
# A word of the name says more of a tool than one of an argument.
_WEIGHTS: Final = (3, 2, 1)

# Words that every description has.
_STOP_WORDS: Final = frozenset(
    {
        *("a", "an", "and", "are", "at", "be", "by", "can", "do", "for", "from", "how", "i", "in"),
        *("is", "it", "me", "my", "of", "on", "or", "that", "the", "thi", "to", "tool", "what"),
        *("which", "with", "you"),
    }
)
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")


class SearchTooLongError(Exception):
    """A search has taken longer than it may."""


class Catalogue:
    """Tools in the order of a request.

    `is_late` is asked before each tool and each text whether the search has taken too long, which
    raises `SearchTooLongError`.
    """

    def __init__(self, tools: Sequence[Tool], is_late: Callable[[], bool]) -> None:
        self._tools = tools
        self._is_late = is_late
        self._counted: list[Counter[str]] = []

    def matching(self, matches: Callable[[str], bool]) -> tuple[str, ...]:
        """Return the names of the first tools with a text that matches."""
        ranks: list[list[str]] = [[], [], []]

        def fits(text: str) -> bool:
            self._go_on()
            return matches(text)

        for tool in self._tools:
            name, fields = tool.name, self._fields(tool)
            rank = next((i for i, texts in enumerate(fields) if any(map(fits, texts))), None)
            if rank is not None:
                ranks[rank].append(name)
                if len(ranks[0]) == MOST_FOUND:
                    break
        return tuple(name for rank in ranks for name in rank)[:MOST_FOUND]

    def ranked(self, query: str) -> tuple[str, ...]:
        """Return the names of the tools that fit the words of a query best (BM25)."""
        asked = set(words_of(query)) - _STOP_WORDS
        counts = self._counts()
        if not asked or not counts:
            return ()
        mean = sum(map(Counter.total, counts)) / len(counts) or 1.0
        weights = {
            word: log(1 + (len(counts) - rare + 0.5) / (rare + 0.5))
            for word in asked
            if (rare := sum(word in count for count in counts))
        }
        scored: list[tuple[float, int, str]] = []
        for tool, count in zip(self._tools, counts, strict=True):
            self._go_on()
            long = _SATURATION * (1 - _LENGTH + _LENGTH * count.total() / mean)
            score = sum(
                weight * count[word] * (_SATURATION + 1) / (count[word] + long)
                for word, weight in weights.items()
            )
            if score:
                scored.append((-score, len(scored), tool.name))
        return tuple(name for _, _, name in sorted(scored)[:MOST_FOUND])

    def _fields(self, tool: Tool) -> tuple[Sequence[str], ...]:
        self._go_on()
        described = (tool.description or "")[:LONGEST_TEXT]
        return (tool.name,), (described,), tuple(_arguments(tool))

    def _go_on(self) -> None:
        if self._is_late():
            raise SearchTooLongError

    def _counts(self) -> Sequence[Counter[str]]:
        """Count the words of each tool. A search that is late leaves the rest to the next one."""
        for tool in self._tools[len(self._counted) :]:
            count: Counter[str] = Counter()
            for weight, texts in zip(_WEIGHTS, self._fields(tool), strict=True):
                for text in texts:
                    self._go_on()
                    for word in words_of(text):
                        count[word] += weight
            self._counted.append(count)
        return self._counted


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case: parts of `snake_case` and `camelCase` alike.

    The plural of a word is the word.
    """
    words = (word.lower() for word in _WORDS.findall(text))
    return [word.removesuffix("s") if len(word) > 3 else word for word in words]  # noqa: PLR2004


def _arguments(tool: Tool) -> Iterator[str]:
    """Yield the names and the descriptions of the arguments of a tool, at every depth."""
    schemas: list[Any] = [tool.input_schema]
    left = MOST_ARGUMENTS
    while schemas and left:
        schema = schemas.pop()
        if not isinstance(schema, Mapping):
            continue
        properties = schema.get("properties")
        if isinstance(properties, Mapping):
            for name, argument in properties.items():
                yield str(name)[:LONGEST_TEXT]
                described = argument.get("description") if isinstance(argument, Mapping) else None
                if isinstance(described, str):
                    yield described[:LONGEST_TEXT]
                schemas.append(argument)
                left -= 1
                if not left:
                    break
        schemas.append(schema.get("items"))
