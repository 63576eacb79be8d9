"""Grammars in llama.cpp's notation, rule by rule. What is written twice becomes one rule."""

from collections.abc import Iterable
from typing import Final

ROOT: Final = "root"
_ESCAPES: Final = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_IN_CLASS: Final = str.maketrans(
    {"]": "\\]", "[": "\\[", "^": "\\x5E", "-": "\\x2D", "\\": "\\\\", "\n": "\\n", "\r": "\\r",
     "\t": "\\t"}
)  # fmt: skip


class Rules:
    """The rules of one grammar in the making."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._named: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._rules)

    def add(self, body: str) -> str:
        """Name what `body` says; the same body has the same name."""
        if body in self._rules:
            return body
        name = self._named.get(body)
        if name is None:
            name = self._named[body] = self.reserve()
            self._rules[name] = body
        return name

    def reserve(self) -> str:
        """Make a name for a rule that speaks of itself; `define` says what it is."""
        name = f"r{len(self._rules)}"
        self._rules[name] = '""'
        return name

    def define(self, name: str, body: str) -> str:
        self._rules[name] = body
        return name

    def text(self, root: str) -> str:
        lines = [f"{name} ::= {body}" for name, body in self._rules.items()]
        return "\n".join([f"{ROOT} ::= {root}", *lines, ""])

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


def _none_of(characters: set[str]) -> str:
    return f"[^{''.join(sorted(characters)).translate(_IN_CLASS)}]"
