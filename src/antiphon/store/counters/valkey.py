"""Counters in Valkey: shared by every process, each call one script in one round trip."""

from asyncio import timeout
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from hashlib import sha1
from importlib.resources import files
from itertools import islice
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import msgspec

from antiphon.core.limits.spend import forget_at_ms
from antiphon.core.limits.values import (
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

if TYPE_CHECKING:
    from valkey.asyncio import Valkey

# A server that has not answered after this time is away.
PATIENCE_S = 0.25
# More than these calls at once wait for one another.
CONNECTIONS = 32
# Accounts or ids in one call while seeding, so that no call holds up the server.
_PART = 500

_UNSEEDED = "The counters do not know what has been spent"


def open_valkey(
    url: str, *, name: str = "antiphon", patience_s: float = PATIENCE_S
) -> "ValkeyCounters":
    """Connect to nothing yet; `valkey://`, `valkeys://` (TLS) or `unix://`.

    `name` begins every key, so several installations can share a server.
    """
    try:
        from valkey.asyncio import BlockingConnectionPool, Valkey  # noqa: PLC0415 - an extra
        from valkey.asyncio.retry import Retry  # noqa: PLC0415
        from valkey.backoff import NoBackoff  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CountersError("Valkey needs a client: pip install 'antiphon[valkey]'") from error
    try:
        # No times for the client: with them, Python 3.11 may lose that a task was cancelled.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=None,
            socket_timeout=None,
            # An ask that was lost on the way may have been granted: it is not sent again.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        # Not the URL itself: it may hold a password.
        raise CountersError("The URL of the Valkey server cannot be read") from error
    return ValkeyCounters(Valkey.from_pool(pool), name, patience_s)


class ValkeyCounters:
    """`core` decides the same in Lua; see `counters.lua` for the script and its keys.

    The time is the server's, the only one that all processes share. `clock` replaces it in tests.
    """

    def __init__(
        self,
        client: "Valkey",
        name: str,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._client = client
        self._execute: Callable[..., Awaitable[Any]] = client.execute_command
        self._patience_s = patience_s
        self._prefix = f"{{{name}}}"
        self._clock = clock
        self._script = (files(__package__) / "counters.lua").read_bytes()
        self._digest = sha1(self._script).hexdigest()  # noqa: S324 - how Valkey names a script
        self._forget_at = lru_cache(maxsize=8192)(forget_at_ms)

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
        await self._call("draw", draws)

    async def settle(self, settlement: Settlement) -> None:
        """Raise `UnseededError` while nobody knows what was spent; nothing is counted then."""
        costs = [(name, cost, self._forget_at(name)) for name, cost in settlement.costs.items()]
        argument = {"id": settlement.id, "costs": costs, "corrections": settlement.corrections}
        if not await self._call("settle", argument):
            raise UnseededError(_UNSEEDED)

    async def hold(self, asks: Sequence[Ask]) -> None:
        """Hold what these asks hold, whatever the limits say and whatever is known."""
        await self._call("hold", [self._written(ask) for ask in asks])

    async def release(self, reservations: Sequence[str]) -> None:
        """Give up what these hold. Unlike a settlement it may be followed by one."""
        await self._call("release", reservations)

    async def renew(self, reservations: Sequence[str], lease_ms: int) -> None:
        argument = {"reservations": reservations, "lease_ms": lease_ms}
        if not await self._call("renew", argument):
            raise UnseededError(_UNSEEDED)

    async def levels(self, draws: Sequence[Draw]) -> tuple[Level, ...]:
        return _levels(await self._call("levels", draws))

    async def balance(self, accounts: Sequence[str]) -> tuple[Balance, ...]:
        found = await self._call("balance", accounts)
        return tuple(Balance(int(spent), int(held)) for spent, held in found)

    async def add_place(self, line: str, due_in_ms: int, kept_ms: int) -> str:
        place = token_hex(8)
        argument = {"line": line, "place": place, "due_in_ms": due_in_ms, "kept_ms": kept_ms}
        await self._call("add_place", argument)
        return place

    async def take_place(self, line: str, kept_ms: int) -> DueSlot | None:
        found = await self._call("take_place", {"line": line, "kept_ms": kept_ms})
        return DueSlot(*found) if found else None

    async def drop_place(self, line: str, place: str) -> bool:
        return bool(await self._call("drop_place", {"line": line, "place": place}))

    async def seeded(self) -> bool:
        """Tell whether it is known what was spent, and so whether asks are decided."""
        return bool(await self._call("seeded", ()))

    async def unseed(self) -> None:
        """Let what was spent be learned again, and nothing be decided until then."""
        await self._call("unseed", ())

    async def seed(self, spent: Mapping[str, int], settled: Iterable[str] = ()) -> None:
        """Seed at once. With requests under way elsewhere, use `seeding.reseed` instead."""
        claim = await self.claim(SEEDING_MS)
        if claim is not None:
            await self.complete(claim, Seed(spent, tuple(settled)))

    async def claim(self, patience_ms: int) -> Claim | None:
        """Claim the right to seed for this time; `None` if it is done, or somebody else does it.

        Raises `CountersError` if the server may throw counters away when its memory is full.
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
        """Let others seed."""
        await self._call("abandon_seeding", claim.claimant)

    async def complete(self, claim: Claim, seed: Seed) -> None:
        """Write the sums; from then on asks are decided."""
        spent = dict.fromkeys(await self._accounts(), 0) | dict(seed.spent)
        rows = [(name, str(amount), self._forget_at(name)) for name, amount in spent.items()]
        parts = [{"spent": part, "settled": ()} for part in _parts(rows)]
        parts += [{"spent": (), "settled": part} for part in _parts(seed.settled)]
        for part in [*parts, {"spent": (), "settled": (), "run": claim.run}]:
            if not await self._call("seed", {"claimant": claim.claimant, **part}):
                raise CountersAwayError("Seeding the counters took too long; it is tried again")

    async def aclose(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.aclose()

    def _written(self, ask: Ask) -> dict[str, Any]:
        holds = [(h.account, h.limit, h.amount, self._forget_at(h.account)) for h in ask.holds]
        return {
            "id": ask.id,
            "draws": ask.draws,
            "holds": holds,
            "lease_ms": ask.lease_ms,
            "waits": ask.waits,
        }

    async def _accounts(self) -> list[str]:
        """Name the accounts that an older state of the server has left."""
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
        from valkey.exceptions import NoScriptError  # noqa: PLC0415 - an extra

        parts = [1, self._prefix, operation, msgspec.msgpack.encode(argument)]
        if self._clock is not None:
            parts.append(self._clock())
        async with self._asking():
            try:
                answer = await self._execute("EVALSHA", self._digest, *parts)
            except NoScriptError:
                answer = await self._execute("EVAL", self._script, *parts)
        return msgspec.msgpack.decode(answer)

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[None]:
        from valkey.exceptions import ValkeyError  # noqa: PLC0415 - an extra

        try:
            async with timeout(self._patience_s):
                yield
        except (ValkeyError, OSError) as error:
            reason = next(iter(str(error).splitlines()), "") or "no answer in time"
            raise CountersAwayError(f"Valkey cannot be asked: {reason}") from error


def _levels(pairs: Iterable[tuple[int, int]]) -> tuple[Level, ...]:
    return tuple(Level(remaining, full_in_ms) for remaining, full_in_ms in pairs)


def _parts(rows: Sequence[Any]) -> Iterable[list[Any]]:
    left = iter(rows)
    while part := list(islice(left, _PART)):
        yield part
