from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.billing import pricing
from antiphon.core.billing.price_list import list_price
from antiphon.core.billing.usage import TokenCounts
from antiphon.sdk.cost import Cost, UnknownPriceError, cost_of, price
from antiphon.sdk.types.decoding import convert_struct
from antiphon.sdk.types.message import Message


def message(model: str = "claude-sonnet-4-5", **usage: Any) -> Message:
    return convert_struct(Message, {"id": "msg_1", "model": model, "content": [], "usage": usage})


def test_tokens_cost_what_the_price_page_says() -> None:
    cost = cost_of(message(input_tokens=1_000_000, output_tokens=1_000_000))
    assert cost.usd == Decimal(18)
    assert cost == Cost(input=3 * 10**9, output=15 * 10**9)


def test_reads_and_writes_of_the_cache_have_prices_of_their_own() -> None:
    usage: dict[str, Any] = {
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    }
    cost = cost_of(message(**usage))
    assert cost.cache_read == 1000 * 300
    assert cost.cache_write == 100 * 3750 + 200 * 6000


def test_writes_without_a_lifetime_are_of_five_minutes() -> None:
    assert cost_of(message(cache_creation_input_tokens=100)).cache_write == 100 * 3750


def test_batches_cost_half_and_searches_do_not() -> None:
    usage: dict[str, Any] = {"input_tokens": 100, "server_tool_use": {"web_search_requests": 3}}
    cost = cost_of(message(service_tier="batch", **usage))
    assert cost == Cost(input=150_000, web_search=30_000_000)


def test_shares_are_multiplied() -> None:
    cost = cost_of(message("claude-opus-5-5", input_tokens=10, inference_geo="us", speed="fast"))
    assert cost.input == 10 * 4000 * 2 * 11 // 10


def test_long_prompts_of_a_model_with_two_cards_cost_more() -> None:
    small, large = (
        cost_of(message("claude-haiku-5-5", input_tokens=tokens)) for tokens in (100_000, 100_001)
    )
    assert small.input == 100_000 * 100
    assert large.input == 100_001 * 500


def test_unknown_model_has_no_price_unless_it_is_given() -> None:
    with pytest.raises(UnknownPriceError, match="qwen"):
        cost_of(message("qwen", input_tokens=1))
    own = {"qwen": price(input="1", output="2")}
    assert cost_of(message("qwen", input_tokens=10, cache_read_input_tokens=10), own) == Cost(
        input=10_000, cache_read=1_000
    )


def test_own_prices_come_before_the_published_ones() -> None:
    own = {"claude-sonnet-4-5": price(input="1", output="1", cache_read="0.5")}
    assert cost_of(message(cache_read_input_tokens=2), own).total == 1_000


def test_costs_add_up() -> None:
    assert Cost(input=1, output=2) + Cost(input=3, web_search=4) == Cost(
        input=4, output=2, web_search=4
    )


@given(
    tokens=st.tuples(*[st.integers(0, 300_000)] * 5),
    tier=st.sampled_from(["standard", "batch"]),
    model=st.sampled_from(["claude-sonnet-5-5", "claude-haiku-5-5", "claude-3-5-haiku-latest"]),
)
def test_cost_is_that_of_the_ledger(tokens: tuple[int, ...], tier: Any, model: str) -> None:
    plain, five, hour, read, output = tokens
    usage: dict[str, Any] = {
        "input_tokens": plain,
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "cache_read_input_tokens": read,
        "output_tokens": output,
    }
    counts = TokenCounts(
        input=plain, cache_write_5m=five, cache_write_1h=hour, cache_read=read, output=output
    )
    listed = list_price(model)
    assert listed is not None
    charged = pricing.cost(listed, counts, tier)
    assert cost_of(message(model, service_tier=tier, **usage)).total == charged.total
