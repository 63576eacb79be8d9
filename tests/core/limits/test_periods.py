from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.limits.periods import PERIODS, Period, day_of, end_of, midnight, start_of

SUNDAY = date(2026, 11, 29)
DAYS = st.dates(max_value=date(9999, 11, 30))


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("daily", date(2026, 11, 29), date(2026, 11, 30)),
        ("weekly", date(2026, 11, 23), date(2026, 11, 30)),
        ("monthly", date(2026, 11, 1), date(2026, 12, 1)),
    ],
)
def test_periods_begin_and_end_with_a_day(period: Period, start: date, end: date) -> None:
    assert (start_of(period, SUNDAY), end_of(period, SUNDAY)) == (start, end)


def test_december_ends_with_the_year() -> None:
    assert end_of("monthly", date(2026, 12, 31)) == date(2027, 1, 1)


def test_february_of_a_leap_year_ends_after_the_29th() -> None:
    assert end_of("monthly", date(2028, 2, 29)) == date(2028, 3, 1)
    assert end_of("daily", date(2028, 2, 28)) == date(2028, 2, 29)


@pytest.mark.parametrize("period", PERIODS)
def test_period_beyond_the_calendar_raises_overflow_error(period: Period) -> None:
    with pytest.raises(OverflowError):
        end_of(period, date(9999, 12, 31))


def test_day_of_a_moment_is_its_day_in_utc() -> None:
    late = datetime(2026, 11, 29, 23, 59, 59, tzinfo=UTC)
    assert day_of(late.astimezone(timezone(timedelta(hours=9)))) == SUNDAY
    assert day_of(late.astimezone(timezone(timedelta(hours=-9)))) == SUNDAY


@given(DAYS, st.sampled_from(PERIODS))
def test_periods_follow_each_other_without_a_gap(day: date, period: Period) -> None:
    start, end = start_of(period, day), end_of(period, day)
    assert start <= day < end
    assert start_of(period, start) == start
    assert start_of(period, end) == end
    assert start_of(period, end - timedelta(days=1)) == start


@given(st.datetimes(max_value=datetime(9999, 11, 30), timezones=st.just(UTC)))  # noqa: DTZ001 - Hypothesis wants bounds without a zone
def test_day_has_the_moments_from_its_midnight_to_the_next(moment: datetime) -> None:
    day = day_of(moment)
    assert midnight(day) <= moment < midnight(end_of("daily", day))
