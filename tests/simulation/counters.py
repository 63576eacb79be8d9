"""A counters server that several simulated processes share, in the place of Valkey.

It decides by the real `Tally`, in one step for each call, and answers over a network: what was
sent arrives although its sender is killed meanwhile. It can refuse, hang, and lose its memory.
The Lua script that decides the same in Valkey is held to it by tests/contracts/test_counters.py.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from itertools import count
from random import Random
from typing import TypeVar

from antiphon.core.limits.spend import EMPTY, AccountState
from antiphon.core.limits.values import Account, Ask, Balance, Draw, Level, Settlement, Verdict
from antiphon.store.counters.base import CountersAwayError, DueSlot, UnseededError
from antiphon.store.counters.memory import RetryQueues
from antiphon.store.counters.seeding import SEEDING_MS, Claim, Seed
from antiphon.store.counters.tally import Tally
from antiphon.store.valkey import PATIENCE_S
from simulation.faults import Fault, Faults
from simulation.loop import attempt, deliver

T = TypeVar("T")

# How long a way over the network takes, in seconds.
WAY_S = (50e-6, 3e-3)


class SharedTally(Tally):
    """A tally with what only shared counters do: they are unseeded, told what runs, and seeded."""

    def __init__(self) -> None:
        super().__init__()
        self.queues = RetryQueues()
        self._claim: tuple[str, int] | None = None

    @property
    def seeded(self) -> bool:
        return self._seeded

    def require_seeded(self) -> None:
        """Raise `UnseededError` until the counters are seeded."""
        if not self._seeded:
            raise UnseededError("The counters do not know what has been spent")

    def unseed(self) -> None:
        self._seeded = False

    def hold(self, asks: Iterable[Ask], now: int) -> None:
        for ask in asks:
            if ask.id in self._reservations or ask.id in self._settled:
                continue
            for hold in ask.holds:
                account = self._accounts.get(hold.account, EMPTY)
                held = AccountState(
                    account.spent, account.held + hold.amount, account.first, account.first_until
                )
                self._keep_accounts({hold.account: held}, now)
            self._reserve(ask, now)

    def give_up(self, reservations: Iterable[str]) -> None:
        for name in reservations:
            self._release(self._reservations.pop(name, None))

    def begin_seeding(self, claimant: str, patience_ms: int, now: int) -> bool:
        if self._seeded or (self._claim is not None and now < self._claim[1]):
            return False
        self._claim = claimant, now + patience_ms
        return True

    def abandon_seeding(self, claimant: str) -> None:
        if self._claim is not None and self._claim[0] == claimant:
            self._claim = None

    def learn(self, claimant: str, seed: Seed, now: int, *, last: bool) -> bool:
        """Take a part of the sums; after the last one asks are decided."""
        claim = self._claim
        if claim is None or claim[0] != claimant or now >= claim[1] or self._seeded:
            return False
        for name, amount in seed.spent.items():
            account = self._accounts.get(name, EMPTY)
            known = AccountState(amount, account.held, account.first, account.first_until)
            self._keep_accounts({name: known}, now)
        for name in seed.settled:
            self._remember(name)
        if last:
            self._seeded, self._claim = True, None
        return True

    def accounts(self) -> Mapping[Account, AccountState]:
        return self._accounts


class CountersServer:
    """The server: a tally, a clock of its own, and what it has become after a restart."""

    def __init__(self, faults: Faults, chance: Random, clock: Callable[[], int]) -> None:
        self.faults = faults
        self.chance = chance
        self.clock = clock
        self.tally = SharedTally()
        self.names = count(1)

    def forget(self) -> None:
        """Start again without anything that was known."""
        self.tally = SharedTally()


class RemoteCounters:
    """The counters as one process has them: every call goes over the network, and may fail."""

    def __init__(self, server: CountersServer, client: str) -> None:
        self._server = server
        self._client = client

    async def admit(self, ask: Ask) -> Verdict:
        return await self._call(lambda tally, now: tally.admit(ask, now))

    async def draw(self, draws: Sequence[Draw]) -> None:
        def draw(tally: SharedTally, now: int) -> None:
            tally.draw(draws, now)
            tally.require_seeded()

        await self._call(draw)

    async def settle(self, *settlements: Settlement) -> None:
        def settle(tally: SharedTally, now: int) -> None:
            for settlement in settlements:
                tally.settle(settlement, now)

        await self._call(settle)

    async def hold(self, asks: Sequence[Ask]) -> None:
        await self._call(lambda tally, now: tally.hold(asks, now))

    async def release(self, reservations: Sequence[str]) -> None:
        await self._call(lambda tally, _: tally.give_up(reservations))

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        def renew(tally: SharedTally, now: int) -> None:
            tally.renew(reservations, lease_ms, now)
            tally.require_seeded()

        await self._call(renew)

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        return await self._call(lambda tally, now: tally.levels(draws, now))

    async def balance(self, accounts: Sequence[Account]) -> tuple[Balance, ...]:
        return await self._call(lambda tally, now: tally.balance(accounts, now))

    async def add_retry_slot(self, queue: str, due_in_ms: int, kept_ms: int) -> str:
        del kept_ms
        return await self._call(lambda tally, now: tally.queues.add(queue, now + due_in_ms))

    async def take_retry_slot(self, queue: str, kept_ms: int) -> DueSlot | None:
        return await self._call(lambda tally, now: tally.queues.take(queue, kept_ms, now))

    async def drop_retry_slot(self, queue: str, slot: str) -> bool:
        return await self._call(lambda tally, _: tally.queues.drop(queue, slot))

    async def seeded(self) -> bool:
        return await self._call(lambda tally, _: tally.seeded)

    async def unseed(self) -> None:
        await self._call(lambda tally, _: tally.unseed())

    async def seed(self, spent: Mapping[Account, int], settled: Iterable[str] = ()) -> None:
        claim = await self.claim(SEEDING_MS)
        if claim is not None:
            await self.complete(claim, Seed(spent, tuple(settled)))

    async def claim(self, patience_ms: int) -> Claim | None:
        claimant = f"{self._client} {next(self._server.names)}"
        begun = await self._call(lambda t, now: t.begin_seeding(claimant, patience_ms, now))
        return Claim(claimant, "run") if begun else None

    async def abandon(self, claim: Claim) -> None:
        await self._call(lambda tally, _: tally.abandon_seeding(claim.claimant))

    async def complete(self, claim: Claim, seed: Seed) -> None:
        names = await self._call(lambda tally, _: list(tally.accounts()))
        parts = (Seed(dict.fromkeys(names, 0) | dict(seed.spent)), Seed({}, seed.settled), Seed({}))
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            if not await self._call(
                lambda t, now, p=part, end=last: t.learn(claim.claimant, p, now, last=end)
            ):
                raise CountersAwayError("Seeding the counters took too long; it is tried again")

    async def aclose(self) -> None:
        """A connection ends by itself."""

    async def _call(self, step: Callable[[SharedTally, int], T]) -> T:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._send(step)
        except (TimeoutError, OSError) as error:
            raise CountersAwayError(f"The counters cannot be asked: {error}") from error

    def _send(self, step: Callable[[SharedTally, int], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        server = self._server
        answer: asyncio.Future[T] = loop.create_future()

        def arrive() -> None:
            if server.faults.lasts(Fault.COUNTERS_HANG, self._client):
                return
            if server.faults.lasts(Fault.COUNTERS_AWAY, self._client):
                back(None, ConnectionRefusedError("connection refused"))
                return
            result, error = attempt(step, server.tally, server.clock())
            if not server.faults.lasts(Fault.COUNTERS_ANSWERS_LOST, self._client):
                back(result, error)

        def back(result: T | None, error: BaseException | None) -> None:
            loop.call_later(self._way(), deliver, answer, result, error)

        # In a context of its own: what was sent arrives, whatever becomes of the sender.
        loop.call_later(self._way(), arrive, context=Context())
        return answer

    def _way(self) -> float:
        return self._server.chance.uniform(*WAY_S)
