from datetime import UTC, date, datetime

import pytest

from antiphon.core.errors import InvalidRequestError, RateLimitError
from antiphon.core.limits.spend import Attempt, SpendCap, Told, accounts_of, spend_error
from antiphon.core.limits.values import Account

SUNDAY = datetime(2026, 11, 29, 23, 59, 59, tzinfo=UTC)


def test_cap_is_on_one_of_the_accounts_that_are_charged() -> None:
    accounts = accounts_of([("organization", "o"), ("key", "k")], SUNDAY)
    assert len(accounts) == 6
    assert SpendCap("key", "k", "weekly", 5).account(SUNDAY) in accounts
    assert Account("organization", "o", "monthly", date(2026, 11, 1)) in accounts


@pytest.mark.parametrize(
    ("scope", "said", "named"),
    [
        ("organization", "You have reached your specified API usage limits.", "the organization"),
        (
            "workspace",
            "You have reached your specified workspace API usage limits.",
            "workspace wrkspc_x",
        ),
        ("key", "You have reached the usage limits of this API key.", "API key apikey_x"),
    ],
)
def test_exceeded_own_limit_is_an_invalid_request_error(scope: str, said: str, named: str) -> None:
    ids = {"organization": "org_x", "workspace": "wrkspc_x", "key": "apikey_x"}
    refusal = spend_error(SpendCap(scope, ids[scope], "monthly", 1_250_500_000_000), SUNDAY)
    assert isinstance(refusal, InvalidRequestError)
    assert refusal.message == (
        f"{said} You will regain access on 2026-12-01 at 00:00 UTC. "
        f"This is the monthly limit of $1250.50 of {named}."
    )


def test_cap_of_the_tier_is_a_rate_limit_error_without_retry_after() -> None:
    refusal = spend_error(SpendCap("organization", "o", "monthly", 5, tier=True), SUNDAY)
    assert isinstance(refusal, RateLimitError)
    assert refusal.error_code == "enforced_spend_limit_reached"
    assert "retry-after" not in refusal.headers
    assert refusal.message.endswith(
        "You will regain access on 2026-12-01 at 00:00 UTC. "
        "This is the monthly limit of $0.000000005 of the server for the organization."
    )


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (
            Attempt(2_500_000_000, 500_000_000, 500_000_000),
            "This request could cost up to $2.50. A smaller `max_tokens` can make it fit. ",
        ),
        (
            Attempt(2_500_000_000, 500_000_001, 500_000_000),
            (
                "This request could cost up to $2.50. A smaller `max_tokens` alone does not make "
                "it fit. "
            ),
        ),
        # Its answer is the shortest already, or free.
        (Attempt(5, 5, 4), "This request could cost up to $0.000000005. "),
        (Attempt(5, 3, None), "This request could cost up to $0.000000005. "),
    ],
)
def test_refusal_names_what_the_caller_can_do(attempt: Attempt, said: str) -> None:
    cap = SpendCap("key", "apikey_x", "daily", 10**9)
    refusal = spend_error(cap, SUNDAY, Told(key_name="laptop", attempt=attempt))
    assert refusal.message == (
        "You have reached the usage limits of this API key. You will regain access on 2026-11-30 "
        "at 00:00 UTC. This is the daily limit of $1.00 of API key 'laptop', apikey_x. "
        f"{said}You may also contact an administrator to request a higher limit."
    )


def test_amount_that_a_caller_may_not_know_is_left_out() -> None:
    cap = SpendCap("organization", "o", "monthly", 10**9)
    told = Told(amount=False, key_name="laptop", attempt=Attempt(5, 5, 4))
    refusal = spend_error(cap, SUNDAY, told).message
    assert " This is the monthly limit of the organization. This request could " in refusal
    assert "$1.00" not in refusal
    assert "laptop" not in refusal
    tier = spend_error(SpendCap("organization", "o", "monthly", 10**9, tier=True), SUNDAY, told)
    assert tier.message.endswith(
        "This is the monthly limit of the server for the organization. "
        "This request could cost up to $0.000000005."
    )
