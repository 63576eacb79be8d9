"""Cache entries: how long they live, and what remains of two with the same key.

An entry is made when the response to its request begins, and not before: until then no other
request can read it, and a request that fails leaves none behind. Its life counts from then on, or
from the start of the request that read it last.

All times are milliseconds of one clock, which all requests that share the entries must share.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from antiphon.core.billing.pricing import CacheTtl

TTL_MS: Final[Mapping[CacheTtl, int]] = {"5m": 5 * 60 * 1000, "1h": 60 * 60 * 1000}


class CacheEntry(msgspec.Struct, frozen=True, gc=False):
    """A prefix that was written to the prompt cache: its tokens, its lifetime, its end."""

    tokens: int
    ttl: CacheTtl
    expires_at: int

    def is_live(self, now: int) -> bool:
        """Return whether a request that starts now may read it."""
        return now < self.expires_at


def written(tokens: int, ttl: CacheTtl, begun_at: int) -> CacheEntry:
    """Return the entry that a request writes whose response began at that time.

    The API counts from the start of the request, as the least time. A machine that reads a prompt
    for minutes would store what is over already.
    """
    return CacheEntry(tokens, ttl, begun_at + TTL_MS[ttl])


def refreshed(entry: CacheEntry, started_at: int) -> CacheEntry:
    """Return an entry after a read by a request which started at that time.

    The entry keeps its lifetime, whatever the breakpoint says that found it. A read never makes
    it end sooner: requests need not be noted in the order of their starts.
    """
    expires_at = max(entry.expires_at, started_at + TTL_MS[entry.ttl])
    return CacheEntry(entry.tokens, entry.ttl, expires_at)


def merged(before: CacheEntry | None, entry: CacheEntry, now: int) -> CacheEntry:
    """Return what stands under a key after a write, given what stood there before.

    Requests that run at the same time all write. Of two live entries the longer lifetime and the
    later end remain, so that no request loses a lifetime that it paid for.
    """
    if before is None or not before.is_live(now) or before.tokens != entry.tokens:
        return entry
    ttl: CacheTtl = "1h" if "1h" in {before.ttl, entry.ttl} else "5m"
    return CacheEntry(entry.tokens, ttl, max(before.expires_at, entry.expires_at))
