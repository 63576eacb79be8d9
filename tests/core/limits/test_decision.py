from antiphon.core.limits.buckets import UNITS, Bucket
from antiphon.core.limits.decision import Decision, admit
from antiphon.core.limits.spend import AccountState
from antiphon.core.limits.values import Ask, Draw, Exceeded, Granted, Hold, Level, Limited
from support.accounts import account

A = account("a")
ASK = Ask("one", (Draw("b", 60, 10),), (Hold(A, 100, 40),), 60_000)


def test_granted_ask_takes_tokens_and_money() -> None:
    assert admit(ASK, {}, {}, 0) == Decision(
        Granted((Level(50, 10_000),)), {"b": Bucket(10 * UNITS, 0, 60)}, {A: AccountState(held=40)}
    )


def test_spend_is_decided_before_rates_and_a_refusal_takes_nothing() -> None:
    buckets, accounts = {"b": Bucket(60 * UNITS, 0, 60)}, {A: AccountState(spent=100)}
    assert admit(ASK, buckets, accounts, 0) == Decision(Exceeded(0), {}, {})


def test_rate_limit_holds_no_money_and_ends_the_turn() -> None:
    buckets, accounts = {"b": Bucket(60 * UNITS, 0, 60)}, {A: AccountState(0, 0, "one", 9)}
    assert admit(ASK, buckets, accounts, 0) == Decision(
        Limited(0, 10_000, (Level(0, 60_000),)), {}, {A: AccountState()}
    )


def test_refusal_rewrites_a_bucket_whose_limit_or_clock_changed() -> None:
    ask = Ask("one", (Draw("b", 30, 10),), (), 60_000)
    full = Bucket(60 * UNITS, 0, 60)
    assert admit(ask, {"b": full}, {}, 0).buckets == {"b": Bucket(60 * UNITS, 0, 30)}
    late = Bucket(60 * UNITS, 5000, 30)
    assert admit(ask, {"b": late}, {}, 0).buckets == {"b": Bucket(60 * UNITS, 0, 30)}
