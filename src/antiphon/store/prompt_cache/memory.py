"""The index of the prompt cache in the memory of one process."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from antiphon.core.billing.pricing import CacheTtl
from antiphon.core.prompt_cache import CacheEntry, Fingerprint, merged, refreshed
from antiphon.store.prompt_cache.base import FINGERPRINT_MS, Found

MOST_ENTRIES: Final = 200_000
"""Entries that are kept: some 350 bytes each, so 70 MB."""
MOST_FINGERPRINT_BYTES: Final = 32 * 1024**2
"""The encoded fingerprints that are kept; the largest one has 62 kB."""

# What one call removes of each kind, at most. It is more than a call adds, so what is over does
# not pile up, and a call takes less than 0.1 ms for it.
_SWEPT: Final = 64

# The bytes of a fingerprint's key, time and places in memory.
_OVERHEAD: Final = 300


class MemoryCacheIndex:
    """Entries by lifetime, each kind in the order in which it was written or read.

    That is nearly the order in which they end, as requests start and are noted in nearly the same
    order. So each call looks at the oldest ones alone: it removes at most 64 that are over, and
    none behind one that is still alive. If there is no room, the entry that ends next makes it.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        most_entries: int = MOST_ENTRIES,
        most_fingerprint_bytes: int = MOST_FINGERPRINT_BYTES,
    ) -> None:
        self._clock = clock
        self._most_entries = most_entries
        self._entries: Mapping[CacheTtl, OrderedDict[bytes, CacheEntry]] = {
            "5m": OrderedDict(),
            "1h": OrderedDict(),
        }
        self._fingerprints = _Fingerprints(most_fingerprint_bytes)

    def __len__(self) -> int:
        """Return the number of entries in memory, those that are over included."""
        return sum(map(len, self._entries.values()))

    async def find(self, keys: Sequence[bytes]) -> Found:
        now = self._clock()
        found = {}
        for key in keys:
            entry = self._live(key, now)
            if entry is not None:
                found[key] = entry
        return Found(now, found)

    async def refresh(self, key: bytes, started_at: int) -> None:
        now = self._clock()
        entry = self._live(key, now)
        if entry is not None:
            self._put(key, refreshed(entry, started_at))
        self._sweep(now)

    async def store(self, entries: Mapping[bytes, CacheEntry]) -> None:
        now = self._clock()
        self._sweep(now)
        for key, entry in entries.items():
            before = self._live(key, now)
            after = merged(before, entry, now)
            self._remove(key)
            if after.is_live(now):
                self._make_room()
                self._put(key, after)

    async def keep_fingerprint(self, key: bytes, fingerprint: Fingerprint) -> None:
        self._fingerprints.keep(key, fingerprint, self._clock())

    async def fingerprint(self, key: bytes) -> Fingerprint | None:
        return self._fingerprints.find(key, self._clock())

    async def aclose(self) -> None:
        """Do nothing."""

    def _live(self, key: bytes, now: int) -> CacheEntry | None:
        for kind in self._entries.values():
            entry = kind.get(key)
            if entry is not None:
                return entry if entry.is_live(now) else None
        return None

    def _put(self, key: bytes, entry: CacheEntry) -> None:
        kind = self._entries[entry.ttl]
        kind[key] = entry
        kind.move_to_end(key)

    def _remove(self, key: bytes) -> None:
        for kind in self._entries.values():
            kind.pop(key, None)

    def _sweep(self, now: int) -> None:
        for kind in self._entries.values():
            for _ in range(_SWEPT):
                first = next(iter(kind.values()), None)
                if first is None or first.is_live(now):
                    break
                kind.popitem(last=False)

    def _make_room(self) -> None:
        if len(self) >= self._most_entries:
            kinds = (kind for kind in self._entries.values() if kind)
            min(kinds, key=lambda kind: next(iter(kind.values())).expires_at).popitem(last=False)


class _Fingerprints:
    """Encoded fingerprints, the oldest first: those that are over go, then those without room.

    The largest one may have to drop some 170 of the smallest ones, which takes 0.1 ms.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()

    def keep(self, key: bytes, fingerprint: Fingerprint, now: int) -> None:
        written = msgspec.msgpack.encode(fingerprint)
        if key in self._kept:
            self._drop(key)
        self._kept[key] = now + FINGERPRINT_MS, written
        self._bytes += len(written) + _OVERHEAD
        for _ in range(_SWEPT):
            first = next(iter(self._kept))
            if first == key or self._is_live(first, now):
                break
            self._drop(first)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def find(self, key: bytes, now: int) -> Fingerprint | None:
        if key not in self._kept or not self._is_live(key, now):
            return None
        return msgspec.msgpack.decode(self._kept[key][1], type=Fingerprint)

    def _is_live(self, key: bytes, now: int) -> bool:
        return now < self._kept[key][0]

    def _drop(self, key: bytes) -> None:
        self._bytes -= len(self._kept.pop(key)[1]) + _OVERHEAD
