"""Measures how much of an engine's time batches and interactive requests use."""

from collections.abc import Callable

from antiphon.core.idle_use import IdleUse, counted_delays
from antiphon.service.limits.stopwatch import Stopwatch


class UseMeter:
    """The use of one lane. `clock` returns seconds that never go back.

    The gate adds each interactive request that enters to `entered`.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open, self._batches, self._interactive = Stopwatch(), Stopwatch(), Stopwatch()
        self._open.start(clock())
        self.entered = 0
        # What was taken, and what was not yet.
        self._taken = self._new = IdleUse()

    def batches_began(self) -> None:
        """Note that a batch request has begun."""
        self._batches.start(self._clock())

    def batches_ended(self) -> None:
        """Note that the last batch request has ended."""
        self._batches.stop(self._clock())

    def interactive_began(self) -> None:
        """Note that an interactive request is in."""
        self._interactive.start(self._clock())

    def interactive_ended(self, now: float) -> None:
        """Note that the last interactive request has left, at this time of the clock."""
        self._interactive.stop(now)

    def yielded(self, requests: int, parked: int) -> None:
        """Note that batch requests were told to stop; `parked` of them will go on later."""
        self._new += IdleUse(yielded=requests, parked=parked)

    def delayed(self, seconds: list[float]) -> None:
        """Note how long interactive requests were in beside batch work that was to stop."""
        if seconds:
            self._new += IdleUse(
                delay_s=sum(seconds),
                longest_delay_s=max(seconds),
                delays=counted_delays(seconds),
            )

    @property
    def since_start(self) -> IdleUse:
        """The use since the start."""
        self._measure()
        return self._taken + self._new

    def take(self) -> IdleUse:
        """Return the use since the last call."""
        self._measure()
        taken, self._new = self._new, IdleUse()
        self._taken += taken
        return taken

    def _measure(self) -> None:
        now = self._clock()
        entered, self.entered = self.entered, 0
        self._new += IdleUse(
            interactive=entered,
            total_s=self._open.take(now),
            busy_s=self._batches.take(now),
            interactive_s=self._interactive.take(now),
        )
