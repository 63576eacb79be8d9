"""A queue at each spend account, for asks that wait for the money of running requests."""

import asyncio
from asyncio import timeout_at
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from antiphon.core.limits.values import Account, Ask, Busy, Settlement, Verdict
from antiphon.store.counters.base import Counters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

# The time after which settlements of other processes are noticed. It is well below the time for
# which the counters keep the turn of a waiting ask (`core.limits.spend.TURN_MS`).
LOOK_S = 0.1


class _Queue:
    """The asks that wait at one account. The lock lets them through one by one, in their order.

    `freed` is set when money may have become free.
    """

    def __init__(self) -> None:
        self.head = asyncio.Lock()
        self.freed = asyncio.Event()
        self.length = 0


class WaitingRoom:
    """Admits asks when there is room. Settlements go through it, and wake waiting asks at once.

    Within a process the order at an account is strict. Between processes, the counters keep the
    turn of an ask, and other asks are `Busy` until it was granted, even if they would fit.
    """

    def __init__(self, counters: Counters, look_s: float = LOOK_S) -> None:
        self._counters = counters
        self._look_s = look_s
        self._queues: dict[Account, _Queue] = {}

    async def admit(
        self, ask: Ask, patience_s: float, note_wait: Callable[[float], None] | None = None
    ) -> Verdict:
        """Ask until the verdict is no longer `Busy`, or until `patience_s` is over.

        `note_wait` gets the seconds of a wait, also of one that is cancelled.
        """
        account = self._queue_for(ask) if self._queues else None
        if account is None:
            verdict = await self._counters.admit(_waiting(ask))
            if not isinstance(verdict, Busy):
                return verdict
            account = ask.holds[verdict.index].account
        now = asyncio.get_running_loop().time
        began = now()
        try:
            return await self._wait(ask, account, began + patience_s)
        finally:
            if note_wait is not None:
                note_wait(now() - began)

    async def settle(self, *settlements: Settlement) -> None:
        """Settle, and wake the asks that wait at these accounts."""
        try:
            await self._counters.settle(*settlements)
        finally:
            if self._queues:
                for settlement in settlements:
                    self._wake(settlement.costs or self._queues)

    def _queue_for(self, ask: Ask) -> Account | None:
        return next((hold.account for hold in ask.holds if hold.account in self._queues), None)

    async def _wait(self, ask: Ask, account: Account, deadline: float) -> Verdict:
        waiting = _waiting(ask)
        # Only waiting is cut short: a sent ask must be answered, or its hold would be lost.
        with suppress(TimeoutError):
            while True:
                async with self._queued_at(account, deadline) as queue:
                    verdict = await self._look_while_busy(waiting, account, queue, deadline)
                if not isinstance(verdict, Busy):
                    return verdict
                account = ask.holds[verdict.index].account
        # The last try also gives up the turn.
        return await self._counters.admit(msgspec.structs.replace(ask, waits=False))

    @asynccontextmanager
    async def _queued_at(self, account: Account, deadline: float) -> "AsyncGenerator[_Queue]":
        queue = self._queues.setdefault(account, _Queue())
        queue.length += 1
        try:
            async with timeout_at(deadline):
                await queue.head.acquire()
            try:
                yield queue
            finally:
                queue.head.release()
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[account]

    async def _look_while_busy(
        self, ask: Ask, account: Account, queue: _Queue, deadline: float
    ) -> Verdict:
        """Ask whenever money may be free, until the verdict or the account of the queue changes."""
        loop = asyncio.get_running_loop()
        while True:
            queue.freed.clear()
            verdict = await self._counters.admit(ask)
            if not isinstance(verdict, Busy) or ask.holds[verdict.index].account != account:
                return verdict
            if loop.time() >= deadline:
                raise TimeoutError
            with suppress(TimeoutError):
                async with timeout_at(min(deadline, loop.time() + self._look_s)):
                    await queue.freed.wait()

    def _wake(self, accounts: Iterable[Account]) -> None:
        for account in accounts:
            if queue := self._queues.get(account):
                queue.freed.set()


def _waiting(ask: Ask) -> Ask:
    return ask if ask.waits else msgspec.structs.replace(ask, waits=True)
