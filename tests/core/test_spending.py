from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequestError, RateLimitError
from antiphon.core.spend import Period
from antiphon.core.spending import (
    PERIODS,
    SpendCap,
    accounts_of,
    end_of,
    spend_error,
    start_of,
)

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
SUNDAY = datetime(2026, 11, 29, 23, 59, 59, tzinfo=UTC)
MOMENTS = st.integers(0, 40_000_000).map(lambda minutes: EPOCH + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("daily", date(2026, 11, 29), date(2026, 11, 30)),
        ("weekly", date(2026, 11, 23), date(2026, 11, 30)),
        ("monthly", date(2026, 11, 1), date(2026, 12, 1)),
    ],
)
def test_periods_begin_and_end_at_midnight_utc(period: Period, start: date, end: date) -> None:
    assert (start_of(period, SUNDAY), end_of(period, SUNDAY)) == (start, end)


def test_year_ends_with_december() -> None:
    assert end_of("monthly", datetime(2026, 12, 31, tzinfo=UTC)) == date(2027, 1, 1)


def test_zone_of_a_moment_does_not_matter() -> None:
    ahead = SUNDAY.astimezone(timezone(timedelta(hours=9)))
    assert start_of("daily", ahead) == date(2026, 11, 29)


@given(MOMENTS, st.sampled_from(PERIODS))
def test_periods_follow_each_other_without_a_gap(moment: datetime, period: Period) -> None:
    end = end_of(period, moment)
    after = datetime(end.year, end.month, end.day, tzinfo=UTC)
    assert start_of(period, moment) <= moment.date() < end
    assert start_of(period, after) == end
    assert start_of(period, after - timedelta(microseconds=1)) == start_of(period, moment)


def test_cap_is_on_one_of_the_accounts_that_are_charged() -> None:
    accounts = accounts_of([("organization", "o"), ("key", "k")], SUNDAY)
    assert len(accounts) == 6
    assert SpendCap("key", "k", "weekly", 5).account(SUNDAY) in accounts
    assert "organization:o:monthly:2026-11-01" in accounts


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("organization", "You have reached your specified API usage limits."),
        ("workspace", "You have reached your specified workspace API usage limits."),
        ("key", "You have reached the usage limits of this API key."),
    ],
)
def test_customers_limit_is_an_invalid_request(scope: str, said: str) -> None:
    refusal = spend_error(SpendCap(scope, "x", "monthly", 5), SUNDAY)
    assert isinstance(refusal, InvalidRequestError)
    assert refusal.message == f"{said} You will regain access on 2026-12-01 at 00:00 UTC."


def test_cap_of_the_tier_is_a_rate_limit_that_nobody_waits_for() -> None:
    refusal = spend_error(SpendCap("organization", "o", "monthly", 5, tier=True), SUNDAY)
    assert isinstance(refusal, RateLimitError)
    assert refusal.error_code == "enforced_spend_limit_reached"
    assert "retry-after" not in refusal.headers
    assert refusal.message.endswith("You will regain access on 2026-12-01 at 00:00 UTC.")
