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

    __slots__ = ("_ends_at", "_seconds", "_sums", "_tokens")

    def __init__(self) -> None:
        # The slices before the current one, each with its end; then the current one.
        self._sums: deque[tuple[float, int, float]] = deque(maxlen=SLICES - 1)
        self._ends_at = 0.0
        self._tokens, self._seconds = 0, 0.0

    def add(self, tokens: int, seconds: float, now: float) -> None:
        """Add what was measured just now. What took no time says nothing of the speed."""
        if tokens <= 0 or seconds <= 0:
            return
        if now >= self._ends_at:
            if self._tokens:
                self._sums.append((self._ends_at, self._tokens, self._seconds))
            self._ends_at = (now // SLICE_S + 1) * SLICE_S
            self._tokens, self._seconds = 0, 0.0
        self._tokens += tokens
        self._seconds += seconds

    def per_second(self, now: float) -> float | None:
        """Return the tokens in a second; `None` if nothing was measured lately."""
        # Slices that ended before this one have ended too long ago.
        oldest = (now // SLICE_S - SLICES + 2) * SLICE_S
        current = (self._ends_at, self._tokens, self._seconds)
        recent = [one for one in (*self._sums, current) if one[0] >= oldest and one[1]]
        if not recent:
            return None
        return sum(one[1] for one in recent) / sum(one[2] for one in recent)

    @property
    def latest(self) -> float | None:
        """The tokens in a second when there were some last, however long ago; `None` if never."""
        return self._tokens / self._seconds if self._tokens else None
