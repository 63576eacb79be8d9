"""Counters in the memory of one process, for a server that runs alone."""

import time
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence

from antiphon.core.limits.values import Account, Ask, Balance, Draw, Level, Settlement, Verdict
from antiphon.store.counters.base import CountersAwayError, DueSlot
from antiphon.store.counters.tally import Tally


def steady_clock() -> Callable[[], int]:
    """Return a clock of Unix milliseconds that ignores later changes of the system time."""
    offset = time.time_ns() - time.monotonic_ns()
    return lambda: (offset + time.monotonic_ns()) // 1_000_000


class MemoryCounters:
    """A `Tally`, queues of retry slots, and a clock. No method waits, so each is one step."""

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self._clock = clock or steady_clock()
        self._tally = Tally()
        self._queues = RetryQueues()
        self._refused: str | None = None

    @property
    def refused(self) -> str | None:
        """The reason to grant nothing; `None` if asks are decided."""
        return self._refused

    @property
    def pending(self) -> int:
        """The settlements that are not delivered yet: none, as they are made here."""
        return 0

    def refuse(self, reason: str | None) -> None:
        """Grant nothing from now on, for this reason; with `None`, decide asks again."""
        self._refused = reason

    async def admit(self, ask: Ask) -> Verdict:
        if self._refused is not None:
            raise CountersAwayError(self._refused)
        return self._tally.admit(ask, self._clock())

    async def draw(self, draws: Sequence[Draw]) -> None:
        self._tally.draw(draws, self._clock())

    async def settle(self, *settlements: Settlement) -> None:
        now = self._clock()
        for settlement in settlements:
            self._tally.settle(settlement, now)

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        self._tally.renew(reservations, lease_ms, self._clock())

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        return self._tally.levels(draws, self._clock())

    async def balance(self, accounts: Sequence[Account]) -> tuple[Balance, ...]:
        return self._tally.balance(accounts, self._clock())

    async def seed(self, spent: Mapping[Account, int], settled: Iterable[str] = ()) -> None:
        self._tally.seed(spent, settled, self._clock())

    async def add_retry_slot(self, queue: str, due_in_ms: int, kept_ms: int) -> str:
        del kept_ms  # the caller drops every slot that it has added
        return self._queues.add(queue, self._clock() + due_in_ms)

    async def take_retry_slot(self, queue: str, kept_ms: int) -> DueSlot | None:
        return self._queues.take(queue, kept_ms, self._clock())

    async def drop_retry_slot(self, queue: str, slot: str) -> bool:
        return self._queues.drop(queue, slot)

    async def aclose(self) -> None:
        """Do nothing."""


class RetryQueues:
    """The slots of each queue, in the order in which they are due. Time is an argument."""

    def __init__(self) -> None:
        self._queues: dict[str, list[tuple[int, str]]] = {}
        self._made = 0

    def add(self, queue: str, due: int) -> str:
        self._made += 1
        slot = f"{self._made}"
        insort(self._queues.setdefault(queue, []), (due, slot))
        return slot

    def take(self, queue: str, kept_ms: int, now: int) -> DueSlot | None:
        for due, slot in self._queues.get(queue, ()):
            if due + kept_ms <= now:
                continue
            if due <= now:
                self.drop(queue, slot)
            return DueSlot(slot, max(0, due - now))
        return None

    def drop(self, queue: str, slot: str) -> bool:
        slots = self._queues.get(queue, [])
        left = [one for one in slots if one[1] != slot]
        if left:
            self._queues[queue] = left
        else:
            self._queues.pop(queue, None)
        return len(left) < len(slots)
