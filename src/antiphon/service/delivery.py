"""The delivery of ledger entries to one receiver, repeated until it has taken them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

import anyio

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.logs import EventLog
from antiphon.store.database.errors import StoreError

# Takes closed entries, in order. After a crash the same entries may come again, so each counts
# once, by its id. After a `StoreError` or an `OSError` the delivery is repeated later.
TakeEntries: TypeAlias = Callable[[Sequence[LedgerEntry]], Awaitable[None]]

MOST_AT_ONCE = 250
# Ending an entry keeps the event loop's thread busy for two microseconds.
ENDED_AT_ONCE = 64
# The first pause before a failed delivery is repeated; each further one is twice as long.
RETRY_S = 0.1
LONGEST_RETRY_S = 5.0


class Pace(NamedTuple):
    """How long a delivery waits for more entries, and how many it takes at once."""

    pause_s: float
    most_at_once: int = MOST_AT_ONCE


class Delivery:
    """Delivers the entries of closed slots to one receiver, in order and in batches.

    A batch is repeated until `take` has taken it; then `done` is called with the number and the
    entry of each slot. A slot without a readable entry (`None`) is left out of the batch. Committed
    entries of Message Batches have numbers of their own instead of slots.
    """

    def __init__(
        self,
        receiver: str,
        read: Callable[[int], LedgerEntry | None],
        take: TakeEntries,
        done: Callable[[int, LedgerEntry | None], None],
        pace: Pace,
    ) -> None:
        self._receiver = receiver
        self._read = read
        self._take = take
        self._done = done
        self._pace = pace
        self._waiting: deque[int] = deque()
        self._added = asyncio.Event()
        self._delivering = asyncio.Lock()
        self._log = EventLog(__name__)

    @property
    def waiting(self) -> int:
        """The number of slots that are not delivered yet."""
        return len(self._waiting)

    def oldest(self) -> LedgerEntry | None:
        """Return the entry that has waited longest; `None` without one, or if it is damaged."""
        return self._read(self._waiting[0]) if self._waiting else None

    def add(self, number: int) -> None:
        """Add a slot behind the others."""
        self._waiting.append(number)
        self._added.set()

    async def deliver(self) -> None:
        """Deliver all slots that were added so far. Raises what `take` raises.

        What is added meanwhile waits for the next time: under load there would be no end, and
        batches as small as what comes during a call.
        """
        async with self._delivering:
            left = len(self._waiting)
            while left:
                numbers = list(islice(self._waiting, min(left, self._pace.most_at_once)))
                entries = [self._read(number) for number in numbers]
                await self._take([entry for entry in entries if entry is not None])
                for place, (number, entry) in enumerate(zip(numbers, entries, strict=True), 1):
                    self._waiting.popleft()
                    self._done(number, entry)
                    if place % ENDED_AT_ONCE == 0:
                        await asyncio.sleep(0)
                left -= len(numbers)

    async def run(self) -> None:
        """Deliver slots as they are added, a pause after the first of them."""
        while True:
            await self._added.wait()
            # Also without a pause: what ends in this turn of the event loop is delivered together.
            await asyncio.sleep(self._pace.pause_s)
            self._added.clear()
            retry_s = RETRY_S
            while not await self._delivered():
                await anyio.sleep(retry_s)
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)

    async def _delivered(self) -> bool:
        try:
            await self.deliver()
        except (StoreError, OSError) as error:
            waiting = len(self._waiting)
            self._log.warning(
                "ledger.waits", for_=self._receiver, entries=waiting, reason=str(error)
            )
            return False
        return True
