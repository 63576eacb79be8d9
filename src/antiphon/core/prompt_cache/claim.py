"""The claim of a request: the usage that its engine has proved.

    plan ─► engine reads, reuses and stores ─► Confirmation ─► claim ─► usage, entries

A read is claimed only where the engine reused at least the tokens of that entry. Where it had
less, the next shorter entry is claimed, or none, and the tokens between are written, not read. A
write is claimed only where the engine keeps the prefix: tokens of which nothing is kept are plain
input. So no request pays for an entry that no other one can read.
"""

from collections.abc import Mapping

import msgspec

from antiphon.core.billing.usage import TokenCounts
from antiphon.core.prompt import Confirmation
from antiphon.core.prompt_cache.entries import CacheEntry, written
from antiphon.core.prompt_cache.plan import CachePlan, CachePoint, behind, usage_of


class CacheClaim(msgspec.Struct, frozen=True):
    """What a request has read and written, and its usage, which is billed."""

    usage: TokenCounts
    read: CachePoint | None
    writes: tuple[CachePoint, ...]

    def entries(self, begun_at: int) -> Mapping[bytes, CacheEntry]:
        """Return the entries to store, once the response begins, by their keys.

        `begun_at` is the time at which the response begins.
        """
        return {point.key: written(point.tokens, point.ttl, begun_at) for point in self.writes}


def claim_of(plan: CachePlan, confirmed: Confirmation) -> CacheClaim:
    """Return what may be claimed of a plan."""
    read = next((entry for entry in plan.readable if entry.tokens <= confirmed.reused), None)
    kept = (point for point in behind(read, plan.writable) if point.tokens in confirmed.stored)
    writes = tuple(kept)
    return CacheClaim(usage_of(plan.tokens, read, writes), read, writes)
