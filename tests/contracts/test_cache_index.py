"""What every index of the prompt cache must do."""

import asyncio
from asyncio import Runner
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.prompt_cache import CacheEntry, Fingerprint
from antiphon.store.prompt_cache.base import FINGERPRINT_MS, CacheIndex, Found
from antiphon.store.prompt_cache.memory import MemoryCacheIndex
from support.naive_cache_index import NaiveIndex
from support.valkey import Clock, Server, timed_index

pytestmark = pytest.mark.anyio

MINUTE = 60_000
A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "valkey"])
async def index(
    request: pytest.FixtureRequest, clock: Clock, names: Iterator[str]
) -> AsyncGenerator[CacheIndex]:
    index: CacheIndex = MemoryCacheIndex(clock)
    if request.param == "valkey":
        index = timed_index(request.getfixturevalue("valkey").url, next(names), clock)
    yield index
    await index.aclose()


def fingerprint(tokens: int = 600, blocks: int = 3) -> Fingerprint:
    hashes = tuple(bytes([number % 256] * 8) for number in range(blocks))
    return Fingerprint(
        tokens, 9000, b"m" * 8, b"t" * 8, b"s" * 8, hashes, tuple(range(2 + blocks)), whole=False
    )


async def test_entry_is_found_until_its_end_and_not_at_it(index: CacheIndex, clock: Clock) -> None:
    entry = CacheEntry(600, "5m", clock.now + 5 * MINUTE)
    await index.store({A: entry})
    clock.now += 5 * MINUTE - 1
    assert await index.find([A, B]) == Found(clock.now, {A: entry})
    clock.now += 1
    assert await index.find([A, B]) == Found(clock.now, {})


async def test_no_keys_find_no_entries(index: CacheIndex, clock: Clock) -> None:
    assert await index.find([]) == Found(clock.now, {})


async def test_as_many_keys_as_a_request_may_have_are_found_at_once(
    index: CacheIndex, clock: Clock
) -> None:
    keys = [number.to_bytes(32, "big") for number in range(1600)]
    end = clock.now + 60 * MINUTE
    entries = {key: CacheEntry(place, "1h", end) for place, key in enumerate(keys)}
    for key in keys[::2]:
        await index.store({key: entries[key]})
    found = await index.find(keys)
    assert found.entries == {key: entries[key] for key in keys[::2]}


async def test_read_begins_the_lifetime_of_the_entry_again(index: CacheIndex, clock: Clock) -> None:
    start = clock.now
    await index.store({A: CacheEntry(600, "5m", start + 5 * MINUTE)})
    clock.now += 4 * MINUTE
    await index.refresh(A, start + 3 * MINUTE)
    found = await index.find([A])
    assert found.entries == {A: CacheEntry(600, "5m", start + 8 * MINUTE)}
    await index.refresh(A, start)
    assert (await index.find([A])).entries == found.entries


async def test_entry_that_is_over_is_not_refreshed(index: CacheIndex, clock: Clock) -> None:
    await index.store({A: CacheEntry(600, "5m", clock.now + 5 * MINUTE)})
    clock.now += 5 * MINUTE
    await index.refresh(A, clock.now)
    await index.refresh(B, clock.now)
    assert (await index.find([A, B])).entries == {}


async def test_longer_lifetime_and_later_end_of_two_live_entries_remain(
    index: CacheIndex, clock: Clock
) -> None:
    now = clock.now
    await index.store({A: CacheEntry(600, "1h", now + 60 * MINUTE)})
    await index.store({A: CacheEntry(600, "5m", now + 61 * MINUTE)})
    found = await index.find([A])
    assert found.entries == {A: CacheEntry(600, "1h", now + 61 * MINUTE)}


async def test_entry_replaces_one_of_another_count(index: CacheIndex, clock: Clock) -> None:
    await index.store({A: CacheEntry(600, "1h", clock.now + 60 * MINUTE)})
    entry = CacheEntry(601, "5m", clock.now + 5 * MINUTE)
    await index.store({A: entry})
    assert (await index.find([A])).entries == {A: entry}


async def test_entry_whose_end_is_over_is_not_stored(index: CacheIndex, clock: Clock) -> None:
    await index.store({A: CacheEntry(600, "5m", clock.now)})
    assert (await index.find([A])).entries == {}


