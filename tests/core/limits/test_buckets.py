import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.limits.buckets import UNITS, Bucket, decide, level, take, wait_ms
from antiphon.core.limits.values import LARGEST_LIMIT, Draw, Granted, Level, Limited

LIMITS = st.one_of(st.integers(1, 200), st.integers(1, LARGEST_LIMIT))
TIMES = st.integers(0, 200_000)


@st.composite
def used_buckets(draw: st.DrawFn) -> Bucket:
    limit = draw(LIMITS)
    return Bucket(draw(st.integers(0, 3 * limit * UNITS)), draw(TIMES), limit)


def asked(limit: int, amount: int, **rest: bool) -> Draw:
    return Draw("bucket", limit, amount, **rest)


def try_draw(bucket: Bucket | None, draw: Draw, now: int) -> tuple[Granted | Limited, Bucket]:
    before = {} if bucket is None else {draw.bucket: bucket}
    verdict, after = decide((draw,), before, now)
    return verdict, {**before, **after}.get(draw.bucket, Bucket(0, now, draw.limit))


@pytest.mark.parametrize("limit", [0, -1, LARGEST_LIMIT + 1])
def test_limit_out_of_range_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="a rate limit is from 1"):
        asked(limit, 1)


def test_new_bucket_holds_a_minute_of_its_limit() -> None:
    assert level(None, 50, now=7) == Level(remaining=50, full_in_ms=0)


def test_draw_takes_units_and_time_refills_them() -> None:
    verdict, bucket = try_draw(None, asked(60, 60), now=0)
    assert verdict == Granted((Level(remaining=0, full_in_ms=60_000),))
    assert level(bucket, 60, now=999) == Level(remaining=0, full_in_ms=59_001)
    assert level(bucket, 60, now=1000) == Level(remaining=1, full_in_ms=59_000)


def test_refused_draw_takes_nothing() -> None:
    _, bucket = try_draw(None, asked(60, 50), now=0)
    verdict, after = try_draw(bucket, asked(60, 11), now=0)
    assert verdict == Limited(0, 1000, (Level(remaining=10, full_in_ms=50_000),))
    assert after == bucket


def test_amount_that_no_bucket_could_hold_needs_a_full_one_and_leaves_a_debt() -> None:
    verdict, bucket = try_draw(None, asked(60, 120), now=0)
    assert verdict == Granted((Level(remaining=0, full_in_ms=120_000),))
    assert try_draw(bucket, asked(60, 120), now=119_999)[0] == Limited(
        0, 1, (Level(remaining=59, full_in_ms=1),)
    )
    assert isinstance(try_draw(bucket, asked(60, 120), now=120_000)[0], Granted)


def test_draw_of_an_unknown_amount_needs_one_unit() -> None:
    unknown = asked(60, 0, needs_positive=True)
    empty = take(None, asked(60, 60), now=0)
    assert isinstance(try_draw(empty, unknown, now=999)[0], Limited)
    assert isinstance(try_draw(empty, unknown, now=1000)[0], Granted)


def test_produced_output_makes_a_debt_that_has_to_be_paid_back() -> None:
    bucket = take(None, asked(60, 180), now=0)
    assert level(bucket, 60, now=0) == Level(remaining=0, full_in_ms=180_000)
    assert wait_ms(asked(60, 1), bucket.used) == 121_000
    assert bucket.full_at == 180_000


def test_correction_gives_back_and_never_overfills() -> None:
    bucket = take(take(None, asked(60, 30), now=0), asked(60, -10), now=0)
    assert level(bucket, 60, now=0).remaining == 40
    assert level(take(bucket, asked(60, -100), now=0), 60, now=0).remaining == 60


def test_all_draws_are_granted_or_none_and_the_longest_wait_is_told() -> None:
    draws = (Draw("a", 60, 10), Draw("b", 60, 50), Draw("c", 60, 30))
    before = {"b": Bucket(40 * UNITS, 0, 60), "c": Bucket(50 * UNITS, 0, 60)}
    verdict, after = decide(draws, before, 0)
    assert isinstance(verdict, Limited)
    assert (verdict.index, verdict.retry_after_ms) == (1, 30_000)
    assert [found.remaining for found in verdict.levels] == [60, 20, 10]
    assert after == {}


def test_used_units_stay_used_when_the_limit_changes() -> None:
    bucket = take(None, asked(60, 60), now=0)
    assert level(bucket, 120, now=0) == Level(remaining=60, full_in_ms=30_000)
    assert level(bucket, 30, now=0) == Level(remaining=0, full_in_ms=120_000)


@given(used_buckets(), TIMES, LIMITS, st.integers(0, 2 * LARGEST_LIMIT), st.booleans())
def test_retry_succeeds_at_the_time_that_was_named_and_not_before(
    bucket: Bucket, now: int, limit: int, amount: int, needs_positive: bool
) -> None:
    draw = asked(limit, amount, needs_positive=needs_positive)
    verdict, after = try_draw(bucket, draw, now)
    if isinstance(verdict, Granted):
        return
    wait = verdict.retry_after_ms
    assert isinstance(try_draw(after, draw, now + wait)[0], Granted)
    assert isinstance(try_draw(after, draw, now + -(-wait // 1000) * 1000)[0], Granted)
    sooner, _ = try_draw(after, draw, now + wait - 1)
    assert isinstance(sooner, Limited)
    assert sooner.retry_after_ms == 1


@given(used_buckets(), TIMES, LIMITS)
def test_bucket_is_full_at_the_time_that_its_level_names(
    bucket: Bucket, now: int, limit: int
) -> None:
    rewritten = take(bucket, asked(limit, 0), now)
    full_in_ms = level(bucket, limit, now).full_in_ms
    assert level(rewritten, limit, now + full_in_ms) == Level(limit, 0)
    assert full_in_ms == 0 or level(rewritten, limit, now + full_in_ms - 1).full_in_ms == 1


@given(
    st.integers(1, 120),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 120)), max_size=40),
)
def test_no_window_grants_more_than_a_bucket_and_its_refill(
    limit: int, steps: list[tuple[int, int]]
) -> None:
    bucket, now = None, 0
    granted: list[tuple[int, int]] = []
    for pause, amount in steps:
        now += pause
        verdict, bucket = try_draw(bucket, asked(limit, min(amount, limit)), now)
        if isinstance(verdict, Granted):
            granted.append((now, min(amount, limit)))
    for index, (start, _) in enumerate(granted):
        total = 0
        for end, amount in granted[index:]:
            total += amount
            assert total * UNITS <= limit * UNITS + (end - start) * limit


@given(used_buckets(), st.lists(TIMES, max_size=10))
def test_clock_that_is_set_back_gives_and_takes_nothing(bucket: Bucket, times: list[int]) -> None:
    for now in sorted(times, reverse=True):
        before = bucket.used_at(now)
        bucket = take(bucket, asked(bucket.limit, 0), now)
        assert bucket.used == before
        assert bucket.used_at(now - 1) == bucket.used


@given(used_buckets(), st.lists(TIMES, max_size=10))
def test_reading_a_level_changes_nothing(bucket: Bucket, times: list[int]) -> None:
    looked_at = bucket
    for now in sorted(bucket.at + passed for passed in times):
        looked_at = take(looked_at, asked(bucket.limit, 0), now)
    end = looked_at.at + 1000
    assert looked_at.used_at(end) == bucket.used_at(end)
