"""How shared counters learn again what was spent, when they are new or have lost it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from antiphon.store.counters.base import CountersAwayError


@dataclass(frozen=True, slots=True)
class Seed:
    """The sums of the ledger at one moment: what was spent on every account that is not over.

    `settled` are the ids of the requests in these sums whose settlement may still be on its way:
    those of the last hour. All three are read in one transaction.
    """

    spent: Mapping[str, int]
    settled: tuple[str, ...] = ()


Sums: TypeAlias = Callable[[], Awaitable[Seed]]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to seed, and the run of the server for which it was given."""

    claimant: str
    run: str


class Seedable(Protocol):
    """Counters that several processes share, and that one of them seeds."""

    async def claim(self, patience_ms: int) -> Claim | None: ...

    async def complete(self, claim: Claim, seed: Seed) -> None: ...

    async def abandon(self, claim: Claim) -> None: ...


# What reading the sums and writing them into the counters may take.
SEEDING_MS = 30_000


async def reseed(counters: Seedable, sums: Sums, grace_s: float) -> bool:
    """Seed the counters, unless they are seeded or somebody else is about to do it.

    Until the end every ask is answered `Unseeded`, so nothing new is spent. The sums are read
    after `grace_s`, in which every process writes what it has in its journal into the ledger: a
    cost that had been settled into the counters that were lost is then in the sums.
    """
    claim = await counters.claim(SEEDING_MS + round(grace_s * 1000))
    if claim is None:
        return False
    try:
        await asyncio.sleep(grace_s)
        await counters.complete(claim, await sums())
    except BaseException:
        # For others to try; and if that cannot be said, the claim runs out.
        with suppress(CountersAwayError):
            await counters.abandon(claim)
        raise
    return True
