"""Moments as whole microseconds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.moments import EPOCH, MICROSECOND, microseconds_of, moment_at, since_epoch


@pytest.mark.parametrize(
    ("span", "microseconds"),
    [
        (timedelta(), 0),
        (timedelta(microseconds=-1), -1),
        (timedelta(days=-1, seconds=1), -86_399_000_000),
        (timedelta(days=2, seconds=3, microseconds=4), 172_803_000_004),
        (timedelta.max, timedelta.max // MICROSECOND),
        (timedelta.min, timedelta.min // MICROSECOND),
    ],
)
def test_spans_are_whole_microseconds(span: timedelta, microseconds: int) -> None:
    assert microseconds_of(span) == microseconds


@given(st.timedeltas())
def test_a_span_is_what_a_division_gives(span: timedelta) -> None:
    assert microseconds_of(span) == span // MICROSECOND


def test_moments_are_counted_from_1970() -> None:
    assert since_epoch(EPOCH) == 0
    assert since_epoch(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000
    assert since_epoch(datetime(1970, 1, 2, 0, 0, 1, 5, tzinfo=UTC)) == 86_401_000_005


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.timezones()))  # noqa: DTZ001 - they get zones
def test_moments_come_back(moment: datetime) -> None:
    # Two moments of different zones are never equal where an hour of one of them comes twice.
    assert moment_at(since_epoch(moment)) == moment.astimezone(UTC)


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(TypeError):
        since_epoch(datetime(2026, 1, 1))  # noqa: DTZ001 - a naive one
    with pytest.raises(OverflowError):
        moment_at(2**63)
