from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.limits.rate_limits import (
    LimitType,
    RateLimits,
    applied,
    rate_limit_error,
)
from antiphon.core.limits.values import Draw, Level

NOW = datetime(2026, 11, 23, 17, 30, 0, 500_000, tzinfo=UTC)
ORGANIZATION = {LimitType.REQUESTS: 1000, LimitType.INPUT: 2_000_000, LimitType.OUTPUT: 400_000}
DRAWN = {LimitType.REQUESTS: 1, LimitType.INPUT: 25}
LIMITS = applied(
    [
        ("organization", "o", ORGANIZATION),
        ("workspace", "w", {LimitType.REQUESTS: 10}),
        ("key", "k", {}),
    ],
    "m",
)


def test_limits_of_all_scopes_apply_with_a_bucket_each() -> None:
    assert [(one.scope, one.type, one.limit) for one in LIMITS.limits] == [
        ("organization", "requests_per_minute", 1000),
        ("organization", "input_tokens_per_minute_cache_aware", 2_000_000),
        ("organization", "output_tokens_per_minute", 400_000),
        ("workspace", "requests_per_minute", 10),
    ]
    assert len({one.bucket for one in LIMITS.limits}) == 4


def test_request_draws_itself_and_its_input_and_needs_some_output_to_be_left() -> None:
    assert [(draw.amount, draw.needs_positive) for draw in LIMITS.draws(DRAWN)] == [
        (1, False),
        (25, False),
        (0, True),
        (1, False),
    ]


def test_output_is_drawn_from_the_buckets_of_output_only() -> None:
    assert LIMITS.corrections({LimitType.OUTPUT: 7}) == (Draw(LIMITS.limits[2].bucket, 400_000, 7),)
    assert LIMITS.corrections({LimitType.OUTPUT: 0}) == ()


def test_headers_show_the_limit_of_which_least_remains() -> None:
    levels = [Level(999, 60), Level(1_998_499, 45), Level(400_000, 0), Level(9, 6000)]
    headers = LIMITS.headers(levels, NOW)
    assert headers == RateLimits(LIMITS.limits[::-1]).headers(levels[::-1], NOW)
    assert {
        name.removeprefix("anthropic-ratelimit-"): value for name, value in headers.items()
    } == {
        "requests-limit": "10",
        "requests-remaining": "9",
        "requests-reset": "2026-11-23T17:30:07Z",
        "input-tokens-limit": "2000000",
        "input-tokens-remaining": "1998000",
        "input-tokens-reset": "2026-11-23T17:30:01Z",
        "output-tokens-limit": "400000",
        "output-tokens-remaining": "400000",
        "output-tokens-reset": "2026-11-23T17:30:01Z",
        "tokens-limit": "2400000",
        "tokens-remaining": "2398000",
        "tokens-reset": "2026-11-23T17:30:01Z",
    }


def test_reset_at_a_whole_second_is_not_rounded_up() -> None:
    whole = NOW.replace(microsecond=0)
    limits = applied([("organization", "o", {LimitType.REQUESTS: 5})], "token_count")
    headers = limits.headers([Level(5, 0)], whole)
    assert headers == {
        "anthropic-ratelimit-requests-limit": "5",
        "anthropic-ratelimit-requests-remaining": "5",
        "anthropic-ratelimit-requests-reset": "2026-11-23T17:30:00Z",
    }


def test_remaining_of_a_small_limit_is_not_rounded() -> None:
    limits = applied([("organization", "o", {LimitType.INPUT: 9999})], "m")
    headers = limits.headers([Level(1234, 0)], NOW)
    assert headers["anthropic-ratelimit-input-tokens-remaining"] == "1234"


@given(st.integers(1, 10**10), st.data())
def test_remaining_header_never_exceeds_the_limit(limit: int, data: st.DataObject) -> None:
    remaining = data.draw(st.integers(0, limit))
    limits = applied([("organization", "o", {LimitType.INPUT: limit})], "m")
    headers = limits.headers([Level(remaining, 0)], NOW)
    assert 0 <= int(headers["anthropic-ratelimit-input-tokens-remaining"]) <= limit


@given(st.integers(0, 10**7))
def test_reset_is_never_too_early_and_less_than_a_second_late(after_ms: int) -> None:
    limits = applied([("organization", "o", {LimitType.REQUESTS: 5})], "m")
    told = limits.headers([Level(0, after_ms)], NOW)["anthropic-ratelimit-requests-reset"]
    late = datetime.fromisoformat(told) - NOW - timedelta(milliseconds=after_ms)
    assert timedelta(0) <= late < timedelta(seconds=1)


@pytest.mark.parametrize(("after_ms", "header"), [(1, "1"), (1000, "1"), (1001, "2")])
def test_refusal_names_the_limit_and_when_to_come_again(after_ms: int, header: str) -> None:
    refusal = rate_limit_error(
        LIMITS.limits[1], after_ms, organization_id="org-id", model="claude-x"
    )
    assert refusal.headers == {"retry-after": header}
    assert refusal.message.startswith(
        "This request would exceed your organization's rate limit of 2,000,000 input tokens per "
        "minute (org: org-id, model: claude-x). For details, refer to: "
    )


def test_refusal_names_whose_limit_it_is() -> None:
    refusal = rate_limit_error(LIMITS.limits[3], 0, organization_id="o", model="m")
    assert "your workspace's rate limit of 10 requests per minute" in refusal.message


def test_refusal_of_a_call_without_a_prompt_names_no_model() -> None:
    refusal = rate_limit_error(LIMITS.limits[0], 0, organization_id="o", model=None)
    assert "1,000 requests per minute (org: o). For details" in refusal.message
    assert refusal.message.endswith(
        "for current usage. Please try again later. You may also contact an administrator to "
        "request a rate limit increase."
    )
