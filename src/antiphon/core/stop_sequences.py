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


class _State(msgspec.Struct, gc=False):
    """The beginning of the sequences from `low` to `high`, of `depth` characters.

    `shorter` is the number of the state of the longest end of this beginning that is one itself.
    `match` is the sequence that is complete here, if one is.
    """

    depth: int
    low: int
    high: int
    match: str | None = None
    shorter: int = 0


_ROOT: Final = 0
"""The number of the state that begins all sequences, of no characters."""


class StopScanner:
    """Finds stop sequences in a text that is fed piece by piece.

    `steps` counts the characters that the automaton has read and the searches for its states.
    """

    # States refer to each other by number: objects would be cycles, which wait for the collector.
    __slots__ = (
        *("_are_short", "_firsts", "_following", "_longest", "_sequences", "_state", "_states"),
        "steps",
    )

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = sorted(set(sequences))
        self._firsts = frozenset(sequence[:1] for sequence in self._sequences)
        lengths = [len(sequence) for sequence in self._sequences]
        self._longest = max(lengths, default=0)
        self._are_short = sum(lengths) <= SHORT
        self._state = _ROOT
        self._states = [_State(0, 0, len(self._sequences))]
        self._following: list[dict[str, int]] = [{}]
        self.steps = 0

    def feed(self, text: str) -> Scan:
        if not self._firsts:
            return Scan(text)
        state = self._state
        searched = self._are_short and len(text) >= LONG
        # Most pieces of most answers hold no character that begins a stop sequence.
        if not searched and state == _ROOT and self._firsts.isdisjoint(text):
            return Scan(text)
        held = self._held()
        buffer = held + text
        begin = len(held)
        if searched and not any([one in buffer for one in self._sequences]):  # noqa: C419 - faster
            # Only the end of the text may begin a sequence.
            later = len(buffer) - self._longest + 1
            if later > begin:
                begin, state = later, _ROOT
        return self._read(buffer, begin, state)

    def flush(self) -> str:
        """End the text: return the text that was held back, which no sequence completes."""
        held = self._held()
        self._state = _ROOT
        return held

    def _held(self) -> str:
        """Return the end of the text that has not been sent: it begins a sequence."""
        state = self._states[self._state]
        return self._sequences[state.low][: state.depth] if state.depth else ""

    def _read(self, buffer: str, begin: int, state: int) -> Scan:
        """Read a text from `begin` on, where the automaton is in `state`."""
        self.steps += len(buffer) - begin
        for end, char in enumerate(buffer[begin:], begin + 1):
            found = self._following[state].get(char)
            state = self._next(state, char) if found is None else found
            match = self._states[state].match if state else None
            if match is not None:
                self._state = _ROOT
                return Scan(buffer[: end - len(match)], match)
        self._state = state
        return Scan(buffer[: len(buffer) - self._states[state].depth])

    def _next(self, state: int, char: str) -> int:
        """Return the state behind `char`, and remember the way to it."""
        made: list[int] = []
        begun = state
        while (found := self._following[begun].get(char)) is None:
            self.steps += 1
            longer = self._longer(self._states[begun], char)
            if longer is not None:
                self._following[begun][char] = len(self._states)
                made.append(len(self._states))
                self._states.append(longer)
                self._following.append({})
            if begun == _ROOT:
                found = _ROOT
                break
            begun = self._states[begun].shorter
        # Each state that was made begins earlier in the text than the next.
        for number in reversed(made):
            one = self._states[number]
            one.shorter = found
            one.match = one.match or self._states[found].match
            found = number
        self._following[state][char] = found
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
