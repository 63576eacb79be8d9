import pytest

from antiphon.core.prompt_cache.entries import CacheEntry, merged, refreshed, written
from support.prompt_cache import Cache, marked, prompt_of, seen, usage
from support.requests import user

MINUTE = 60_000


@pytest.mark.parametrize(("ttl", "life"), [("5m", 300_000), ("1h", 3_600_000)])
def test_entry_lives_for_its_ttl_from_the_start_of_its_request(ttl: str, life: int) -> None:
    entry = written(600, ttl, 1000)
    assert entry == CacheEntry(600, ttl, 1000 + life)
    assert entry.is_live(1000 + life - 1)
    assert not entry.is_live(1000 + life)


def test_read_moves_the_end_and_keeps_the_lifetime() -> None:
    assert refreshed(CacheEntry(600, "5m", 300_000), 100_000) == CacheEntry(600, "5m", 400_000)
    assert refreshed(CacheEntry(600, "1h", 3_600_000), 5) == CacheEntry(600, "1h", 3_600_005)


def test_read_that_started_earlier_never_moves_the_end_back() -> None:
    entry = CacheEntry(600, "5m", 400_000)
    assert refreshed(entry, 99_999) == entry


def test_longer_lifetime_and_later_end_of_two_live_entries_remain() -> None:
    short, long = CacheEntry(600, "5m", 4_000_000), CacheEntry(600, "1h", 3_600_000)
    assert merged(short, long, 0) == merged(long, short, 0) == CacheEntry(600, "1h", 4_000_000)
    assert merged(short, CacheEntry(600, "5m", 1), 0) == short


@pytest.mark.parametrize(
    "before", [None, CacheEntry(600, "1h", 10), CacheEntry(601, "1h", 9_000_000)]
)
def test_entry_replaces_none_an_expired_one_and_one_of_another_count(
    before: CacheEntry | None,
) -> None:
    entry = CacheEntry(600, "5m", 300_000)
    assert merged(before, entry, 10) == entry


def test_reads_keep_an_entry_alive_for_longer_than_its_ttl() -> None:
    cache = Cache()
    prompt = prompt_of(user("hi"), system=[marked(600)])
    cache.ask(prompt, now=0)
    for minute in (4, 8, 12):
        assert seen(cache.ask(prompt, now=minute * MINUTE)) == usage(2, read=600)
    assert seen(cache.ask(prompt, now=17 * MINUTE)) == usage(2, write_5m=600)


def test_breakpoint_of_an_hour_does_not_prolong_an_entry_of_minutes() -> None:
    cache = Cache()
    cache.ask(prompt_of(user("hi"), system=[marked(600)]), now=0)
    long = prompt_of(user("hi"), system=[marked(600, "1h")])
    assert seen(cache.ask(long, now=MINUTE)) == usage(2, read=600)
    assert seen(cache.ask(long, now=6 * MINUTE)) == usage(2, write_1h=600)


def test_request_that_fails_leaves_no_entry() -> None:
    cache = Cache()
    prompt = prompt_of(user("hi"), system=[marked(600)])
    cache.start(prompt, now=0)
    assert seen(cache.ask(prompt, now=1)) == usage(2, write_5m=600)
