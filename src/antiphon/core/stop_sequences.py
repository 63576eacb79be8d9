"""Finds stop sequences in text that arrives in pieces.

Text that may still become a stop sequence is held back, so that no part of one is ever sent. The
result does not depend on where the text was cut: the sequence that is complete first wins, and
of two that are complete at the same character the one that began earlier.
"""

from collections.abc import Sequence

import msgspec


class Scan(msgspec.Struct, frozen=True, gc=False):
    """Text that is safe to send, and the stop sequence that ended it, if one did."""

    text: str
    match: str | None = None


class StopScanner:
    """Finds stop sequences in a text that is fed piece by piece."""

    __slots__ = ("_firsts", "_held", "_longest", "_sequences")

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = tuple(dict.fromkeys(sequences))
        self._firsts = frozenset(sequence[:1] for sequence in sequences)
        self._longest = max(map(len, sequences), default=0)
        self._held = ""

    def feed(self, text: str) -> Scan:
        buffer = self._held + text
        # Most pieces of most answers hold no character that begins a stop sequence.
        if self._firsts.isdisjoint(buffer):
            return Scan(buffer)
        ends = [
            (start + len(sequence), start, sequence)
            for sequence in self._sequences
            if (start := buffer.find(sequence)) >= 0
        ]
        if ends:
            _, start, sequence = min(ends)
            self._held = ""
            return Scan(buffer[:start], sequence)
        keep = self._partial(buffer)
        self._held = buffer[len(buffer) - keep :]
        return Scan(buffer[: len(buffer) - keep])

    def flush(self) -> str:
        """End the text: return the text that was held back, which no sequence completes."""
        held, self._held = self._held, ""
        return held

    def _partial(self, buffer: str) -> int:
        """Length of the longest end of `buffer` that begins a stop sequence."""
        for length in range(min(self._longest - 1, len(buffer)), 0, -1):
            tail = buffer[len(buffer) - length :]
            if any(sequence.startswith(tail) for sequence in self._sequences):
                return length
        return 0
