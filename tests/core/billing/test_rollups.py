import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.billing.rollups import (
    DAY,
    FIRST_TOKEN_BOUNDS_MS,
    HOUR,
    MINUTE,
    WIDTHS,
    Piece,
    begin_of,
    percentile,
    pieces,
)

START = datetime(2026, 11, 20, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


moments = st.timedeltas(timedelta(0), timedelta(days=9)).map(lambda after: START + after)
floors = st.dictionaries(
    st.sampled_from((MINUTE, HOUR)), moments.map(lambda moment: begin_of(moment, HOUR))
)


def test_span_of_days_is_answered_by_days() -> None:
    assert pieces(START, START + 9 * DAY, DAY, {}) == (Piece(START, START + 9 * DAY, DAY),)


def test_edges_of_a_span_are_answered_by_narrower_rollups_and_the_ledger() -> None:
    start, end = at("2026-11-20 21:58:30"), at("2026-11-22 01:00:00.000001")
    assert pieces(start, end, DAY, {}) == (
        Piece(start, at("2026-11-20 21:59"), None),
        Piece(at("2026-11-20 21:59"), at("2026-11-20 22:00"), MINUTE),
        Piece(at("2026-11-20 22:00"), at("2026-11-21"), HOUR),
        Piece(at("2026-11-21"), at("2026-11-22"), DAY),
        Piece(at("2026-11-22"), at("2026-11-22 01:00"), HOUR),
        Piece(at("2026-11-22 01:00"), end, None),
    )


def test_what_is_before_a_floor_comes_from_the_ledger() -> None:
    start, end, floor = at("2026-11-20"), at("2026-11-20 03:00"), at("2026-11-20 02:00")
    assert pieces(start, end, MINUTE, {MINUTE: floor}) == (
        Piece(start, floor, None),
        Piece(floor, end, MINUTE),
    )
    assert pieces(start, floor, MINUTE, {MINUTE: floor}) == (Piece(start, floor, None),)
    # Hours have a floor of their own.
    assert pieces(start, end, HOUR, {MINUTE: floor}) == (Piece(start, end, HOUR),)


@pytest.mark.parametrize("end", [START, START - DAY])
def test_empty_span_has_no_pieces(end: datetime) -> None:
    assert pieces(START, end, DAY, {}) == ()


@given(start=moments, end=moments, widest=st.sampled_from(WIDTHS), floors=floors)
def test_pieces_cover_a_span_and_lie_in_buckets_above_the_floor(
    start: datetime, end: datetime, widest: timedelta, floors: Mapping[timedelta, datetime]
) -> None:
    found = pieces(start, end, widest, floors)
    assert [one.start for one in found[1:]] == [one.end for one in found[:-1]]
    assert sum((one.end - one.start for one in found), timedelta(0)) == max(end - start, 0 * DAY)
    for one in found:
        assert one.start < one.end
        if one.width is None:
            continue
        assert one.width <= widest
        assert begin_of(one.start, one.width) == one.start
        assert begin_of(one.end, one.width) == one.end
        assert one.start >= floors.get(one.width, one.start)


@given(start=moments, end=moments, widest=st.sampled_from(WIDTHS))
def test_without_floors_the_ledger_answers_less_than_a_minute_at_each_edge(
    start: datetime, end: datetime, widest: timedelta
) -> None:
    read = [one for one in pieces(start, end, widest, {}) if one.width is None]
    assert sum((one.end - one.start for one in read), timedelta(0)) < 2 * MINUTE


def test_bucket_of_a_moment_begins_at_it_or_before() -> None:
    moment = at("2026-11-20 21:58:30.000001")
    assert begin_of(moment, MINUTE) == at("2026-11-20 21:58")
    assert begin_of(moment, HOUR) == at("2026-11-20 21:00")
    assert begin_of(moment, DAY) == START


def counts_of(times_ms: list[int]) -> list[int]:
    edges = (-1, *FIRST_TOKEN_BOUNDS_MS, 10**9)
    return [sum(low < one <= high for one in times_ms) for low, high in pairwise(edges)]


def test_without_first_tokens_there_is_no_percentile() -> None:
    assert percentile(counts_of([]), 0.5) is None


def test_longer_times_count_as_the_last_bound() -> None:
    assert percentile(counts_of([60_000_000]), 0.5) == FIRST_TOKEN_BOUNDS_MS[-1]


def test_percentiles_are_spread_between_two_bounds() -> None:
    counts = counts_of([10, 20, 30, 40])
    assert [percentile(counts, share) for share in (0.25, 0.5, 0.75, 1.0)] == [12, 25, 38, 50]


def test_share_that_rounding_lifts_above_all_is_the_last_bound() -> None:
    assert percentile(counts_of([1, 2, 3]), 1.0000001) == FIRST_TOKEN_BOUNDS_MS[-1]


@given(
    times=st.lists(st.integers(1, 51_200), min_size=1, max_size=50),
    share=st.sampled_from([0.5, 0.95, 0.99]),
)
def test_percentile_is_in_the_bounds_of_the_exact_one(times: list[int], share: float) -> None:
    exact = sorted(times)[max(0, -(-int(share * 100) * len(times) // 100) - 1)]
    edges = (0, *FIRST_TOKEN_BOUNDS_MS)
    low, high = next((low, high) for low, high in pairwise(edges) if low < exact <= high)
    told = percentile(counts_of(times), share)
    assert told is not None
    assert low <= told <= high, json.dumps(times)
