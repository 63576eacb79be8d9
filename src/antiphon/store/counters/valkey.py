"""Counters in Valkey: shared by every process, each call one script in one round trip."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from secrets import token_hex
from typing import Any

from antiphon.core.limits.spend import lifetime
from antiphon.core.limits.values import (
    Account,
    Ask,
    Balance,
    Busy,
    Draw,
    Exceeded,
    Granted,
    Level,
    Limited,
    Settlement,
    Unseeded,
    Verdict,
)
from antiphon.store.counters.base import CountersAwayError, CountersError, DueSlot, UnseededError
from antiphon.store.counters.seeding import SEEDING_MS, Claim, Seed
from antiphon.store.valkey import (
    Script,
    ValkeyAwayError,
    ValkeyServer,
    ValkeySetupError,
    connect,
)

# Accounts or ids in one call of a seeding, so that no call blocks the server.
_PART = 500

_UNSEEDED = "The counters have not learned the spent amounts"


def open_valkey(
    url: str, *, name: str = "antiphon", patience_s: float | None = None
) -> "ValkeyCounters":
    """Return the counters at a URL, as `store.valkey.connect` reads it; raises `CountersError`."""
    try:
        return ValkeyCounters(connect(url, name=name, patience_s=patience_s))
    except ValkeySetupError as error:
        raise CountersError(str(error)) from error


class ValkeyCounters:
    """The rules of `core.limits` in Lua; see `counters.lua` for the script and its keys.

    The time is the server's, which all processes share. `clock` replaces it in tests.
    """

    def __init__(self, server: ValkeyServer, clock: Callable[[], int] | None = None) -> None:
        self._server = server
        self._client = server.client
        self._prefix = server.prefix
        self._clock = clock
        self._script = Script((files(__package__) / "counters.lua").read_bytes())
        self._key = lru_cache(maxsize=8192)(_key)

    async def admit(self, ask: Ask) -> Verdict:
        match await self._call("admit", self._written(ask)):
            case ["granted", levels]:
                return Granted(_levels(levels))
            case ["limited", index, retry_after_ms, levels]:
                return Limited(index, retry_after_ms, _levels(levels))
            case ["exceeded", index]:
                return Exceeded(index)
            case ["busy", index]:
                return Busy(index)
            case _:
                return Unseeded()

    async def draw(self, draws: Sequence[Draw]) -> None:
        """Draw, and raise `UnseededError` until the counters are seeded."""
        if not await self._call("draw", draws):
            raise UnseededError(_UNSEEDED)

    async def settle(self, *settlements: Settlement) -> None:
        """Settle, and raise `UnseededError` without an effect until the counters are seeded."""
        if not await self._call("settle", [self._settled(one) for one in settlements]):
            raise UnseededError(_UNSEEDED)

    async def hold(self, asks: Sequence[Ask]) -> None:
        """Take the holds of these asks regardless of limits, also before the seeding."""
        await self._call("hold", [self._written(ask) for ask in asks])

    async def release(self, reservations: Sequence[str]) -> None:
        """Release the holds of these reservations; a settlement may still follow."""
        await self._call("release", reservations)

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        argument = {"reservations": reservations, "lease_ms": lease_ms}
        if not await self._call("renew", argument):
            raise UnseededError(_UNSEEDED)

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        return _levels(await self._call("levels", draws))

    async def balance(self, accounts: Sequence[Account]) -> tuple[Balance, ...]:
        found = await self._call("balance", [self._key(account)[0] for account in accounts])
        return tuple(Balance(int(spent), int(held)) for spent, held in found)

    async def add_retry_slot(self, queue: str, due_in_ms: int, kept_ms: int) -> str:
        slot = token_hex(8)
        argument = {"queue": queue, "slot": slot, "due_in_ms": due_in_ms, "kept_ms": kept_ms}
        await self._call("add_retry_slot", argument)
        return slot

    async def take_retry_slot(self, queue: str, kept_ms: int) -> DueSlot | None:
        found = await self._call("take_retry_slot", {"queue": queue, "kept_ms": kept_ms})
        return DueSlot(*found) if found else None

    async def drop_retry_slot(self, queue: str, slot: str) -> bool:
        return bool(await self._call("drop_retry_slot", {"queue": queue, "slot": slot}))

    async def seeded(self) -> bool:
        """Return whether the counters are seeded, and so decide asks."""
        return bool(await self._call("seeded", ()))

    async def unseed(self) -> None:
        """Mark the counters as unseeded: they decide nothing until the next seeding."""
        await self._call("unseed", ())

    async def seed(self, spent: Mapping[Account, int], settled: Iterable[str] = ()) -> None:
        """Seed at once. With running requests of other processes, use `seeding.reseed` instead."""
        claim = await self.claim(SEEDING_MS)
        if claim is not None:
            await self.complete(claim, Seed(spent, tuple(settled)))

    async def claim(self, patience_ms: int) -> Claim | None:
        """Claim the right to seed for this time; `None` if another process has it or has seeded.

        Raises `CountersError` if the server may evict counters when its memory is full.
        """
        claimant = token_hex(16)
        run = await self._call("begin_seeding", {"claimant": claimant, "patience_ms": patience_ms})
        if not run:
            return None
        claim = Claim(claimant, run)
        try:
            await self._refuse_eviction()
        except CountersError:
            await self.abandon(claim)
            raise
        return claim

    async def abandon(self, claim: Claim) -> None:
        """Give up the right to seed."""
        await self._call("abandon_seeding", claim.claimant)

    async def complete(self, claim: Claim, seed: Seed) -> None:
        """Write the sums; from now on asks are decided."""
        rows: dict[str, tuple[str, str, int | None]] = {
            # Accounts of an earlier state of the server have an expiry already.
            name: (name, "0", None)
            for name in await self._names()
        }
        for account, amount in seed.spent.items():
            name, forget_at = self._key(account)
            rows[name] = (name, str(amount), forget_at)
        parts = [{"spent": part, "settled": ()} for part in _parts(rows.values())]
        parts += [{"spent": (), "settled": part} for part in _parts(seed.settled)]
        for part in [*parts, {"spent": (), "settled": (), "run": claim.run}]:
            if not await self._call("seed", {"claimant": claim.claimant, **part}):
                raise CountersAwayError("Seeding the counters took too long; it is tried again")

    async def aclose(self) -> None:
        await self._server.aclose()

    def _written(self, ask: Ask) -> dict[str, Any]:
        holds = []
        for hold in ask.holds:
            name, forget_at = self._key(hold.account)
            holds.append((name, hold.limit, hold.amount, forget_at))
        return {
            "id": ask.id,
            "draws": ask.draws,
            "holds": holds,
            "lease_ms": ask.lease_ms,
            "waits": ask.waits,
        }

    def _settled(self, settlement: Settlement) -> dict[str, Any]:
        costs = []
        for account, cost in settlement.costs.items():
            name, forget_at = self._key(account)
            costs.append((name, cost, forget_at))
        return {"id": settlement.id, "costs": costs, "corrections": settlement.corrections}

    async def _names(self) -> list[str]:
        """Return the names of the accounts that the server has."""
        start, cursor, names = f"{self._prefix}:account:", None, list[str]()
        while cursor != 0:
            async with self._asking():
                cursor, keys = await self._client.scan(cursor or 0, f"{start}*", 1000)
            names += [key.decode().removeprefix(start) for key in keys]
        return names

    async def _refuse_eviction(self) -> None:
        async with self._asking():
            memory = await self._client.info("memory")
        if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
            raise CountersError(
                "The Valkey server throws keys away when its memory is full, so limits would be "
                "forgotten: set `maxmemory-policy noeviction`"
            )

    async def _call(self, operation: str, argument: Any) -> Any:
        now = None if self._clock is None else self._clock()
        try:
            return await self._server.run(self._script, operation, argument, now)
        except ValkeyAwayError as error:
            raise CountersAwayError(str(error)) from error

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[None]:
        try:
            async with self._server.asking():
                yield
        except ValkeyAwayError as error:
            raise CountersAwayError(str(error)) from error


def _key(account: Account) -> tuple[str, int | None]:
    """Return the key of an account in the server, and the time at which it may expire.

    Only this function writes an account as text. Servers of several releases share these keys.

    >>> from datetime import date
    >>> _key(Account("organization", "1", "monthly", date(2026, 11, 1)))
    ('organization:1:monthly:2026-11-01', 1798848000000)
    """
    name = f"{account.scope}:{account.scope_id}:{account.period}:{account.start.isoformat()}"
    found = lifetime(account)
    return name, None if found is None else found.forget_at


def _levels(pairs: Iterable[tuple[int, int]]) -> tuple[Level, ...]:
    return tuple(Level(remaining, full_in_ms) for remaining, full_in_ms in pairs)


def _parts(rows: Iterable[Any]) -> Iterable[list[Any]]:
    left = iter(rows)
    while part := list(islice(left, _PART)):
        yield part
