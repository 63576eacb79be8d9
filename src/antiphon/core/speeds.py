"""How fast tokens went in the last minutes, from sums of short slices of time."""

from collections import deque
from typing import Final

SLICE_S: Final = 15.0
SLICES: Final = 20
SPAN_S: Final = SLICE_S * SLICES
"""The minutes that are told of: what is older counts no more."""


class RecentSpeed:
    """Tokens, and the seconds that they took, of the last `SPAN_S`.

    Times are those of a clock that never goes back. A measurement costs an addition, and there are
    never more than `SLICES` sums.
    """

    def __init__(self) -> None:
        self._sums: deque[tuple[int, int, float]] = deque(maxlen=SLICES)

    def add(self, tokens: int, seconds: float, now: float) -> None:
        """Add what was measured just now. What took no time says nothing of the speed."""
        if tokens <= 0 or seconds <= 0:
            return
        current = int(now // SLICE_S)
        if self._sums and self._sums[-1][0] >= current:
            current, before, took = self._sums.pop()
            tokens, seconds = tokens + before, seconds + took
        self._sums.append((current, tokens, seconds))

    def per_second(self, now: float) -> float | None:
        """Return the tokens in a second; `None` if nothing was measured lately."""
        first = int(now // SLICE_S) - SLICES + 1
        recent = [(tokens, took) for number, tokens, took in self._sums if number >= first]
        if not recent:
            return None
        return sum(tokens for tokens, _ in recent) / sum(took for _, took in recent)
