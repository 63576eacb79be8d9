"""Finds stop sequences in text that arrives in pieces.

What could still become a stop sequence is held back, so that no part of one is ever sent. The
result does not depend on where the text was cut: the sequence that is complete first wins, and
of two that are complete at the same character the one that began earlier.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scan:
    """Text that is safe to send, and the stop sequence that ended it, if one did."""

    text: str
    match: str | None = None


class StopScanner:
    """Feed it text; it says what may be sent."""

    __slots__ = ("_held", "_sequences")

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = tuple(dict.fromkeys(sequences))
        self._held = ""

    def feed(self, text: str) -> Scan:
        if not self._sequences:
            return Scan(text)
        buffer = self._held + text
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
        """Say that no more text comes; what was held back is plain text after all."""
        held, self._held = self._held, ""
        return held

    def _partial(self, buffer: str) -> int:
        """Length of the longest end of `buffer` that begins a stop sequence."""
        longest = max(map(len, self._sequences)) - 1
        for length in range(min(longest, len(buffer)), 0, -1):
            tail = buffer[len(buffer) - length :]
            if any(sequence.startswith(tail) for sequence in self._sequences):
                return length
        return 0
