"""Waiting for money that running requests hold, in the order in which the asks came."""

import asyncio
from asyncio import timeout_at
from collections.abc import Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from antiphon.core.limits.values import Ask, Busy, Settlement, Verdict
from antiphon.store.counters.base import Counters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

# Other processes' settlements are noticed after this time at the latest. It is well below the
# time for which the counters keep the place of one who waits (`core.spend.TURN_MS`).
LOOK_S = 0.1


class _Line:
    """Those who wait at one account. The lock lets them through one by one, first come first."""

    def __init__(self) -> None:
        self.head = asyncio.Lock()
        self.freed = asyncio.Event()
        self.length = 0


class WaitingRoom:
    """Admits when there is room. Settle through it, so that those who wait hear of it at once.

    In one process the order at an account is strict. Between processes, the one whose turn it is
    keeps its place in the counters, and those who would fit are `Busy` until it was granted.
    """

    def __init__(self, counters: Counters, look_s: float = LOOK_S) -> None:
        self._counters = counters
        self._look_s = look_s
        self._lines: dict[str, _Line] = {}

    async def admit(self, ask: Ask, patience_s: float) -> Verdict:
        """Ask until the answer is another one than `Busy`, or until patience is at its end."""
        account = self._line_for(ask) if self._lines else None
        if account is None:
            verdict = await self._counters.admit(_waiting(ask))
            if not isinstance(verdict, Busy):
                return verdict
            account = ask.holds[verdict.index].account
        deadline = asyncio.get_running_loop().time() + patience_s
        return await self._wait(ask, account, deadline)

    async def settle(self, settlement: Settlement) -> None:
        """Settle, and let those look again who wait for it."""
        try:
            await self._counters.settle(settlement)
        finally:
            self._look_again(settlement.costs or self._lines)

    def _line_for(self, ask: Ask) -> str | None:
        return next((hold.account for hold in ask.holds if hold.account in self._lines), None)

    async def _wait(self, ask: Ask, account: str, deadline: float) -> Verdict:
        waiting = _waiting(ask)
        # Only waiting is cut short: an ask that was sent is answered, or its hold would be lost.
        with suppress(TimeoutError):
            while True:
                async with self._standing_at(account, deadline) as line:
                    verdict = await self._look_while_busy(waiting, account, line, deadline)
                if not isinstance(verdict, Busy):
                    return verdict
                account = ask.holds[verdict.index].account
        # The last try gives up the turn, too.
        return await self._counters.admit(msgspec.structs.replace(ask, waits=False))

    @asynccontextmanager
    async def _standing_at(self, account: str, deadline: float) -> "AsyncGenerator[_Line]":
        line = self._lines.setdefault(account, _Line())
        line.length += 1
        try:
            async with timeout_at(deadline):
                await line.head.acquire()
            try:
                yield line
            finally:
                line.head.release()
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[account]

    async def _look_while_busy(
        self, ask: Ask, account: str, line: _Line, deadline: float
    ) -> Verdict:
        """Ask whenever something was freed; another answer, or another account, is the end."""
        loop = asyncio.get_running_loop()
        while True:
            line.freed.clear()
            verdict = await self._counters.admit(ask)
            if not isinstance(verdict, Busy) or ask.holds[verdict.index].account != account:
                return verdict
            if loop.time() >= deadline:
                raise TimeoutError
            with suppress(TimeoutError):
                async with timeout_at(min(deadline, loop.time() + self._look_s)):
                    await line.freed.wait()

    def _look_again(self, accounts: Iterable[str]) -> None:
        for account in accounts:
            if line := self._lines.get(account):
                line.freed.set()


def _waiting(ask: Ask) -> Ask:
    return ask if ask.waits else msgspec.structs.replace(ask, waits=True)
