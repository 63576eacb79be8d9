"""Grammars in llama.cpp's notation, rule by rule. What is written twice becomes one rule."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from antiphon.schemas.regular import Language, Span
from antiphon.schemas.steps import STEPS, Steps, TooComplexError

ROOT: Final = "root"
LARGEST: Final = 1_000_000
"""Characters of a grammar that is sent."""

SHARE: Final = 250_000
"""Characters of it for one schema."""

TOTAL: Final = 4 * STEPS
"""Steps that all schemas of a grammar may take: a few seconds at most, as a rule milliseconds."""

AUTOMATA: Final = 1_000_000
"""Steps of all automata of a grammar, a fifth of a second; strings beyond are left to the check."""

COMMA: Final = '", "'
NEXT: Final = f" {COMMA} "

_ESCAPES: Final = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_IN_CLASS: Final = str.maketrans(
    {"]": "\\]", "[": "\\[", "^": "\\x5E", "-": "\\x2D", "\\": "\\\\", "\n": "\\n", "\r": "\\r",
     "\t": "\\t"}
)  # fmt: skip
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|(r[0-9]+)')


class Rules:
    """The rules of one grammar in the making.

    Raises `TooComplexError` where it grows beyond what llama.cpp should be asked to read for one
    answer, or takes more work than one answer is worth.
    """

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._named: dict[str, str] = {}
        self._size = 0
        self._limit = LARGEST
        # What the rules of some languages and numbers are called.
        self.languages: dict[Language, str | None] = {}
        self.automata = Steps(AUTOMATA)
        self.steps = Steps()
        self._spent = 0
        self.numbers: dict[tuple[int, int, int, int], str] = {}

    def __len__(self) -> int:
        return len(self._rules)

    @property
    def size(self) -> int:
        """How many characters they have."""
        return self._size

    @contextmanager
    def share(self) -> Iterator[None]:
        """Give one schema its share of characters and steps; what comes of more is not sent.

        Raises `TooComplexError` if the schema needs more.
        """
        before, self._limit = self._limit, self._size + SHARE
        self.steps = Steps(min(STEPS, TOTAL - self._spent))
        try:
            yield
        finally:
            self._limit = max(before, self._size + SHARE)
            self._spent += self.steps.taken

    @property
    def is_spent(self) -> bool:
        """Whether the schemas so far have taken all steps there are."""
        return self._spent >= TOTAL

    def add(self, body: str) -> str:
        """Name what `body` says; the same body has the same name."""
        if body in self._rules:
            return body
        name = self._named.get(body)
        if name is None:
            name = self._named[body] = self.reserve()
            self.define(name, body)
        return name

    def reserve(self) -> str:
        """Make a name for a rule that speaks of itself; `define` says what it is."""
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
        """Write the grammar of `root`: the rules that it needs, and no others."""
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

    def until(self, ending: str, then: str | None = None, *, may_end: bool = False) -> str:
        """Name any text up to the first `ending`, and what follows it.

        With `may_end` the text may also end without; with no `then` the ending cannot come. The
        first character of `ending` must not be in it again: then having read a part of it means
        to be at one place in it, and a rule for each place is enough.
        """
        states = [self.reserve() for _ in ending]
        following = [*states[1:], then]
        for place, state in enumerate(states):
            ways = ['""'] if may_end else []
            if following[place] is not None:
                ways.append(f"{literal(ending[place])} {following[place]}")
            if place:
                ways.append(f"{literal(ending[0])} {following[0]}")
            ways.append(f"{_none_of({ending[0], ending[place]})} {states[0]}")
            self.define(state, " | ".join(ways))
        return states[0]


def literal(text: str) -> str:
    """Write a text that has to come as it stands."""
    return f'"{text.translate(_ESCAPES)}"'


def either(ways: Iterable[str]) -> str:
    """Write that one of `ways` has to come."""
    different = list(dict.fromkeys(ways))
    return different[0] if len(different) == 1 else f"({' | '.join(different)})"


def one_of(spans: Iterable[Span]) -> str:
    """Write that one character of `spans` has to come."""
    return f"[{''.join(_span(*span) for span in spans)}]"


def times(body: str, least: int, most: int | None) -> str:
    """Write that `body`, one name or class, has to come so many times."""
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
