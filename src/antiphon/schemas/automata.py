"""Languages as states and the moves between them, made only as far as somebody walks.

The states are those that derivatives lead to: see `regular`. Here each part of a language is one
number, whatever it holds, and where it leads is worked out once; so a language with many ways that
share their ends, as a pattern that is found anywhere in a text has them, costs their number and not
their length. What is done is counted in steps; so is each character of a text that is walked.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from antiphon.schemas.regular import (
    ALL,
    ANY,
    END,
    Alt,
    Both,
    Cat,
    Chars,
    Language,
    Not,
    Span,
    chars,
)
from antiphon.schemas.steps import Steps

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


class _Empty(msgspec.Struct, frozen=True):
    pass


class _One(msgspec.Struct, frozen=True):
    """One character, of these classes: a bit for each."""

    classes: int


class _Then(msgspec.Struct, frozen=True):
    first: int
    rest: int


class _Any(msgspec.Struct, frozen=True):
    ways: frozenset[int]


class _All(msgspec.Struct, frozen=True):
    sides: frozenset[int]


class _Not(msgspec.Struct, frozen=True):
    of: int


class _Times(msgspec.Struct, frozen=True):
    of: int
    least: int
    most: int | None


_Part: TypeAlias = _Empty | _One | _Then | _Any | _All | _Not | _Times
_Moves: TypeAlias = Sequence[tuple[int, int]]
"""Classes of characters, and the part that they lead to."""


class Automaton:
    """The states of one language, numbered in the order in which they are found."""

    def __init__(self, of: Language, steps: Steps | None = None) -> None:
        self._steps = steps or Steps()
        self._edges = sorted({edge for low, high in _spans(of) for edge in (low, high + 1)})
        # The last edge is where no character is left.
        self._everything = (1 << (len(self._edges) - 1)) - 1
        self._parts: list[_Part] = []
        self._nullable: list[bool] = []
        self._numbers: dict[_Part, int] = {}
        self._ways: dict[int, _Moves] = {}
        self._moves: dict[int, _Moves] = {}
        self._leads: dict[tuple[int, int], int] = {}
        self._written: dict[int, tuple[Span, ...]] = {}
        self._empty = self._number(_Empty())
        self._nothing = self._number(_Any(frozenset()))
        self._rest = self._number(_Times(self._number(_One(self._classes(ALL.spans))), 0, None))
        self._text = self._classes(ANY.spans)
        self.start = self._read(of)

    def moves(self, state: int) -> list[tuple[int, tuple[Span, ...]]]:
        """Return where a next character of a text leads, and the characters that lead there."""
        found: dict[int, int] = {}
        for classes, to in self._certain(state):
            if classes & self._text and to != self._nothing:
                found[to] = found.get(to, 0) | (classes & self._text)
        return [(to, self._spans(classes)) for to, classes in found.items()]

    def accepts(self, state: int) -> bool:
        """Whether a text that has led to `state` may end there."""
        return self._nullable[self._after(state, END)]

    def matches(self, text: str) -> bool:
        """Whether `text`, up to its end, is in the language."""
        self._steps.take(1 + len(text))
        state = self.start
        for char in text:
            state = self._after(state, ord(char))
            if state in (self._nothing, self._rest):
                return state == self._rest
        return self.accepts(state)

    def _after(self, state: int, char: int) -> int:
        key = (state, bisect_right(self._edges, char))
        known = self._leads.get(key)
        if known is None:
            bit = 1 << (key[1] - 1)
            known = next(
                (to for classes, to in self._certain(state) if classes & bit), self._nothing
            )
            self._leads[key] = known
        return known

    def _classes(self, spans: Iterable[Span]) -> int:
        """Say which classes are those of `spans`; their edges are edges of classes."""
        found = 0
        for low, high in spans:
            first, end = bisect_right(self._edges, low) - 1, bisect_right(self._edges, high)
            found |= (1 << end) - (1 << first)
        return found

    def _spans(self, classes: int) -> tuple[Span, ...]:
        if classes not in self._written:
            joined = chars(
                (self._edges[place], self._edges[place + 1] - 1)
                for place in range(classes.bit_length())
                if classes >> place & 1
            )
            self._written[classes] = joined.spans if isinstance(joined, Chars) else ()
        return self._written[classes]

    def _read(self, of: Language) -> int:
        self._steps.take()
        match of:
            case Chars(spans):
                return self._number(_One(self._classes(spans)))
            case Cat(parts):
                found = self._empty
                for part in reversed(parts):
                    found = self._then(self._read(part), found)
                return found
            case Alt(ways):
                return self._either(map(self._read, ways))
            case Both(sides):
                return self._both(map(self._read, sides))
            case Not(other):
                return self._neither(self._read(other))
        return self._number(_Times(self._read(of.of), of.least, of.most))

    def _number(self, part: _Part) -> int:
        known = self._numbers.get(part)
        if known is None:
            known = self._numbers[part] = len(self._parts)
            self._parts.append(part)
            self._nullable.append(self._holds_empty(part))
        return known

    def _holds_empty(self, part: _Part) -> bool:
        known = self._nullable
        match part:
            case _Then(first, rest):
                return known[first] and known[rest]
            case _Any(ways):
                return any(known[way] for way in ways)
            case _All(sides):
                return all(known[side] for side in sides)
            case _Not(of):
                return not known[of]
            case _Times(of, least):
                return least == 0 or known[of]
        return isinstance(part, _Empty)

    def _then(self, first: int, rest: int) -> int:
        if self._nothing in (first, rest):
            return self._nothing
        if first == self._empty:
            return rest
        return first if rest == self._empty else self._number(_Then(first, rest))

    def _times(self, of: int, least: int, most: int | None) -> int:
        if most == 0:
            return self._empty
        return of if (least, most) == (1, 1) else self._number(_Times(of, least, most))

    def _either(self, ways: Iterable[int]) -> int:
        flat: set[int] = set()
        for way in ways:
            part = self._parts[way]
            if isinstance(part, _Any):
                flat |= part.ways
                self._steps.take(len(part.ways))
            else:
                flat.add(way)
        if self._rest in flat:
            return self._rest
        return next(iter(flat)) if len(flat) == 1 else self._number(_Any(frozenset(flat)))

    def _both(self, sides: Iterable[int]) -> int:
        flat: set[int] = set()
        for side in sides:
            part = self._parts[side]
            flat |= part.sides if isinstance(part, _All) else {side}
        flat.discard(self._rest)
        if self._nothing in flat:
            return self._nothing
        if not flat:
            return self._rest
        return next(iter(flat)) if len(flat) == 1 else self._number(_All(frozenset(flat)))

    def _neither(self, of: int) -> int:
        if of in (self._nothing, self._rest):
            return self._rest if of == self._nothing else self._nothing
        part = self._parts[of]
        return part.of if isinstance(part, _Not) else self._number(_Not(of))

    def _certain(self, state: int) -> _Moves:
        """Work out where each class of characters leads: no class comes twice."""
        if state not in self._moves:
            self._moves[state] = self._worked_out(state)
        return self._moves[state]

    def _worked_out(self, state: int) -> _Moves:
        match self._parts[state]:
            case _All(sides):
                return self._shared([self._certain(side) for side in sides])
            case _Not(of):
                known = self._certain(of)
                rest = self._everything
                for classes, _ in known:
                    rest &= ~classes
                moves = [(classes, self._neither(to)) for classes, to in known]
                return [*moves, (rest, self._rest)] if rest else moves
        return self._united(self._possible(state))

    def _shared(self, sides: Sequence[_Moves]) -> _Moves:
        """Join the moves of parts that must all be walked."""
        found: list[tuple[int, tuple[int, ...]]] = [(self._everything, ())]
        for moves in sides:
            self._steps.take(len(found) * len(moves))
            found = [
                (held & classes, (*others, to))
                for held, others in found
                for classes, to in moves
                if held & classes
            ]
        return [(classes, self._both(leads)) for classes, leads in found]

    def _united(self, moves: _Moves) -> _Moves:
        """Join the moves of parts of which any may be walked."""
        self._steps.take(len(moves))
        alike: dict[int, list[int]] = {}
        for classes, to in moves:
            alike.setdefault(classes, []).append(to)
        found: list[tuple[int, list[int]]] = []
        covered = 0
        for classes, leads in alike.items():
            if classes & covered:
                self._steps.take(len(found))
                found = [*_split(found, classes, leads)]
            if classes & ~covered:
                found.append((classes & ~covered, leads))
            covered |= classes
        return [(classes, self._either(leads)) for classes, leads in found]

    def _possible(self, part: int) -> _Moves:
        """Work out where a part leads, each of its ways for itself."""
        if part not in self._ways:
            # The rests of a long chain first: each needs that of the next.
            for one in reversed([*self._chain(part)]):
                self._ways[one] = self._listed(one)
                self._steps.take(len(self._ways[one]))
        return self._ways[part]

    def _chain(self, part: int) -> Iterator[int]:
        """Yield a part and what may begin in its place, as long as nothing need come before."""
        while part not in self._ways:
            yield part
            found = self._parts[part]
            if not isinstance(found, _Then) or not self._nullable[found.first]:
                return
            part = found.rest

    def _listed(self, part: int) -> _Moves:
        match self._parts[part]:
            case _Empty():
                return ()
            case _One(classes):
                return ((classes, self._empty),)
            case _Then(first, rest):
                moves = [(on, self._then(to, rest)) for on, to in self._possible(first)]
                return [*moves, *self._possible(rest)] if self._nullable[first] else moves
            case _Any(ways):
                return [move for way in ways for move in self._possible(way)]
            case _Times(of, least, most):
                left = self._times(of, max(0, least - 1), None if most is None else most - 1)
                return [(on, self._then(to, left)) for on, to in self._possible(of)]
        return self._certain(part)


def matches(of: Language, text: str, steps: Steps | None = None) -> bool:
    """Whether `text`, up to its end, is in `of`."""
    return Automaton(of, steps).matches(text)


def shortest(automaton: Automaton, states: int = 2000) -> str | None:
    """Return a text of a language, as short as may be; no more than so many states are tried."""
    waiting = deque([("", automaton.start)])
    seen = {automaton.start}
    while waiting and len(seen) <= states:
        text, state = waiting.popleft()
        if automaton.accepts(state):
            return text
        for to, spans in sorted(automaton.moves(state), key=lambda move: move[1]):
            if to not in seen:
                seen.add(to)
                waiting.append((text + _shown(spans)[0], to))
    return None


def texts(automaton: Automaton, tries: int = 500) -> Iterator[str]:
    """Yield texts of a language, short ones first and of letters where there is a choice.

    No more than so many beginnings of texts are tried.
    """
    waiting = deque([("", automaton.start)])
    for _ in range(tries):
        if not waiting:
            return
        text, state = waiting.popleft()
        if automaton.accepts(state):
            yield text
        for to, spans in sorted(automaton.moves(state), key=lambda move: move[1]):
            waiting.extend((text + char, to) for char in _shown(spans))


def _shown(spans: tuple[Span, ...]) -> str:
    found = "".join(one for one in _LETTERS if any(low <= ord(one) <= high for low, high in spans))
    return found[:8] or chr(spans[0][0])


def _split(
    found: Sequence[tuple[int, list[int]]], classes: int, leads: list[int]
) -> Iterator[tuple[int, list[int]]]:
    """Have those of `classes` lead to `leads`, too."""
    for held, others in found:
        if held & classes:
            yield held & classes, [*others, *leads]
        if held & ~classes:
            yield held & ~classes, others


def _spans(of: Language) -> Iterator[Span]:
    """Yield all spans of characters that a language speaks of, and of what it need not."""
    yield from (*ALL.spans, *ANY.spans, (END, END))
    waiting = [of]
    while waiting:
        match one := waiting.pop():
            case Chars(spans):
                yield from spans
            case Cat(many) | Alt(many) | Both(many):
                waiting.extend(many)
            case _:
                waiting.append(one.of)
