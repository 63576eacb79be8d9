"""Automata of regular languages, built lazily: only the states that are visited exist.

The states are the derivatives of a language (see `regular`). Each distinct part of a language has a
number, and its moves are computed once; so a language whose alternatives share their ends, like an
unanchored pattern, costs their number and not their total length. The work is counted in steps, and
so is each character that is matched.
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
    """One character, of classes given as a bit set."""

    classes: int


class _Then(msgspec.Struct, frozen=True):
    first: int
    rest: int


class _Any(msgspec.Struct, frozen=True):
    alternatives: frozenset[int]


class _All(msgspec.Struct, frozen=True):
    languages: frozenset[int]


class _Not(msgspec.Struct, frozen=True):
    of: int


class _Times(msgspec.Struct, frozen=True):
    of: int
    least: int
    most: int | None


_Part: TypeAlias = _Empty | _One | _Then | _Any | _All | _Not | _Times
_Moves: TypeAlias = Sequence[tuple[int, int]]
"""Classes of characters, and the parts that they lead to."""


class Automaton:
    """The automaton of one language; its states are numbered as they are found."""

    def __init__(self, of: Language, steps: Steps | None = None) -> None:
        self._steps = steps or Steps()
        self._edges = sorted({edge for low, high in _spans(of) for edge in (low, high + 1)})
        # Beyond the last edge there is no character.
        self._everything = (1 << (len(self._edges) - 1)) - 1
        self._parts: list[_Part] = []
        self._nullable: list[bool] = []
        self._numbers: dict[_Part, int] = {}
        self._partial: dict[int, _Moves] = {}
        self._moves: dict[int, _Moves] = {}
        self._successors: dict[tuple[int, int], int] = {}
        self._spans_of: dict[int, tuple[Span, ...]] = {}
        self._empty = self._number(_Empty())
        self._nothing = self._number(_Any(frozenset()))
        self._rest = self._number(_Times(self._number(_One(self._classes(ALL.spans))), 0, None))
        self._text = self._classes(ANY.spans)
        self.start = self._read(of)

    def moves(self, state: int) -> list[tuple[int, tuple[Span, ...]]]:
        """Return the next states, each with the characters that lead to it."""
        found: dict[int, int] = {}
        for classes, to in self._moves_of(state):
            if classes & self._text and to != self._nothing:
                found[to] = found.get(to, 0) | (classes & self._text)
        return [(to, self._spans(classes)) for to, classes in found.items()]

    def accepts(self, state: int) -> bool:
        """Whether `state` is accepting: a text may end there."""
        return self._nullable[self._after(state, END)]

    def matches(self, text: str) -> bool:
        """Whether the language contains the whole of `text`."""
        self._steps.take(1 + len(text))
        state = self.start
        for char in text:
            state = self._after(state, ord(char))
            if state in (self._nothing, self._rest):
                return state == self._rest
        return self.accepts(state)

    def _after(self, state: int, char: int) -> int:
        key = (state, bisect_right(self._edges, char))
        known = self._successors.get(key)
        if known is None:
            bit = 1 << (key[1] - 1)
            known = next(
                (to for classes, to in self._moves_of(state) if classes & bit), self._nothing
            )
            self._successors[key] = known
        return known

    def _classes(self, spans: Iterable[Span]) -> int:
        """Return the classes of `spans`, whose edges are edges of classes."""
        found = 0
        for low, high in spans:
            first, end = bisect_right(self._edges, low) - 1, bisect_right(self._edges, high)
            found |= (1 << end) - (1 << first)
        return found

    def _spans(self, classes: int) -> tuple[Span, ...]:
        if classes not in self._spans_of:
            joined = chars(
                (self._edges[index], self._edges[index + 1] - 1)
                for index in range(classes.bit_length())
                if classes >> index & 1
            )
            self._spans_of[classes] = joined.spans if isinstance(joined, Chars) else ()
        return self._spans_of[classes]

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
            case Alt(alternatives):
                return self._either(map(self._read, alternatives))
            case Both(languages):
                return self._both(map(self._read, languages))
            case Not(other):
                return self._neither(self._read(other))
        return self._number(_Times(self._read(of.of), of.least, of.most))

    def _number(self, part: _Part) -> int:
        known = self._numbers.get(part)
        if known is None:
            known = self._numbers[part] = len(self._parts)
            self._parts.append(part)
            self._nullable.append(self._is_nullable(part))
        return known

    def _is_nullable(self, part: _Part) -> bool:
        known = self._nullable
        match part:
            case _Then(first, rest):
                return known[first] and known[rest]
            case _Any(alternatives):
                return any(known[alternative] for alternative in alternatives)
            case _All(languages):
                return all(known[language] for language in languages)
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

    def _either(self, alternatives: Iterable[int]) -> int:
        flat: set[int] = set()
        for alternative in alternatives:
            part = self._parts[alternative]
            if isinstance(part, _Any):
                flat |= part.alternatives
                self._steps.take(len(part.alternatives))
            else:
                flat.add(alternative)
        if self._rest in flat:
            return self._rest
        return next(iter(flat)) if len(flat) == 1 else self._number(_Any(frozenset(flat)))

    def _both(self, languages: Iterable[int]) -> int:
        flat: set[int] = set()
        for language in languages:
            part = self._parts[language]
            flat |= part.languages if isinstance(part, _All) else {language}
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

    def _moves_of(self, state: int) -> _Moves:
        """Return the deterministic moves of a state: each class occurs once."""
        if state not in self._moves:
            self._moves[state] = self._compute_moves(state)
        return self._moves[state]

    def _compute_moves(self, state: int) -> _Moves:
        match self._parts[state]:
            case _All(languages):
                return self._intersect_moves([self._moves_of(language) for language in languages])
            case _Not(of):
                known = self._moves_of(of)
                rest = self._everything
                for classes, _ in known:
                    rest &= ~classes
                moves = [(classes, self._neither(to)) for classes, to in known]
                return [*moves, (rest, self._rest)] if rest else moves
        return self._unite_moves(self._partial_moves(state))

    def _intersect_moves(self, languages: Sequence[_Moves]) -> _Moves:
        """Combine the moves of parts that must all match."""
        found: list[tuple[int, tuple[int, ...]]] = [(self._everything, ())]
        for moves in languages:
            self._steps.take(len(found) * len(moves))
            found = [
                (own & classes, (*others, to))
                for own, others in found
                for classes, to in moves
                if own & classes
            ]
        return [(classes, self._both(targets)) for classes, targets in found]

    def _unite_moves(self, moves: _Moves) -> _Moves:
        """Combine the moves of parts of which any may match."""
        self._steps.take(len(moves))
        alike: dict[int, list[int]] = {}
        for classes, to in moves:
            alike.setdefault(classes, []).append(to)
        found: list[tuple[int, list[int]]] = []
        covered = 0
        for classes, targets in alike.items():
            if classes & covered:
                self._steps.take(len(found))
                found = [*_split(found, classes, targets)]
            if classes & ~covered:
                found.append((classes & ~covered, targets))
            covered |= classes
        return [(classes, self._either(targets)) for classes, targets in found]

    def _partial_moves(self, part: int) -> _Moves:
        """Return the moves of a part, each alternative by itself: classes may occur repeatedly."""
        if part not in self._partial:
            # From the end of the chain: each part needs the moves of the next.
            for one in reversed([*self._chain(part)]):
                self._partial[one] = self._compute_partial_moves(one)
                self._steps.take(len(self._partial[one]))
        return self._partial[part]

    def _chain(self, part: int) -> Iterator[int]:
        """Yield a part and the rests that may start in its place, as its beginning is nullable."""
        while part not in self._partial:
            yield part
            found = self._parts[part]
            if not isinstance(found, _Then) or not self._nullable[found.first]:
                return
            part = found.rest

    def _compute_partial_moves(self, part: int) -> _Moves:
        match self._parts[part]:
            case _Empty():
                return ()
            case _One(classes):
                return ((classes, self._empty),)
            case _Then(first, rest):
                moves = [(on, self._then(to, rest)) for on, to in self._partial_moves(first)]
                return [*moves, *self._partial_moves(rest)] if self._nullable[first] else moves
            case _Any(alternatives):
                return [
                    move
                    for alternative in alternatives
                    for move in self._partial_moves(alternative)
                ]
            case _Times(of, least, most):
                left = self._times(of, max(0, least - 1), None if most is None else most - 1)
                return [(on, self._then(to, left)) for on, to in self._partial_moves(of)]
        return self._moves_of(part)


def matches(of: Language, text: str, steps: Steps | None = None) -> bool:
    """Whether `of` contains the whole of `text`."""
    return Automaton(of, steps).matches(text)


def shortest(automaton: Automaton, states: int = 2000) -> str | None:
    """Return a shortest text of a language; None if more than `states` states are visited."""
    waiting = deque([("", automaton.start)])
    seen = {automaton.start}
    while waiting and len(seen) <= states:
        text, state = waiting.popleft()
        if automaton.accepts(state):
            return text
        for to, spans in sorted(automaton.moves(state), key=lambda move: move[1]):
            if to not in seen:
                seen.add(to)
                waiting.append((text + _sample(spans)[0], to))
    return None


def texts(automaton: Automaton, tries: int = 500) -> Iterator[str]:
    """Yield texts of a language, short ones first and of letters where possible.

    At most `tries` prefixes of texts are tried.
    """
    waiting = deque([("", automaton.start)])
    for _ in range(tries):
        if not waiting:
            return
        text, state = waiting.popleft()
        if automaton.accepts(state):
            yield text
        for to, spans in sorted(automaton.moves(state), key=lambda move: move[1]):
            waiting.extend((text + char, to) for char in _sample(spans))


def _sample(spans: tuple[Span, ...]) -> str:
    found = "".join(one for one in _LETTERS if any(low <= ord(one) <= high for low, high in spans))
    return found[:8] or chr(spans[0][0])


def _split(
    found: Sequence[tuple[int, list[int]]], classes: int, targets: list[int]
) -> Iterator[tuple[int, list[int]]]:
    """Yield the moves with `targets` added for `classes`."""
    for own, others in found:
        if own & classes:
            yield own & classes, [*others, *targets]
        if own & ~classes:
            yield own & ~classes, others


def _spans(of: Language) -> Iterator[Span]:
    """Yield all spans of characters in a language, and those that every automaton needs."""
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
