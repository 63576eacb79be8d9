"""Shared counters that may be away: what is refused then, what is granted, and what comes after."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from typing import Protocol, TypeVar

import structlog

from antiphon.core.limits.values import (
    Ask,
    Balance,
    Draw,
    Granted,
    Level,
    Settlement,
    Unseeded,
    Verdict,
)
from antiphon.store.counters.base import Counters, CountersAwayError, CountersError, DueSlot
from antiphon.store.counters.lines import RetryQueues
from antiphon.store.counters.memory import steady_clock
from antiphon.store.counters.seeding import Seedable, Sums, reseed
from antiphon.store.counters.share import Share
from antiphon.store.database.errors import StoreError

# The time in which every process writes its journal into the ledger.
GRACE_S = 2.0
# How often counters that are away are looked for.
RETRY_S = 0.5
# How much longer than the seeding of the counters the start of a server waits for them.
PATIENCE_S = 2.0
# As many settlements are kept for counters that are away; then nothing is granted alone any more.
LARGEST_BACKLOG = 100_000
_PART = 100

T = TypeVar("T")


class SharedCounters(Counters, Seedable, Protocol):
    """Counters that are shared, can be away, and can lose what they knew."""

    async def seeded(self) -> bool: ...

    async def hold(self, asks: Sequence[Ask]) -> None: ...

    async def release(self, reservations: Sequence[str]) -> None: ...

    async def unseed(self) -> None: ...


class FallbackCounters:
    """Shared counters, and what is done without them.

    The first call that fails finds out that they are away; until they are back, nobody waits for
    them. Without a `share` every ask then raises `CountersAwayError`. With one, this process
    grants that part of every limit alone, beginning with the sums of the ledger. The same holds
    while the counters are there and do not know what was spent.

    A settlement is never lost and never raises: what cannot be delivered is kept, and delivered
    when the counters are back. Output that is produced meanwhile is not drawn from their buckets.
    """

    def __init__(  # noqa: PLR0913 - all but two are times, and rarely given
        self,
        remote: SharedCounters,
        sums: Sums,
        *,
        share: float | None = None,
        grace_s: float = GRACE_S,
        retry_s: float = RETRY_S,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Take what reads the ledger; it has to write this process's own journal first."""
        if share is not None and not 0 < share <= 1:
            raise ValueError("share: Input should be greater than 0 and at most 1")
        self._remote = remote
        self._sums = sums
        self._part = None if share is None else Fraction(share).limit_denominator(1_000_000)
        self._grace_s = grace_s
        self._retry_s = retry_s
        self._clock = clock or steady_clock()
        self._log = structlog.get_logger(__name__)
        self._away: str | None = None
        # Whether that is more than a hiccup: somebody else may have died in it.
        self._outage = False
        self._share: Share | None = None
        # Places that were promised meanwhile.
        self._lines = RetryQueues()
        self._mender: asyncio.Task[None] | None = None
        # The running requests of this process, wherever they were admitted.
        self._running: dict[str, Ask] = {}
        # Those that were admitted alone: the shared buckets have nothing to correct.
        self._alone: set[str] = set()
        self._backlog: dict[str, Settlement] = {}
        # Asks whose answer was lost; they may hold something for nobody.
        self._lost: set[str] = set()
        # What is settled while the sums are read; they may or may not contain it.
        self._meanwhile: list[Settlement] | None = None

    @property
    def away(self) -> str | None:
        """Why the shared counters cannot be asked, or nothing if they can."""
        return self._away

    async def open(self) -> None:
        """Look whether the counters are there and seeded; if not, that is seen to from now on."""
        try:
            if not await self._remote.seeded():
                self._lose("they do not know yet what was spent")
        except CountersAwayError as error:
            self._lose(str(error))

    async def admit(self, ask: Ask) -> Verdict:
        if self._away is None:
            verdict = await self._ask(ask)
            if verdict is not None:
                return verdict
        return self._admit_alone(ask)

    async def draw(self, draws: Sequence[Draw]) -> None:
        if self._away is None:
            with suppress(CountersAwayError):
                await self._tried(self._remote.draw(draws))
        elif self._share is not None:
            self._share.draw(draws)

    async def settle(self, settlement: Settlement) -> None:
        self._settle_alone(settlement)
        if settlement.id in self._alone:
            self._alone.discard(settlement.id)
            settlement = Settlement(settlement.id, settlement.costs)
        # Kept first: what is cut off on the way is delivered once more, and counts once.
        self._backlog[settlement.id] = settlement
        if self._away is None:
            try:
                await self._tried(self._remote.settle(settlement))
            except CountersAwayError:
                return
            except BaseException:
                self._mend()
                raise
            self._backlog.pop(settlement.id, None)

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        if self._share is not None:
            self._share.renew(reservations, lease_ms)
        if self._away is None:
            with suppress(CountersAwayError):
                await self._tried(self._remote.renew(reservations, lease_ms))

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        if self._away is None:
            return await self._tried(self._remote.levels(draws))
        if self._share is not None:
            return self._share.levels(draws)
        raise CountersAwayError(self._away)

    async def balance(self, accounts: Sequence[str]) -> tuple[Balance, ...]:
        """Look what all processes have spent; while nobody knows that, raise."""
        if self._away is not None:
            raise CountersAwayError(self._away)
        return await self._tried(self._remote.balance(accounts))

    async def seed(self, spent: Mapping[str, int], settled: Iterable[str] = ()) -> None:
        """Wait a little for the shared counters to be there, and see that they know no less.

        A process that was killed while they were away has taken settlements with it that are in
        the ledger. Then they are seeded again, from sums that are read when every process has
        written its journal; those that are given here may be older.
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

    async def add_place(self, line: str, due_in_ms: int, kept_ms: int) -> str:
        """Keep a place where everybody sees it; while that is away, for this process alone."""
        if self._away is None:
            with suppress(CountersAwayError):
                return await self._tried(self._remote.add_place(line, due_in_ms, kept_ms))
        return self._lines.add(line, self._clock() + due_in_ms)

    async def take_place(self, line: str, kept_ms: int) -> DueSlot | None:
        if self._away is None:
            with suppress(CountersAwayError):
                return await self._tried(self._remote.take_place(line, kept_ms))
        return self._lines.take(line, kept_ms, self._clock())

    async def drop_place(self, line: str, place: str) -> bool:
        """Forget a place. One of which nobody knows any more has nothing to give back, either."""
        if self._away is None:
            with suppress(CountersAwayError):
                return await self._tried(self._remote.drop_place(line, place))
        return self._lines.drop(line, place)

    async def mended(self) -> None:
        """Wait until everything is delivered and the counters can be asked."""
        if self._mender is not None:
            await asyncio.shield(self._mender)

    async def aclose(self) -> None:
        """Try once more to deliver what was settled; what cannot be is in the ledger."""
        if self._mender is not None:
            self._mender.cancel()
            with suppress(asyncio.CancelledError):
                await self._mender
        with suppress(CountersError):
            await self._deliver()
        await self._remote.aclose()

    async def _ask(self, ask: Ask) -> Verdict | None:
        """Ask the shared counters; no answer means that they are away now."""
        try:
            verdict = await self._tried(self._remote.admit(ask))
        except CountersAwayError:
            self._lost.add(ask.id)
            return None
        except BaseException:
            # It may have been granted, and nobody is there any more to settle it.
            self._lost.add(ask.id)
            self._mend()
            raise
        if isinstance(verdict, Unseeded):
            self._lose("they do not know any more what was spent")
            return None
        self._note(ask, verdict)
        return verdict

    def _admit_alone(self, ask: Ask) -> Verdict:
        if self._share is None:
            raise CountersAwayError(self._away)
        if len(self._backlog) >= LARGEST_BACKLOG:
            raise CountersAwayError("Too much was granted without the shared counters")
        verdict = self._share.admit(ask)
        if self._note(ask, verdict):
            self._alone.add(ask.id)
        return verdict

    def _note(self, ask: Ask, verdict: Verdict) -> bool:
        if not isinstance(verdict, Granted):
            return False
        self._running[ask.id] = ask
        self._lost.discard(ask.id)
        return True

    def _settle_alone(self, settlement: Settlement) -> None:
        self._running.pop(settlement.id, None)
        if self._meanwhile is not None:
            self._meanwhile.append(settlement)
        if self._share is not None:
            self._share.settle(settlement)

    async def _tried(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except CountersAwayError as error:
            self._lose(str(error))
            raise

    def _lose(self, reason: str) -> None:
        if self._away is None:
            self._log.warning("counters_away", reason=reason)
            self._away = reason
        self._mend()

    def _mend(self) -> None:
        if self._mender is None or self._mender.done():
            self._mender = asyncio.create_task(self._keep_mending())

    async def _keep_mending(self) -> None:
        while not await self._mend_once():
            self._outage = True
            if self._away is not None:
                await self._begin_alone()
            await asyncio.sleep(self._retry_s)
        if self._away is not None:
            self._log.info("counters_back")
        self._away = self._share = None
        self._lines = RetryQueues()
        self._outage = False

    async def _mend_once(self) -> bool:
        """Make the shared counters whole; tells whether they are.

        They know less than the ledger if another process has settled something while they were
        away, and was killed before it could tell them. Then they are seeded again.
        """
        try:
            if not await self._remote.seeded():
                await self._hold_again()
                await self._begin_alone()
                if not await reseed(self._remote, self._sums, self._grace_s):
                    return False  # another process is about to do it
                self._outage = False
            if self._away is not None:
                await self._hold_again()
            await self._deliver()
            if self._outage and await self._know_less():
                await self._remote.unseed()
                return False
        except (CountersError, StoreError) as error:
            if self._away is not None and str(error) != self._away:
                self._away = str(error)
                self._log.warning("counters_away", reason=self._away)
            return False
        return True

    async def _know_less(self) -> bool:
        """Tell whether the counters lack something after the others had time to deliver it."""
        for patience_s in (0, self._grace_s):
            await asyncio.sleep(patience_s)
            seed = await self._sums()
            # What this process has just written is still to be told.
            await self._deliver()
            known = await self._remote.balance(tuple(seed.spent))
            least = seed.spent.values()
            if all(one.spent >= amount for one, amount in zip(known, least, strict=True)):
                return False
        self._log.warning("counters_know_less", reason="they know less than the ledger")
        return True

    async def _hold_again(self) -> None:
        """Tell what this process's running requests hold; what is known already stays so."""
        running = iter(tuple(self._running.values()))
        while part := tuple(islice(running, _PART)):
            await self._remote.hold([ask for ask in part if ask.id in self._running])

    async def _deliver(self) -> None:
        while self._backlog:
            for settlement in tuple(self._backlog.values()):
                await self._remote.settle(settlement)
                self._backlog.pop(settlement.id, None)
        if lost := tuple(self._lost):
            await self._remote.release(lost)
            self._lost.difference_update(lost)

    async def _begin_alone(self) -> None:
        """Learn from the ledger what is spent, and grant a share of the rest from then on."""
        if self._part is None or self._share is not None:
            return
        # What others have settled just now must be in the sums, or it would be spent twice.
        await asyncio.sleep(self._grace_s)
        self._meanwhile = []
        try:
            seed = await self._sums()
            share = Share(self._part, seed.spent, self._running.values(), self._clock)
            for settlement in self._meanwhile:
                # The sums may contain it: better counted twice than not at all.
                share.settle(settlement)
            self._share = share
        except StoreError as error:
            self._log.warning("counters_share_unknown", reason=str(error))
        finally:
            self._meanwhile = None
