"""Shared counters that may be away: meanwhile asks are refused and settlements are kept."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol, TypeVar

from antiphon.core.limits.values import (
    Account,
    Ask,
    Balance,
    Draw,
    Granted,
    Level,
    Settlement,
    Unseeded,
    Verdict,
)
from antiphon.logs import EventLog
from antiphon.store.counters.base import Counters, CountersAwayError, CountersError, DueSlot
from antiphon.store.counters.seeding import ReadTotals, Seedable, reseed
from antiphon.store.database.errors import StoreError

# The time that every process gets to write its journal into the ledger.
GRACE_S = 2.0
# The interval at which counters that are away are tried.
RETRY_S = 0.5
# The interval at which a process checks that the counters are there and seeded. Two of them, one
# lost check included, fit into the grace time of a seeding.
WATCH_S = 0.5
# The time that a starting server waits for the counters beyond their seeding.
PATIENCE_S = 2.0
_PART = 100

T = TypeVar("T")


class SharedCounters(Counters, Seedable, Protocol):
    """Shared counters, which can be away and can lose their state."""

    async def seeded(self) -> bool: ...

    async def hold(self, asks: Sequence[Ask]) -> None: ...

    async def release(self, reservations: Sequence[str]) -> None: ...

    async def unseed(self) -> None: ...


class FallbackCounters:
    """Shared counters, and the behaviour of one process while they are away.

    The first call that fails discovers that they are away. Until they are back every ask raises
    `CountersAwayError` at once, and likewise while they are not seeded. `keep_whole` brings them
    back; the owner of this object runs it.

    A settlement is never lost and never raises: one that cannot be delivered is kept until the
    counters are back. Output that is produced meanwhile is not drawn.
    """

    def __init__(
        self,
        remote: SharedCounters,
        *,
        grace_s: float = GRACE_S,
        retry_s: float = RETRY_S,
        watch_s: float = WATCH_S,
    ) -> None:
        self._remote = remote
        self._grace_s = grace_s
        self._retry_s = retry_s
        self._watch_s = watch_s
        self._log = EventLog(__name__)
        self._away: str | None = None
        # Whether the counters were away long enough for another process to have died meanwhile.
        self._outage = False
        self._broken = asyncio.Event()
        self._whole = asyncio.Event()
        self._whole.set()
        # The running requests of this process.
        self._running: dict[str, Ask] = {}
        self._backlog: dict[str, Settlement] = {}
        # Asks whose answer was lost; the counters may hold something for them.
        self._lost: set[str] = set()

    @property
    def refused(self) -> str | None:
        """The reason to grant nothing, as the counters are away; `None` if asks are decided."""
        return self._away

    @property
    def pending(self) -> int:
        """The settlements that the shared counters have not got yet."""
        return len(self._backlog)

    async def open(self) -> None:
        """Check whether the counters answer and are seeded; if not, asks are refused at once."""
        try:
            if not await self._remote.seeded():
                # So it is at each start of a Valkey server that keeps nothing: nobody has to act.
                self._lose("they have not learned the spent amounts yet", expected=True)
        except CountersAwayError as error:
            self._lose(str(error))

    async def admit(self, ask: Ask) -> Verdict:
        self._refuse_while_away()
        try:
            verdict = await self._tried(self._remote.admit(ask))
        except CountersAwayError:
            self._lost.add(ask.id)
            raise
        except BaseException:
            # It may have been granted, and no settlement will follow, as its caller has left.
            self._lost.add(ask.id)
            self._mend()
            raise
        if isinstance(verdict, Unseeded):
            reason = "they have lost the spent amounts"
            self._lose(reason)
            raise CountersAwayError(reason)
        if isinstance(verdict, Granted):
            self._running[ask.id] = ask
            self._lost.discard(ask.id)
        return verdict

    async def draw(self, draws: Sequence[Draw]) -> None:
        if self._away is None:
            with suppress(CountersAwayError):
                await self._tried(self._remote.draw(draws))

    async def settle(self, *settlements: Settlement) -> None:
        for settlement in settlements:
            self._running.pop(settlement.id, None)
            # Kept first: an interrupted delivery is repeated, and counts once.
            self._backlog[settlement.id] = settlement
        if self._away is None:
            try:
                await self._tried(self._remote.settle(*settlements))
            except CountersAwayError:
                return
            except BaseException:
                self._mend()
                raise
            for settlement in settlements:
                self._backlog.pop(settlement.id, None)

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        if self._away is None:
            with suppress(CountersAwayError):
                await self._tried(self._remote.renew(reservations, lease_ms))

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        self._refuse_while_away()
        return await self._tried(self._remote.levels(draws))

    async def balance(self, accounts: Sequence[Account]) -> tuple[Balance, ...]:
        """Return the money spent and held in all processes."""
        self._refuse_while_away()
        return await self._tried(self._remote.balance(accounts))

    async def seed(self, spent: Mapping[Account, int], settled: Iterable[str] = ()) -> None:
        """Wait briefly for the shared counters, and seed them again if they lack some of `spent`.

        They lack settlements if a process was killed while they were away: its settlements are
        in the ledger only. The new seed is read when every process has written its journal;
        `spent` may be older.
        """
        del settled
        with suppress(TimeoutError, CountersAwayError):
            async with asyncio.timeout(2 * (self._grace_s + PATIENCE_S)):
                await self.mended()
                known = await self.balance(tuple(spent))
                if any(one.spent < least for one, least in zip(known, spent.values(), strict=True)):
                    await self._tried(self._remote.unseed())
                    self._lose("they know less than the ledger")
                    await self.mended()

    async def add_retry_slot(self, queue: str, due_in_ms: int, kept_ms: int) -> str:
        self._refuse_while_away()
        return await self._tried(self._remote.add_retry_slot(queue, due_in_ms, kept_ms))

    async def take_retry_slot(self, queue: str, kept_ms: int) -> DueSlot | None:
        self._refuse_while_away()
        return await self._tried(self._remote.take_retry_slot(queue, kept_ms))

    async def drop_retry_slot(self, queue: str, slot: str) -> bool:
        self._refuse_while_away()
        return await self._tried(self._remote.drop_retry_slot(queue, slot))

    async def mended(self) -> None:
        """Wait until everything is delivered and the counters can be asked."""
        await self._whole.wait()

    async def keep_whole(self, totals: ReadTotals) -> None:
        """Bring the counters back whenever they are away or have lost their state."""
        while True:
            await self._broken.wait()
            self._broken.clear()
            while not await self._mend_once(totals):
                self._outage = True
                await asyncio.sleep(self._retry_s)
            if self._away is not None:
                self._log.info("counters_back")
            self._away = None
            self._outage = False
            if not self._broken.is_set():
                self._whole.set()

    async def keep_watching(self) -> None:
        """Notice an outage or a loss of state also while no request makes a call.

        A process whose running requests produce nothing would report its holds too late, and
        another process would grant the same money again.
        """
        while True:
            await asyncio.sleep(self._watch_s)
            if self._away is None:
                await self.open()

    async def aclose(self) -> None:
        """Try to deliver the kept settlements; the ledger has the rest."""
        with suppress(CountersError):
            await self._deliver()
        await self._remote.aclose()

    def _refuse_while_away(self) -> None:
        if self._away is not None:
            raise CountersAwayError(self._away)

    async def _tried(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except CountersAwayError as error:
            self._lose(str(error))
            raise

    def _lose(self, reason: str, *, expected: bool = False) -> None:
        if self._away is None:
            tell = self._log.info if expected else self._log.warning
            tell("counters_away", reason=reason)
            self._away = reason
        self._mend()

    def _mend(self) -> None:
        self._whole.clear()
        self._broken.set()

    async def _mend_once(self, totals: ReadTotals) -> bool:
        """Make the shared counters complete; return whether they are.

        They lack a settlement if another process was killed with it while they were away. Then
        they are seeded again.
        """
        try:
            if not await self._remote.seeded():
                await self._hold_again()
                if not await reseed(self._remote, totals, self._grace_s):
                    return False  # another process is seeding
                self._outage = False
            if self._away is not None:
                await self._hold_again()
            await self._deliver()
            if self._outage and await self._know_less(totals):
                await self._remote.unseed()
                return False
        except (CountersError, StoreError) as error:
            if self._away is not None and str(error) != self._away:
                self._away = str(error)
                self._log.warning("counters_away", reason=self._away)
            return False
        return True

    async def _know_less(self, totals: ReadTotals) -> bool:
        """Return whether the counters lack settlements that other processes had time to deliver."""
        for patience_s in (0, self._grace_s):
            await asyncio.sleep(patience_s)
            seed = await totals()
            # This process has just written entries that it has not delivered yet.
            await self._deliver()
            known = await self._remote.balance(tuple(seed.spent))
            least = seed.spent.values()
            if all(one.spent >= amount for one, amount in zip(known, least, strict=True)):
                return False
        self._log.warning("counters_know_less", reason="they know less than the ledger")
        return True

    async def _hold_again(self) -> None:
        """Hold the worst case of this process's running requests; known holds stay."""
        running = iter(tuple(self._running.values()))
        while part := tuple(islice(running, _PART)):
            await self._remote.hold([ask for ask in part if ask.id in self._running])

    async def _deliver(self) -> None:
        while part := tuple(islice(self._backlog.values(), _PART)):
            await self._remote.settle(*part)
            for settlement in part:
                self._backlog.pop(settlement.id, None)
        if lost := tuple(self._lost):
            await self._remote.release(lost)
            self._lost.difference_update(lost)
