"""Finds stop sequences in text that arrives in pieces.

Text that may still become a stop sequence is held back, so that no part of one is ever sent. The
result does not depend on where the text was cut: the sequence that is complete first wins, and
of two that are complete at the same character the one that began earlier.

All sequences are found by one automaton (Aho and Corasick, 1975). A state is the longest end of the
text that begins a sequence. The states are made when a text first leads to them, so neither their
number nor the time for a text depends on the number and the size of the sequences. Making a state
takes two binary searches among the sorted sequences.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import msgspec

LONG: Final = 256
"""From so many characters on, a text is first searched for each sequence, if they are short."""

SHORT: Final = 512
"""The most characters of all sequences that are searched for one by one. A search usually reads 20
or more characters in the time in which the automaton reads one; at worst it compares a character
with each of a sequence's, which takes a nanosecond."""


class Scan(msgspec.Struct, frozen=True, gc=False):
    """Text that is safe to send, and the stop sequence that ended it, if one did."""

    text: str
    match: str | None = None


class _State:
    """The beginning of the sequences from `low` to `high`, of `depth` characters.

    `shorter` is the state of the longest end of this beginning that is one itself. `match` is the
    sequence that is complete here, if one is. `following` are the next states found so far.
    """

    __slots__ = ("depth", "following", "high", "low", "match", "shorter")

    def __init__(self, depth: int, low: int, high: int, match: str | None) -> None:
        self.depth = depth
        self.low = low
        self.high = high
        self.match = match
        self.shorter = self
        self.following: dict[str, _State] = {}


class StopScanner:
    """Finds stop sequences in a text that is fed piece by piece.

    `steps` counts the characters that the automaton has read and the searches for its states.
    """

    __slots__ = ("_are_short", "_firsts", "_longest", "_root", "_sequences", "_state", "steps")

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sorted(set(sequences))
        self._firsts = frozenset(sequence[:1] for sequence in self._sequences)
        lengths = [len(sequence) for sequence in self._sequences]
        self._longest = max(lengths, default=0)
        self._are_short = sum(lengths) <= SHORT
        self._root = self._state = _State(0, 0, len(self._sequences), None)
        self.steps = 0

    def feed(self, text: str) -> Scan:
        if not self._firsts:
            return Scan(text)
        state = self._state
        searched = self._are_short and len(text) >= LONG
        # Most pieces of most answers hold no character that begins a stop sequence.
        if not searched and state is self._root and self._firsts.isdisjoint(text):
            return Scan(text)
        held = self._held()
        buffer = held + text
        begin = len(held)
        if searched and not any([one in buffer for one in self._sequences]):  # noqa: C419 - faster
            # Only the end of the text may begin a sequence.
            later = len(buffer) - self._longest + 1
            if later > begin:
                begin, state = later, self._root
        self.steps += len(buffer) - begin
        for end, char in enumerate(buffer[begin:], begin + 1):
            state = state.following.get(char) or self._next(state, char)
            if state.match is not None:
                self._state = self._root
                return Scan(buffer[: end - len(state.match)], state.match)
        self._state = state
        return Scan(buffer[: len(buffer) - state.depth])

    def flush(self) -> str:
        """End the text: return the text that was held back, which no sequence completes."""
        held = self._held()
        self._state = self._root
        return held

    def _held(self) -> str:
        """Return the end of the text that has not been sent: it begins a sequence."""
        state = self._state
        return self._sequences[state.low][: state.depth] if state.depth else ""

    def _next(self, state: _State, char: str) -> _State:
        """Return the state behind `char`, and remember the way to it."""
        made: list[_State] = []
        begun = state
        while (found := begun.following.get(char)) is None:
            self.steps += 1
            longer = self._longer(begun, char)
            if longer is not None:
                begun.following[char] = longer
                made.append(longer)
            if begun is self._root:
                found = self._root
                break
            begun = begun.shorter
        # Each state that was made begins earlier in the text than the next.
        for one in reversed(made):
            one.shorter = found
            one.match = one.match or found.match
            found = one
        state.following[char] = found
        return found

    def _longer(self, state: _State, char: str) -> _State | None:
        """Return a new state for the beginning with one more character, if it begins a sequence.

        No sequence ends at `state`: a text does not go on behind a match.
        """
        at_depth = itemgetter(state.depth)
        low = bisect_left(self._sequences, char, state.low, state.high, key=at_depth)
        high = bisect_right(self._sequences, char, low, state.high, key=at_depth)
        if low == high:
            return None
        first = self._sequences[low]
        depth = state.depth + 1
        return _State(depth, low, high, first if len(first) == depth else None)
