"""Grammars of llama.cpp without llama.cpp: draws texts that one allows, and checks texts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

TOKEN = re.compile(
    r'\s+|"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{\d+(?:,\d*)?\}|r\d+|root|::=|[()|*?+]'
)
CODE = re.compile(r"\\x([0-9A-F]{2})|\\u([0-9A-F]{4})|\\U([0-9A-F]{8})|\\(.)|(.)", re.DOTALL)
LETTERS = {"n": "\n", "r": "\r", "t": "\t"}
SHOWN = [(32, 126), (160, 700), (0x1F600, 0x1F640)]
"""The ranges from which most characters are drawn, where the grammar allows them."""


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Class:
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Sequence:
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Choice:
    ways: tuple["Node", ...]


@dataclass(frozen=True)
class Times:
    of: "Node"
    least: int
    most: int | None


Node = Text | Class | Name | Sequence | Choice | Times


class Grammar:
    """A grammar, parsed from its text."""

    def __init__(self, text: str) -> None:
        self.rules: dict[str, Node] = {}
        for line in filter(None, text.split("\n")):
            name, _, body = line.partition(" ::= ")
            self.rules[name] = _Body(body).ways()
        self._heights = self._grown()

    def draw(self, seed: int, *, patience: int = 40) -> str:
        """Draw a text; `patience` steps deep, always take the shortest way to an end."""
        return self._draw(Name("root"), Random(seed), patience)  # noqa: S311 - no secret

    def allows(self, text: str) -> bool:
        return len(text) in self._ends(Name("root"), text, {0})

    def _grown(self) -> dict[str, float]:
        """Return the depth of the shallowest text of each rule."""
        heights = dict.fromkeys(self.rules, float("inf"))
        changed = True
        while changed:
            changed = False
            for name, body in self.rules.items():
                height = 1 + _height(body, heights)
                if height < heights[name]:
                    heights[name] = height
                    changed = True
        return heights

    def _draw(self, node: Node, random: Random, patience: int) -> str:
        match node:
            case Text(text):
                return text
            case Class(spans):
                return _character(spans, random)
            case Name(name):
                return self._draw(self.rules[name], random, patience - 1)
            case Sequence(parts):
                return "".join(self._draw(part, random, patience) for part in parts)
            case Choice(ways):
                return self._draw(self._way(ways, random, patience), random, patience)
            case Times(of, least, most):
                more = 0 if patience <= 0 else random.choice((0, 0, 1, 1, 2, 5))
                count = least + more if most is None else min(most, least + more)
                return "".join(self._draw(of, random, patience) for _ in range(count))

    def _way(self, ways: tuple[Node, ...], random: Random, patience: int) -> Node:
        finite = [way for way in ways if _height(way, self._heights) < float("inf")]
        if patience > 0:
            return random.choice(finite)
        return min(finite, key=lambda way: _height(way, self._heights))

    def _ends(self, node: Node, text: str, starts: set[int]) -> set[int]:
        """Return where texts of `node` that begin at one of `starts` may end."""
        match node:
            case Text(own):
                return {at + len(own) for at in starts if text.startswith(own, at)}
            case Class(spans):
                return {
                    at + 1
                    for at in starts
                    if at < len(text) and any(low <= ord(text[at]) <= high for low, high in spans)
                }
            case Name(name):
                return self._ends(self.rules[name], text, starts) if starts else set()
            case Sequence(parts):
                for part in parts:
                    starts = self._ends(part, text, starts)
                return starts
            case Choice(ways):
                return set().union(*(self._ends(way, text, starts) for way in ways))
            case Times(of, least, most):
                return self._repeated(of, least, most, text, starts)

    def _repeated(
        self, of: Node, least: int, most: int | None, text: str, starts: set[int]
    ) -> set[int]:
        found = set(starts) if least == 0 else set()
        count = 0
        while starts and (most is None or count < most):
            count += 1
            new = self._ends(of, text, starts)
            starts = new - found if count > least else new
            if count >= least:
                found |= new
        return found


class _Body:
    """Parses the right side of a rule."""

    def __init__(self, text: str) -> None:
        self._tokens = [one[0] for one in TOKEN.finditer(text) if one[0].strip()]
        assert "".join(self._tokens) == _squeezed(text), text
        self._at = 0

    def ways(self) -> Node:
        found = [self._sequence()]
        while self._sees("|"):
            self._at += 1
            found.append(self._sequence())
        return found[0] if len(found) == 1 else Choice(tuple(found))

    def _sees(self, *tokens: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] in tokens

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._at < len(self._tokens) and not self._sees("|", ")"):
            parts.append(self._counted(self._one()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _one(self) -> Node:
        token = self._tokens[self._at]
        self._at += 1
        if token == "(":
            found = self.ways()
            assert self._sees(")")
            self._at += 1
            return found
        if token[0] == '"':
            return Text("".join(chr(code) for code, _ in _codes(token[1:-1])))
        return _class(token[1:-1]) if token[0] == "[" else Name(token)

    def _counted(self, of: Node) -> Node:
        if self._at == len(self._tokens):
            return of
        mark = self._tokens[self._at]
        if mark not in "*?+" and mark[0] != "{":
            return of
        self._at += 1
        if mark[0] == "{":
            least, comma, most = mark[1:-1].partition(",")
            return Times(of, int(least), int(most) if most else None if comma else int(least))
        return Times(of, int(mark == "+"), 1 if mark == "?" else None)


def _squeezed(text: str) -> str:
    """Remove the spaces between tokens."""
    return "".join(one[0] if one[0].strip() else "" for one in re.finditer(
        r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|.', text))  # fmt: skip


def _codes(text: str) -> Iterator[tuple[int, bool]]:
    """Yield each code point, and whether a backslash was before it."""
    for found in CODE.finditer(text):
        digits = found[1] or found[2] or found[3]
        if digits:
            yield int(digits, 16), True
        elif found[4]:
            yield ord(LETTERS.get(found[4], found[4])), True
        else:
            yield ord(found[5]), False


def _class(text: str) -> Class:
    negated = text.startswith("^")
    codes = list(_codes(text.removeprefix("^")))
    spans: list[tuple[int, int]] = []
    while codes:
        low, _ = codes.pop(0)
        high = low
        if len(codes) > 1 and codes[0] == (ord("-"), False):
            high, _ = codes[1]
            del codes[:2]
        assert low <= high, text
        spans.append((low, high))
    return Class(tuple(_others(spans)) if negated else tuple(spans))


def _others(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    start = 0
    for low, high in sorted(spans):
        if low > start:
            yield start, low - 1
        start = max(start, high + 1)
    yield start, 0x10FFFF


def _character(spans: tuple[tuple[int, int], ...], random: Random) -> str:
    shown = [
        (max(low, first), min(high, last))
        for low, high in spans
        for first, last in SHOWN
        if max(low, first) <= min(high, last)
    ]
    low, high = random.choice(shown or spans)
    code = random.randint(low, high)
    return chr(code if not 0xD800 <= code < 0xE000 else 0xE000)


def _height(node: Node, heights: dict[str, float]) -> float:
    match node:
        case Name(name):
            return heights[name]
        case Sequence(parts):
            return max((_height(part, heights) for part in parts), default=0)
        case Choice(ways):
            return min(_height(way, heights) for way in ways)
        case Times(of, least, _):
            return _height(of, heights) if least else 0
    return 0
