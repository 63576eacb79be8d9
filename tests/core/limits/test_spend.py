from datetime import UTC, date, datetime

import pytest

from antiphon.core.limits.spend import (
    TURN_MS,
    AccountState,
    Lifetime,
    SpendCap,
    charge,
    exceeds_tier,
    lifetime,
    release,
    reserve,
    spend_caps,
    without_turn,
)
from antiphon.core.limits.values import Account, Ask, Busy, Exceeded, Hold
from support.accounts import account

A, B, NEW = map(account, ("a", "b", "new"))


def ask(*holds: Hold, name: str = "one", waits: bool = False) -> Ask:
    return Ask(name, (), holds, 60_000, waits=waits)


def test_ask_that_fits_is_held() -> None:
    refusal, after = reserve(ask(Hold(A, 100, 60)), {A: AccountState(spent=30, held=10)}, 0)
    assert refusal is None
    assert after == {A: AccountState(spent=30, held=70)}


def test_ask_that_can_never_fit_is_exceeded_and_one_that_may_fit_later_is_busy() -> None:
    accounts = {A: AccountState(spent=30, held=50)}
    assert reserve(ask(Hold(A, 100, 71)), accounts, 0) == (Exceeded(0), {})
    assert reserve(ask(Hold(A, 100, 70)), accounts, 0) == (Busy(0), {})
    assert reserve(ask(Hold(A, 100, 20)), accounts, 0)[0] is None


def test_limit_that_is_exceeded_counts_more_than_one_that_is_busy() -> None:
    accounts = {A: AccountState(held=100), B: AccountState(spent=100)}
    holds = (Hold(A, 100, 1), Hold(B, 100, 1))
    assert reserve(ask(*holds), accounts, 0) == (Exceeded(1), {})


def test_hold_on_an_account_without_a_limit_is_counted() -> None:
    refusal, after = reserve(ask(Hold(A, None, 10**18)), {A: AccountState(spent=5)}, 0)
    assert refusal is None
    assert after == {A: AccountState(spent=5, held=10**18)}


def test_free_ask_passes_a_limit_that_is_used_up() -> None:
    assert reserve(ask(Hold(A, 100, 0)), {A: AccountState(spent=200)}, 0)[0] is None


def test_settlement_counts_in_full_even_above_what_was_held() -> None:
    account = release(AccountState(spent=10, held=50, first="x", first_until=7), 50)
    assert charge(account, 80) == AccountState(spent=90, held=0, first="x", first_until=7)


def test_waiting_ask_comes_before_asks_that_would_fit() -> None:
    accounts = {A: AccountState(held=80)}
    large = ask(Hold(A, 100, 90), name="large", waits=True)
    small = ask(Hold(A, 100, 10), name="small", waits=True)
    busy, after = reserve(large, accounts, 5)
    assert (busy, after) == (Busy(0), {A: AccountState(0, 80, "large", 5 + TURN_MS)})
    assert reserve(small, after, 6) == (Busy(0), {})
    assert reserve(large, after, 6)[1][A].first_until == 6 + TURN_MS
    assert reserve(large, {A: release(after[A], 80)}, 7) == (None, {A: AccountState(held=90)})


def test_turn_of_an_ask_that_stays_away_expires() -> None:
    accounts = {A: AccountState(0, 80, "large", 5)}
    refusal, after = reserve(ask(Hold(A, 100, 10)), accounts, 5)
    assert refusal is None
    assert after[A].held == 90


def test_ask_without_patience_left_gives_up_its_turn() -> None:
    accounts = {A: AccountState(0, 80, "one", 9)}
    assert reserve(ask(Hold(A, 100, 90)), accounts, 0) == (Busy(0), {A: AccountState(0, 80)})


def test_exceeded_ask_gives_up_its_turn() -> None:
    accounts = {A: AccountState(0, 80, "one", 5), B: AccountState(100, 0)}
    holds = (Hold(A, 100, 90), Hold(B, 100, 1), Hold(NEW, 100, 1))
    assert reserve(ask(*holds), accounts, 0) == (Exceeded(1), {A: AccountState(0, 80)})
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
    found = lifetime(Account("workspace", "wrkspc_01", period, start))
    begin = datetime.combine(start, datetime.min.time(), UTC)
    assert found == Lifetime(begin.timestamp() * 1000, end.timestamp() * 1000)


@pytest.mark.parametrize(
    ("period", "start"),
    [
        ("daily", date(9999, 12, 31)),
        ("weekly", date(9999, 12, 27)),
        ("monthly", date(9999, 12, 1)),
        # It ends in time, but it is not forgotten in time.
        ("daily", date(9999, 12, 30)),
    ],
)
def test_account_at_the_end_of_the_calendar_is_kept(period: str, start: date) -> None:
    assert lifetime(Account("organization", "1", period, start)) is None


OWN = {"daily": 7, "monthly": 50}


@pytest.mark.parametrize(
    ("scope", "own", "tier", "month"),
    [
        ("organization", OWN, None, (50, False)),
        ("organization", OWN, 51, (50, False)),
        ("organization", OWN, 50, (50, False)),
        ("organization", OWN, 49, (49, True)),
        ("organization", OWN, 0, (0, True)),
        ("organization", {"daily": 7}, 60, (60, True)),
        ("workspace", OWN, 49, (50, False)),
        ("key", OWN, 49, (50, False)),
    ],
)
def test_tighter_of_the_own_limit_and_the_tier_binds_the_organizations_month(
    scope: str, own: dict[str, int], tier: int | None, month: tuple[int, bool]
) -> None:
    caps = spend_caps(scope, "1", own, tier)
    assert caps == {
        "daily": SpendCap(scope, "1", "daily", 7),
        "monthly": SpendCap(scope, "1", "monthly", month[0], tier=month[1]),
    }


def test_scope_without_limits_has_no_caps() -> None:
    assert spend_caps("organization", "1", {}, None) == {}
    assert spend_caps("workspace", "1", {}, 50) == {}


def test_only_a_monthly_limit_can_exceed_the_tier() -> None:
    assert exceeds_tier(51, "monthly", 50)
    assert not exceeds_tier(50, "monthly", 50)
    assert not exceeds_tier(51, "weekly", 50)
