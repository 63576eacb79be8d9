"""How much of an engine's time batches used, and how long interactive requests waited for them."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

import msgspec

DELAY_BOUNDS_MS: Final = (1, 3, 10, 30, 100, 300, 1000, 3000)
"""The upper bounds of the delays that are counted together; one more count has the longer ones."""
NO_DELAYS: Final = (0,) * (len(DELAY_BOUNDS_MS) + 1)


class IdleUse(msgspec.Struct, frozen=True):
    """What batches used of an engine's time, and what interactive requests lost by it.

    `total_s`: the seconds in all. `busy_s`: those in which at least one batch request ran.
    `interactive_s`: those in which at least one interactive request was in, from its admission to
    the end of its answer. `interactive`: the interactive requests that entered. `yielded`: the
    batch requests that were told to stop; `parked` of them keep what they have done. `delays`: the
    interactive requests that entered before such a request had stopped, counted by the time until
    it had, as `DELAY_BOUNDS_MS` divides it; `delay_s` and `longest_delay_s` are these times
    together and at most. They are upper bounds of the wait for the engine: at the gate none of
    these requests waits.
    """

    total_s: float = 0.0
    busy_s: float = 0.0
    interactive_s: float = 0.0
    interactive: int = 0
    yielded: int = 0
    parked: int = 0
    delay_s: float = 0.0
    longest_delay_s: float = 0.0
    delays: tuple[int, ...] = NO_DELAYS

    def __add__(self, other: "IdleUse") -> "IdleUse":
        """Return the use of both times, or of both engines, together."""
        return IdleUse(
            total_s=self.total_s + other.total_s,
            busy_s=self.busy_s + other.busy_s,
            interactive_s=self.interactive_s + other.interactive_s,
            interactive=self.interactive + other.interactive,
            yielded=self.yielded + other.yielded,
            parked=self.parked + other.parked,
            delay_s=self.delay_s + other.delay_s,
            longest_delay_s=max(self.longest_delay_s, other.longest_delay_s),
            delays=tuple(map(sum, zip(self.delays, other.delays, strict=True))),
        )

    @property
    def delayed(self) -> int:
        """The number of interactive requests that entered before batch work had stopped."""
        return sum(self.delays)

    @property
    def has_work(self) -> bool:
        """Whether there was any request."""
        return bool(self.busy_s or self.interactive_s or self.interactive or self.yielded)

    def delay_ms(self, percent: int) -> float | None:
        """Return the most milliseconds by which so many percent of interactive requests waited.

        Requests without a delay count as 0. Other delays are known up to the next bound, and the
        longest exactly. `None` if there were no interactive requests.
        """
        # One that entered in an hour may have its delay in the next one.
        requests = max(self.interactive, self.delayed)
        if not requests:
            return None
        # The smallest number of requests that are at least so many percent of them.
        left = -(-requests * percent // 100) - (requests - self.delayed)
        if left <= 0:
            return 0.0
        longest = self.longest_delay_s * 1000
        for bound, count in zip(DELAY_BOUNDS_MS, self.delays, strict=False):
            left -= count
            if left <= 0:
                return min(float(bound), longest)
        return longest


def counted_delays(seconds: Iterable[float]) -> tuple[int, ...]:
    """Count delays as `IdleUse.delays` does."""
    counts = list(NO_DELAYS)
    for delay in seconds:
        counts[bisect_left(DELAY_BOUNDS_MS, delay * 1000)] += 1
    return tuple(counts)
