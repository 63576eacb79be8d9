from antiphon.core.admission import Ask, Draw, Hold, Settlement
from antiphon.store.counters.tally import REMEMBERED, Tally


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
    for day in range(1, 29):
        for scope in range(100):
            account = f"organization:{scope}:daily:2026-01-{day:02}"
            tally.settle(Settlement(account, {account: 1}), january + (day - 1) * day_ms)
    assert len(tally._accounts) <= 4 * 100
    tally.settle(Settlement("last", {"credits": 5}), january)
    assert tally.balance(["credits"], january + 10**13)[0].spent == 5


def test_money_of_an_account_that_was_forgotten_is_given_up() -> None:
    tally = seeded()
    account = "organization:1:daily:2026-01-01"
    tally.admit(Ask("1", (), (Hold(account, 100, 50),), 10**13), 0)
    for number in range(3):
        other = f"organization:{number}:daily:2026-02-01"
        tally.settle(Settlement(other, {other: 1}), 1_769_904_000_000)
    assert account not in tally._accounts
    tally.settle(Settlement("1", {}), 1_769_904_000_000)
    assert account not in tally._accounts


def test_ids_that_were_settled_are_remembered_up_to_a_number() -> None:
    tally = seeded()
    for number in range(REMEMBERED + 10):
        tally.settle(Settlement(str(number), {"m": 1}), 0)
    assert len(tally._settled) == REMEMBERED
    assert not tally.settle(Settlement(str(REMEMBERED), {"m": 1}), 0)


def test_reservations_that_were_settled_leave_nothing() -> None:
    tally = seeded()
    for number in range(1000):
        tally.admit(Ask(str(number), (), (Hold("m", 100, 50),), 60_000), number)
        tally.settle(Settlement(str(number), {}), number)
    assert tally._reservations == {}