async def test_fingerprint_is_kept_for_an_hour(index: CacheIndex, clock: Clock) -> None:
    await index.keep_fingerprint(A, fingerprint(1))
    await index.keep_fingerprint(A, fingerprint(2))
    clock.now += FINGERPRINT_MS - 1
    assert await index.fingerprint(A) == fingerprint(2)
    assert await index.fingerprint(B) is None
    clock.now += 1
    assert await index.fingerprint(A) is None


async def test_largest_fingerprint_comes_back_whole(index: CacheIndex) -> None:
    await index.keep_fingerprint(A, fingerprint(10**6, blocks=4096))
    assert await index.fingerprint(A) == fingerprint(10**6, blocks=4096)


# Random operations: every index decides as the naive one does -----------------------------------

KEYS = st.sampled_from([b"\x00" * 32, b"\xff{}:\n" * 6 + b"\xff\xff", b"c" * 32, b"d"])
TTLS = st.sampled_from(["5m", "1h"])
AGES = st.integers(-10, 3_700_000) | st.integers(-10, 400_000)
STEP: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("store"), KEYS, st.sampled_from([512, 600]), TTLS, AGES),
    st.tuples(st.just("refresh"), KEYS, AGES),
    st.tuples(st.just("pause"), st.integers(0, 400_000) | st.integers(0, 4_000_000)),
    st.tuples(st.just("fingerprint"), KEYS, st.integers(1, 10**6)),
)


async def agree(index: CacheIndex, clock: Clock, steps: list[Any]) -> None:
    naive = NaiveIndex()
    keys = [b"\x00" * 32, b"\xff{}:\n" * 6 + b"\xff\xff", b"c" * 32, b"d"]
    life = {"5m": 300_000, "1h": 3_600_000}
    for step in steps:
        match step:
            case "store", key, tokens, ttl, age:
                end = max(0, clock.now - age) + life[ttl]
                await index.store({key: CacheEntry(tokens, ttl, end)})
                naive.store(key, tokens, ttl, end, clock.now)
            case "refresh", key, age:
                await index.refresh(key, clock.now - age)
                naive.refresh(key, clock.now - age, clock.now)
            case "pause", time:
                clock.now += time
            case _, key, tokens:
                await index.keep_fingerprint(key, fingerprint(tokens))
                naive.keep_fingerprint(key, fingerprint(tokens), clock.now)
        found = await index.find(keys)
        entries = {key: msgspec.structs.astuple(one) for key, one in found.entries.items()}
        assert (found.now, entries) == (clock.now, naive.find(keys, clock.now))
        for key in keys:
            assert await index.fingerprint(key) == naive.fingerprint(key, clock.now)


@given(st.lists(STEP, max_size=40))
@settings(max_examples=200, deadline=None)
def test_memory_decides_as_the_naive_index(steps: list[Any]) -> None:
    clock = Clock()
    asyncio.run(agree(MemoryCacheIndex(clock), clock, steps))


@pytest.fixture
def run() -> Iterator[Runner]:
    with Runner() as runner:
        yield runner


def test_valkey_decides_as_the_naive_index(
    valkey: Server, names: Iterator[str], run: Runner
) -> None:
    @given(st.lists(STEP, max_size=40))
    @settings(max_examples=100, deadline=None)
    def check(steps: list[Any]) -> None:
        clock = Clock()
        run.run(decided(timed_index(valkey.url, next(names), clock), clock, steps))

    check()


async def decided(index: CacheIndex, clock: Clock, steps: list[Any]) -> None:
    try:
        await agree(index, clock, steps)
    finally:
        await index.aclose()


async def test_processes_share_entries_and_fingerprints(
    valkey: Server, names: Iterator[str], clock: Clock
) -> None:
    name = next(names)
    one, other = (timed_index(valkey.url, name, clock) for _ in range(2))
    stranger = timed_index(valkey.url, next(names), clock)
    entry = CacheEntry(600, "5m", clock.now + 5 * MINUTE)
    await one.store({A: entry})
    await one.keep_fingerprint(A, fingerprint())
    assert (await other.find([A])).entries == {A: entry}
    assert await other.fingerprint(A) == fingerprint()
    assert (await stranger.find([A])).entries == {}
    assert await stranger.fingerprint(A) is None
    for index in (one, other, stranger):
        await index.aclose()
