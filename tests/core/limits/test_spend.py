from datetime import UTC, date, datetime

import pytest

from antiphon.core.limits.spend import (
    TURN_MS,
    Account,
    account_name,
    charge,
    forget_at_ms,
    release,
    reserve,
    without_turn,
)
from antiphon.core.limits.values import Ask, Busy, Exceeded, Hold


def ask(*holds: Hold, name: str = "one", waits: bool = False) -> Ask:
    return Ask(name, (), holds, 60_000, waits=waits)


def test_what_fits_is_held() -> None:
    refusal, after = reserve(ask(Hold("a", 100, 60)), {"a": Account(spent=30, held=10)}, 0)
    assert refusal is None
    assert after == {"a": Account(spent=30, held=70)}


def test_what_can_never_fit_is_exceeded_and_what_may_fit_later_is_busy() -> None:
    accounts = {"a": Account(spent=30, held=50)}
    assert reserve(ask(Hold("a", 100, 71)), accounts, 0) == (Exceeded(0), {})
    assert reserve(ask(Hold("a", 100, 70)), accounts, 0) == (Busy(0), {})
    assert reserve(ask(Hold("a", 100, 20)), accounts, 0)[0] is None


def test_limit_that_is_exceeded_counts_more_than_one_that_is_busy() -> None:
    accounts = {"a": Account(held=100), "b": Account(spent=100)}
    holds = (Hold("a", 100, 1), Hold("b", 100, 1))
    assert reserve(ask(*holds), accounts, 0) == (Exceeded(1), {})


def test_account_without_a_limit_is_kept_track_of() -> None:
    refusal, after = reserve(ask(Hold("a", None, 10**18)), {"a": Account(spent=5)}, 0)
    assert refusal is None
    assert after == {"a": Account(spent=5, held=10**18)}


def test_what_costs_nothing_passes_a_limit_that_is_used_up() -> None:
    assert reserve(ask(Hold("a", 100, 0)), {"a": Account(spent=200)}, 0)[0] is None


def test_settlement_counts_in_full_even_above_what_was_held() -> None:
    account = release(Account(spent=10, held=50, first="x", first_until=7), 50)
    assert charge(account, 80) == Account(spent=90, held=0, first="x", first_until=7)


def test_who_waits_comes_before_those_who_would_fit() -> None:
    accounts = {"a": Account(held=80)}
    large = ask(Hold("a", 100, 90), name="large", waits=True)
    small = ask(Hold("a", 100, 10), name="small", waits=True)
    busy, after = reserve(large, accounts, 5)
    assert (busy, after) == (Busy(0), {"a": Account(0, 80, "large", 5 + TURN_MS)})
    assert reserve(small, after, 6) == (Busy(0), {})
    assert reserve(large, after, 6)[1]["a"].first_until == 6 + TURN_MS
    assert reserve(large, {"a": release(after["a"], 80)}, 7) == (None, {"a": Account(held=90)})


def test_turn_of_one_who_does_not_come_back_is_over_soon() -> None:
    accounts = {"a": Account(0, 80, "large", 5)}
    refusal, after = reserve(ask(Hold("a", 100, 10)), accounts, 5)
    assert refusal is None
    assert after["a"].held == 90


def test_turn_ends_when_patience_does() -> None:
    accounts = {"a": Account(0, 80, "one", 9)}
    assert reserve(ask(Hold("a", 100, 90)), accounts, 0) == (Busy(0), {"a": Account(0, 80)})


def test_turn_ends_with_the_answer() -> None:
    accounts = {"a": Account(0, 80, "one", 5), "b": Account(100, 0)}
    holds = (Hold("a", 100, 90), Hold("b", 100, 1), Hold("new", 100, 1))
    assert reserve(ask(*holds), accounts, 0) == (Exceeded(1), {"a": Account(0, 80)})
    assert without_turn(ask(*holds, name="other"), accounts) == {}


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("daily", date(2026, 12, 31), datetime(2027, 2, 2, tzinfo=UTC)),
        ("weekly", date(2026, 11, 23), datetime(2027, 1, 1, tzinfo=UTC)),
        ("monthly", date(2026, 11, 1), datetime(2027, 1, 2, tzinfo=UTC)),
        ("monthly", date(2026, 12, 1), datetime(2027, 2, 2, tzinfo=UTC)),
        ("monthly", date(2028, 1, 1), datetime(2028, 3, 4, tzinfo=UTC)),
    ],
)
def test_account_is_forgotten_a_month_after_its_period(
    period: str, start: date, end: datetime
) -> None:
    name = account_name("workspace:wrkspc_01", period, start)
    assert forget_at_ms(name) == end.timestamp() * 1000


@pytest.mark.parametrize(
    "name", ["credits", "a:daily:2026-02-30", "a:daily:9999-12-31", "a:yearly:2026-01-01"]
)
def test_account_without_a_period_is_kept(name: str) -> None:
    assert forget_at_ms(name) is None
