"""Counters in the memory of one process: for a server that is alone."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from antiphon.core.limits.values import Ask, Balance, Draw, Level, Settlement, Verdict
from antiphon.store.counters.base import CountersAwayError, DueSlot
from antiphon.store.counters.lines import RetryQueues
from antiphon.store.counters.tally import Tally


def steady_clock() -> Callable[[], int]:
    """Make a clock of Unix milliseconds that nobody can set while the program runs."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: (offset + time.monotonic_ns()) // 1_000_000


class MemoryCounters:
    """A `Tally` and a clock. No method waits for anything, so each is one step."""

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self._clock = clock or steady_clock()
        self._tally = Tally()
        self._lines = RetryQueues()
        self._refused: str | None = None

    def refuse(self, reason: str | None) -> None:
        """Grant nothing any more, for this reason, or again if there is none."""
        self._refused = reason

    def decide(self, ask: Ask) -> Verdict:
        """Admit without an `await`, for who has no microsecond to lose."""
        if self._refused is not None:
            raise CountersAwayError(self._refused)
        return self._tally.admit(ask, self._clock())

    async def admit(self, ask: Ask) -> Verdict:
        return self.decide(ask)

    async def draw(self, draws: Sequence[Draw]) -> None:
        self._tally.draw(draws, self._clock())

    async def settle(self, settlement: Settlement) -> None:
        self._tally.settle(settlement, self._clock())

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        self._tally.renew(reservations, lease_ms, self._clock())

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        return self._tally.levels(draws, self._clock())

    async def balance(self, accounts: Sequence[str]) -> tuple[Balance, ...]:
        return self._tally.balance(accounts, self._clock())

    async def seed(self, spent: Mapping[str, int], settled: Iterable[str] = ()) -> None:
        self._tally.seed(spent, settled, self._clock())

    async def add_place(self, line: str, due_in_ms: int, kept_ms: int) -> str:
        del kept_ms  # whoever adds a place drops it
        return self._lines.add(line, self._clock() + due_in_ms)

    async def take_place(self, line: str, kept_ms: int) -> DueSlot | None:
        return self._lines.take(line, kept_ms, self._clock())

    async def drop_place(self, line: str, place: str) -> bool:
        return self._lines.drop(line, place)

    async def aclose(self) -> None:
        """Nothing is open."""
