from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.limits.periods import PERIODS
from antiphon.core.limits.spend import accounts_of
from antiphon.core.limits.values import Account, Ask, Draw, Exceeded, Hold, Settlement
from antiphon.store.counters.tally import REMEMBERED, Tally
from support.accounts import account

M = account("m")


def seeded() -> Tally:
    tally = Tally()
    tally.seed({}, (), 0)
    return tally


def test_full_buckets_are_forgotten() -> None:
    tally = seeded()
    for number in range(10_000):
        tally.draw([Draw(f"bucket {number}", 60, 1)], number * 1000)
    # Each is full after a second, and kept for a minute.
    assert len(tally._buckets) < 200
    assert len(tally._bucket_names) == len(tally._buckets)


def test_buckets_in_use_are_kept() -> None:
    tally = seeded()
    tally.draw([Draw("used", 60, 60)], 0)
    for number in range(1000):
        tally.draw([Draw(f"bucket {number}", 60, 1)], 59_000)
    assert tally.levels([Draw("used", 60, 0)], 59_000)[0].remaining == 59


def test_accounts_of_periods_that_are_over_are_forgotten() -> None:
    tally = seeded()
    day_ms = 24 * 3600 * 1000
    january = 1_767_225_600_000  # 2026-01-01
    for day in range(365):
        date_ = date(2026, 1, 1) + timedelta(days=day)
        for scope in range(20):
            today = Account("organization", f"{scope}", "daily", date_)
            tally.settle(Settlement(f"{today}", {today: 1}), january + day * day_ms)
    # Those of today, of the month before, and of the day on which they are forgotten.
    assert len(tally._accounts) == len(tally._account_ends) <= 34 * 20
    forever = Account("organization", "1", "daily", date(9999, 12, 31))
    tally.settle(Settlement("last", {forever: 5}), january)
    assert tally.balance([forever], january + 10**13)[0].spent == 5


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=400)])
def test_accounts_in_use_are_kept_however_far_the_clock_of_the_counters_is_ahead(
    ahead: timedelta,
) -> None:
    tally = seeded()
    now = 1_795_435_200_000 + ahead // timedelta(milliseconds=1)  # 2026-11-23
    names = [Account("key", f"{number}", "daily", date(2026, 11, 23)) for number in range(50)]
    for number in range(150):
        tally.settle(Settlement(str(number), {names[number % 50]: 1}), now)
    assert [one.spent for one in tally.balance(names, now)] == [3] * 50


def test_clock_that_is_set_back_a_month_finds_what_was_spent_before() -> None:
    tally = seeded()
    november, december = (Account("o", "1", "monthly", date(2026, one, 1)) for one in (11, 12))
    end_of_december = 1_798_675_200_000  # 2026-12-31
    tally.settle(Settlement("1", {november: 90}), end_of_december - 40 * 86_400_000)
    for number in range(10):
        other = Account("o", f"{number}", "monthly", date(2026, 12, 1))
        tally.settle(Settlement(f"{other}", {other: 7}), end_of_december)
    ask = Ask("2", (), (Hold(november, 100, 11),), 60_000)
    assert tally.admit(ask, end_of_december) == Exceeded(0)
    assert [one.spent for one in tally.balance([november, december], 0)] == [90, 7]


def test_settlement_of_a_forgotten_account_is_dropped() -> None:
    tally = seeded()
    old = Account("organization", "1", "daily", date(2026, 1, 1))
    tally.admit(Ask("1", (), (Hold(old, 100, 50),), 10**13), 0)
    for number in range(3):
        other = Account("organization", f"{number}", "daily", date(2026, 3, 1))
        tally.settle(Settlement(f"{other}", {other: 1}), 1_772_323_200_000)
    assert old not in tally._accounts
    tally.settle(Settlement("1", {}), 1_772_323_200_000)
    assert old not in tally._accounts


def test_settled_ids_are_remembered_up_to_a_number() -> None:
    tally = seeded()
    for number in range(REMEMBERED + 10):
        tally.settle(Settlement(str(number), {M: 1}), 0)
    assert len(tally._settled) == REMEMBERED
    assert not tally.settle(Settlement(str(REMEMBERED), {M: 1}), 0)


def test_settled_reservations_leave_nothing() -> None:
    tally = seeded()
    for number in range(1000):
        tally.admit(Ask(str(number), (), (Hold(M, 100, 50),), 60_000), number)
        tally.settle(Settlement(str(number), {}), number)
    assert tally._reservations == {}


@given(st.lists(st.tuples(st.integers(0, 31 * 24), st.integers(1, 9)), max_size=60))
def test_every_cost_is_on_the_accounts_of_its_moment_however_the_clock_jumps(
    charged: list[tuple[int, int]],
) -> None:
    tally = seeded()
    wanted: Counter[Account] = Counter()
    first = datetime(2026, 11, 15, tzinfo=UTC)
    for number, (hours, cost) in enumerate(charged):
        names = accounts_of([("organization", "1")], first + timedelta(hours=hours))
        tally.settle(Settlement(str(number), dict.fromkeys(names, cost)), ms(first))
        wanted.update(dict.fromkeys(names, cost))
    found = tally.balance(wanted, ms(first))
    assert [one.spent for one in found] == list(wanted.values())
    total = sum(cost for _, cost in charged)
    for period in PERIODS:
        assert sum(amount for one, amount in wanted.items() if one.period == period) == total


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
