import pytest

from antiphon.core.prompt_cache import CacheEntry, Fingerprint
from antiphon.store.prompt_cache.memory import MemoryCacheIndex
from support.valkey import Clock

pytestmark = pytest.mark.anyio

HOUR = 3_600_000


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def fingerprint(blocks: int) -> Fingerprint:
    hashes = (b"h" * 8,) * blocks
    return Fingerprint(600, 9000, b"m" * 8, b"t" * 8, b"s" * 8, hashes, (1,) * (2 + blocks))


async def test_entry_without_room_replaces_the_one_that_ends_next() -> None:
    clock = Clock()
    index = MemoryCacheIndex(clock, most_entries=3)
    await index.store({key(1): CacheEntry(600, "1h", clock.now + HOUR)})
    for number in (2, 3):
        await index.store({key(number): CacheEntry(600, "5m", clock.now + 300_000 + number)})
    await index.refresh(key(2), clock.now + 9)
    await index.store({key(4): CacheEntry(600, "1h", clock.now + HOUR)})
    assert list((await index.find([*map(key, range(5))])).entries) == [*map(key, (1, 2, 4))]
    await index.store({key(4): CacheEntry(601, "5m", clock.now + 1)})
    assert len(index) == 3
    await index.store({key(number): CacheEntry(9, "5m", clock.now + 99) for number in range(9, 19)})
    assert len(index) == 3


async def test_entries_that_are_over_are_removed_a_few_at_a_time() -> None:
    clock = Clock()
    index = MemoryCacheIndex(clock)
    entries = {key(number): CacheEntry(600, "5m", clock.now + 300_000) for number in range(200)}
    await index.store(entries)
    clock.now += 300_000
    left = []
    for _ in range(4):
        await index.refresh(key(0), clock.now)
        left.append(len(index))
    assert left == [136, 72, 8, 0]


async def test_oldest_fingerprints_make_room() -> None:
    clock = Clock()
    index = MemoryCacheIndex(clock, most_fingerprint_bytes=20_000)
    for number in range(40):
        await index.keep_fingerprint(key(number), fingerprint(1))
    assert await index.fingerprint(key(0)) == fingerprint(1)
    await index.keep_fingerprint(key(99), fingerprint(1000))
    kept = [number for number in range(100) if await index.fingerprint(key(number))]
    assert kept
    assert kept[-1] == 99
    assert kept[:-1] == list(range(40 - len(kept) + 1, 40))
    assert len(kept) < 40


async def test_fingerprint_larger_than_the_room_is_not_kept() -> None:
    index = MemoryCacheIndex(Clock(), most_fingerprint_bytes=500)
    await index.keep_fingerprint(key(1), fingerprint(1000))
    assert await index.fingerprint(key(1)) is None
    await index.keep_fingerprint(key(2), fingerprint(1))
    assert await index.fingerprint(key(2)) == fingerprint(1)


async def test_fingerprints_that_are_over_are_removed() -> None:
    clock = Clock()
    index = MemoryCacheIndex(clock)
    for number in range(10):
        await index.keep_fingerprint(key(number), fingerprint(1))
    clock.now += HOUR
    await index.keep_fingerprint(key(99), fingerprint(1))
    assert len(index._fingerprints._kept) == 1
