"""The interface to the index of the prompt cache.

The index holds what `core.prompt_cache` needs to know of earlier requests: entries by the keys of
their prefixes, and fingerprints by the ids of answers. It holds no text, no tokens and no KV, and
proves nothing: an engine decides what is really reused. Organizations, workspaces and models are
parts of every key, so one index may serve all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from antiphon.core.prompt_cache import CacheEntry, Fingerprint

FINGERPRINT_MS: Final = 3_600_000
"""How long a fingerprint is kept: no entry of its prompt lives longer without being read."""


class Found(msgspec.Struct, frozen=True):
    """The live entries among the keys that were asked for, and the time at which they were."""

    now: int
    entries: Mapping[bytes, CacheEntry]


class CacheIndex(Protocol):
    """The index of the prompt cache.

    Times are Unix milliseconds of one clock, that of the index, which `find` tells. While an index
    in another process is away, nothing is found and nothing is kept: no method raises for that,
    because caching is no reason to refuse a request.

    An entry is gone at its end, whatever is still in memory: it is not found, not refreshed, and
    not merged with another one.
    """

    async def find(self, keys: Sequence[bytes]) -> Found:
        """Return the live entries among these keys (at most 1,600), in one step."""
        ...

    async def refresh(self, key: bytes, started_at: int) -> None:
        """Begin the lifetime of a live entry again, for a read by a request that started then."""
        ...

    async def store(self, entries: Mapping[bytes, CacheEntry]) -> None:
        """Add entries; of two under one key the longer life remains (`merged`)."""
        ...

    async def keep_fingerprint(self, key: bytes, fingerprint: Fingerprint) -> None:
        """Keep the fingerprint of an answer's prompt for `FINGERPRINT_MS`, or less."""
        ...

    async def fingerprint(self, key: bytes) -> Fingerprint | None:
        """Return a fingerprint that is still kept."""
        ...

    async def aclose(self) -> None: ...
