"""Seeds shared counters with the spent amounts, when they are new or have lost them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol, TypeAlias

import msgspec

from antiphon.core.limits.values import Account
from antiphon.store.counters.base import CountersAwayError


class Seed(msgspec.Struct, frozen=True):
    """The ledger's sums at one moment: the money spent on every account of a current period.

    `settled` are the ids of the requests in these sums whose settlement may still arrive: those of
    the last hour. Both are read in one transaction.
    """

    spent: Mapping[Account, int]
    settled: tuple[str, ...] = ()


# Reads the ledger, after this process's own journal has been written into it.
ReadTotals: TypeAlias = Callable[[], Awaitable[Seed]]


class Claim(msgspec.Struct, frozen=True):
    """The right to seed, valid for one run of the server."""

    claimant: str
    run: str


class Seedable(Protocol):
    """Shared counters, which one of the processes seeds."""

    async def claim(self, patience_ms: int) -> Claim | None: ...

    async def complete(self, claim: Claim, seed: Seed) -> None: ...

    async def abandon(self, claim: Claim) -> None: ...


# The time in which a process reads the sums and writes them into the counters.
SEEDING_MS = 30_000


async def reseed(counters: Seedable, totals: ReadTotals, grace_s: float) -> bool:
    """Seed the counters; return `False` if they are seeded or another process is seeding them.

    Until the end every verdict is `Unseeded`, so there is no new spending. The sums are read after
    `grace_s`, in which every process writes its journal into the ledger: so they contain every cost
    that was settled into the lost counters.
    """
    claim = await counters.claim(SEEDING_MS + round(grace_s * 1000))
    if claim is None:
        return False
    try:
        await asyncio.sleep(grace_s)
        await counters.complete(claim, await totals())
    except BaseException:
        # Another process may try now; if the counters are away, the claim runs out.
        with suppress(CountersAwayError):
            await counters.abandon(claim)
        raise
    return True
