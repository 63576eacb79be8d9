"""Grammars in the notation of llama.cpp, built rule by rule. Equal rules are written once."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from antiphon.schemas.regular import Language, Span
from antiphon.schemas.spelling import JSON, Quotes, Spelling
from antiphon.schemas.steps import STEPS, TooComplexError, Work

ROOT: Final = "root"
LARGEST: Final = 1_000_000
"""The maximum number of characters of a grammar."""

SHARE: Final = 250_000
"""The maximum number of characters that one schema may add to a grammar."""

TOTAL: Final = 4 * STEPS
"""Steps for all schemas of a grammar: seconds at most, usually milliseconds."""

AUTOMATA: Final = 1_000_000
"""Steps for all automata of a grammar: up to 0.25 s. Strings beyond are left to the check."""

INDENTATION: Final = 200
"""The maximum number of spaces at the beginning of a line of JSON."""

_ESCAPES: Final = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_IN_CLASS: Final = str.maketrans(
    {"]": "\\]", "[": "\\[", "^": "\\x5E", "-": "\\x2D", "\\": "\\\\", "\n": "\\n", "\r": "\\r",
     "\t": "\\t"}
)  # fmt: skip
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|(r[0-9]+)')


class Rules:
    """Builds the rules of one grammar.

    Raises `TooComplexError` if the grammar becomes too large, or takes too many steps.
    """

    def __init__(self, work: Work | None = None) -> None:
        self._work = work or Work()
        self._rules: dict[str, str] = {}
        self._named: dict[str, str] = {}
        self._size = 0
        self._limit = LARGEST
        # The names of the rules for languages and ranges of numbers that have been written.
        self.languages: dict[tuple[Language, Quotes], str | None] = {}
        self.spelling = JSON
        self.automata = self._work.budget(AUTOMATA)
        self.steps = self._work.budget()
        self._spent = 0
        self.numbers: dict[tuple[int, int, int, int], str] = {}

    def __len__(self) -> int:
        return len(self._rules)

    @property
    def size(self) -> int:
        """The number of characters of all rules."""
        return self._size

    @contextmanager
    def share(self) -> Iterator[None]:
        """Limit the rules of one schema to its share of characters and steps.

        Raises `TooComplexError` if the schema needs more.
        """
        before, self._limit = self._limit, self._size + SHARE
        self.steps = self._work.budget(min(STEPS, TOTAL - self._spent))
        try:
            yield
        finally:
            self._limit = max(before, self._size + SHARE)
            self._spent += self.steps.taken

    @contextmanager
    def spelled(self, spelling: Spelling) -> Iterator[None]:
        """Write the values of the rules that are added meanwhile in this spelling."""
        before, self.spelling = self.spelling, spelling
        try:
            yield
        finally:
            self.spelling = before

    @property
    def comma(self) -> str:
        """What stands between two items or properties."""
        if self.spelling.indent:
            return f'"," {self._line}'
        return literal(self.spelling.comma)

    @property
    def _line(self) -> str:
        # How deep a value stands is no matter of a grammar, as its rules are those of all places.
        return self.add(rf'"\n" " "{{0,{INDENTATION}}}')

    def opening(self, bracket: str) -> str:
        """Return what stands before the first item or property."""
        return f"{literal(bracket)} {self._line}?" if self.spelling.indent else literal(bracket)

    def closing(self, bracket: str) -> str:
        """Return what stands behind the last item or property."""
        return f"{self._line}? {literal(bracket)}" if self.spelling.indent else literal(bracket)

    @property
    def is_spent(self) -> bool:
        """Whether the schemas so far have used up the steps of the grammar."""
        return self._spent >= TOTAL

    def add(self, body: str) -> str:
        """Add a rule and return its name; equal bodies share one name."""
        if body in self._rules:
            return body
        name = self._named.get(body)
        if name is None:
            name = self._named[body] = self.reserve()
            self.define(name, body)
        return name

    def reserve(self) -> str:
        """Return the name of a new, possibly recursive rule; `define` sets its body."""
        name = f"r{len(self._rules)}"
        self._rules[name] = '""'
        return name

    def define(self, name: str, body: str) -> str:
        self._rules[name] = body
        self._size += len(body)
        if self._size > self._limit:
            raise TooComplexError
        return name

    def text(self, root: str) -> str:
        """Return the grammar that starts with `root`, with only the rules that it needs."""
        needed = dict.fromkeys(_names(root))
        waiting = list(needed)
        while waiting:
            new = [name for name in _names(self._rules[waiting.pop()]) if name not in needed]
            needed.update(dict.fromkeys(new))
            waiting.extend(new)
        lines = [f"{name} ::= {self._rules[name]}" for name in needed]
        text = "\n".join([f"{ROOT} ::= {root}", *lines, ""])
        if len(text) > LARGEST:
            raise TooComplexError
        return text

    def unless(self, beginning: str, then: str, other: str) -> str:
        """Return the rule for `beginning` and `then`, or for `other` that begins in another way.

        `other` may be empty, and so may the text as a whole.
        """
        following = then
        for character in reversed(beginning):
            apart = f"{_none_of({character})} {other}"
            following = self.add(f'"" | {literal(character)} {following} | {apart}')
        return following

    def until(
        self, ending: str, then: str | None = None, *, may_end: bool = False, opening: str = ""
    ) -> str:
        """Return the rule for `opening`, a text up to the first `ending`, and `then`.

        With `may_end` the text may also end without `ending`; without `then`, `ending` is excluded.
        There is a rule for each part of `ending` that the text may end with.
        """
        states = [self.reserve() for _ in ending]
        following = [*states, then]
        for index, state in enumerate(states):
            alternatives = ['""'] if may_end else []
            apart = set()
            for character in dict.fromkeys((ending[index], *ending[: index + 1])):
                begun = _begun(ending, ending[:index] + character)
                apart |= {character} if begun else set()
                if begun and following[begun] is not None:
                    alternatives.append(f"{literal(character)} {following[begun]}")
            alternatives.append(f"{_none_of(apart)} {states[0]}")
            self.define(state, " | ".join(alternatives))
        return f"{literal(opening)} {states[0]}" if opening else states[0]


def _begun(ending: str, text: str) -> int:
    """Return how much of `ending` a text ends with."""
    longest = min(len(text), len(ending))
    return next(n for n in range(longest, -1, -1) if text.endswith(ending[:n]))


def literal(text: str) -> str:
    """Return the terminal for exactly `text`."""
    return f'"{text.translate(_ESCAPES)}"'


def either(alternatives: Iterable[str]) -> str:
    """Return the alternation of `alternatives`."""
    different = list(dict.fromkeys(alternatives))
    return different[0] if len(different) == 1 else f"({' | '.join(different)})"


def one_of(spans: Iterable[Span]) -> str:
    """Return the character class of `spans`."""
    return f"[{''.join(_span(*span) for span in spans)}]"


def times(body: str, least: int, most: int | None) -> str:
    """Return `body`, a name or a class, repeated `least` to `most` times."""
    if most is not None:
        most = max(least, most)
    if (least, most) == (0, 0):
        return '""'
    if (least, most) == (1, 1):
        return body
    if (least, most) == (0, 1):
        return f"{body}?"
    if most is None:
        return f"{body}*" if least == 0 else f"{body}{{{least},}}"
    return f"{body}{{{least}}}" if least == most else f"{body}{{{least},{most}}}"


def _names(body: str) -> Iterable[str]:
    return (found[1] for found in _TOKEN.finditer(body) if found[1])


def _span(low: int, high: int) -> str:
    return _in_class(low) if low == high else f"{_in_class(low)}-{_in_class(high)}"


def _in_class(code: int) -> str:
    char = chr(code)
    if char.isascii() and char.isalnum():
        return char
    return f"\\U{code:08X}"


def _none_of(characters: set[str]) -> str:
    return f"[^{''.join(sorted(characters)).translate(_IN_CLASS)}]"
