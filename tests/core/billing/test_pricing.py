from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from antiphon.core.billing.pricing import (
    FREE,
    Price,
    cache_saving,
    cost,
    nano_dollars,
    uncached_cost,
    worst_case,
)
from antiphon.core.billing.usage import Costs, TokenCounts

CARD = Price(input=1000, cache_write_5m=1250, cache_write_1h=2000, cache_read=100, output=5000)
ODD = Price(input=3, cache_write_5m=125, cache_write_1h=7, cache_read=1, output=9)

rates = st.integers(0, 1_000_000)
cards = st.builds(
    Price, input=rates, cache_write_5m=rates, cache_write_1h=rates, cache_read=rates, output=rates
)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    card, long = draw(cards), draw(st.none() | cards)
    return Price(
        input=card.input,
        cache_write_5m=card.cache_write_5m,
        cache_write_1h=card.cache_write_1h,
        cache_read=card.cache_read,
        output=card.output,
        long=long,
        long_above=draw(st.integers(0, 300)),
    )


amounts = st.integers(0, 200)
tokens = st.builds(
    TokenCounts,
    input=amounts,
    cache_write_5m=amounts,
    cache_write_1h=amounts,
    cache_read=amounts,
    output=amounts,
)
tiers = st.sampled_from(["standard", "batch"])


def test_each_counter_is_paid_by_its_own_rate() -> None:
    used = TokenCounts(input=1, cache_write_5m=2, cache_write_1h=3, cache_read=4, output=5)
    assert cost(CARD, used) == Costs(
        input=1000, cache_write_5m=2500, cache_write_1h=6000, cache_read=400, output=25000
    )


def test_thinking_is_paid_once_as_output() -> None:
    assert cost(CARD, TokenCounts(output=5, thinking=5)).total == 25000


def test_batch_is_half_price_and_half_a_nano_dollar_is_rounded_up_for_each_counter() -> None:
    used = TokenCounts(input=1, cache_write_5m=1, cache_write_1h=1, cache_read=1, output=2)
    assert cost(ODD, used, "batch") == Costs(
        input=2, cache_write_5m=63, cache_write_1h=4, cache_read=1, output=9
    )


def test_large_prompt_is_paid_by_the_long_card_with_its_answer() -> None:
    price = Price(input=1, output=2, long_above=10, long=Price(input=100, output=200))
    assert cost(price, TokenCounts(input=10, output=1)).total == 12
    assert cost(price, TokenCounts(input=1, cache_read=10, output=1)).total == 300


def test_uncached_cost_is_that_of_the_prompt_as_plain_input() -> None:
    used = TokenCounts(input=1, cache_write_5m=2, cache_write_1h=3, cache_read=4, output=5)
    assert uncached_cost(CARD, used) == 10_000
    assert uncached_cost(ODD, used, "batch") == 15
    price = Price(input=1, long_above=10, long=Price(input=100))
    assert uncached_cost(price, TokenCounts(cache_read=10, output=9)) == 10
    assert uncached_cost(price, TokenCounts(cache_read=11)) == 1100


@given(prices(), tokens, tiers)
def test_prompt_without_a_cache_costs_its_uncached_cost(
    price: Price, used: TokenCounts, tier: str
) -> None:
    plain = TokenCounts(input=used.input, output=used.output)
    assert uncached_cost(price, plain, tier) == cost(price, plain, tier).input


def test_worst_case_of_a_free_price_is_nothing() -> None:
    assert worst_case(FREE, 1_000_000, 1_000_000, ("5m", "1h"), "batch") == 0


def test_worst_case_of_an_uncached_prompt_is_exact() -> None:
    assert worst_case(CARD, 10, 20) == cost(CARD, TokenCounts(input=10, output=20)).total


def test_worst_case_takes_the_dearest_write_that_was_asked_for() -> None:
    assert worst_case(CARD, 10, 0) == 10_000
    assert worst_case(CARD, 10, 0, ["5m"]) == 12_500
    assert worst_case(CARD, 10, 0, ["5m", "1h"]) == 20_000


@given(prices(), tokens, tiers, st.integers(0, 50), st.integers(0, 50))
@example(ODD, TokenCounts(input=1, cache_write_5m=1, cache_write_1h=1, cache_read=1), "batch", 0, 0)
def test_nothing_costs_more_than_the_worst_case(
    price: Price, used: TokenCounts, tier: str, more_input: int, more_output: int
) -> None:
    caches = [
        ttl for ttl, count in (("5m", used.cache_write_5m), ("1h", used.cache_write_1h)) if count
    ]
    most = worst_case(price, used.prompt + more_input, used.output + more_output, caches, tier)
    assert cost(price, used, tier).total <= most


@given(prices(), tokens, tiers)
def test_cost_is_never_below_the_share_of_the_list_price_nor_a_nano_dollar_above_it(
    price: Price, used: TokenCounts, tier: str
) -> None:
    full = cost(price, used).total
    whole = full if tier == "standard" else full / 2
    assert whole <= cost(price, used, tier).total < whole + 5


@given(prices(), tokens)
def test_cost_is_each_counters_tokens_at_the_rate_of_the_card_for_the_whole_prompt(
    price: Price, used: TokenCounts
) -> None:
    long = price.long is not None and used.prompt > price.long_above
    card = price.long if long and price.long is not None else price
    assert cost(price, used).total == (
        used.input * card.input
        + used.cache_write_5m * card.cache_write_5m
        + used.cache_write_1h * card.cache_write_1h
        + used.cache_read * card.cache_read
        + used.output * card.output
    )


@given(prices(), tokens, tiers)
def test_priced_tokens_are_never_rounded_down_to_free(
    price: Price, used: TokenCounts, tier: str
) -> None:
    card = price.card(used.prompt)
    charged = cost(price, used, tier)
    for counter in ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output"):
        has_price = getattr(used, counter) > 0 and getattr(card, counter) > 0
        assert (getattr(charged, counter) > 0) == has_price


@given(prices(), st.lists(tokens, max_size=8), tiers)
def test_reports_of_counters_and_bills_of_requests_have_one_sum(
    price: Price, requests: list[TokenCounts], tier: str
) -> None:
    bills = [cost(price, used, tier) for used in requests]
    by_counter = {
        counter: sum(getattr(bill, counter) for bill in bills)
        for counter in Costs().__struct_fields__
    }
    assert sum(by_counter.values()) == sum(bill.total for bill in bills)


@given(st.integers(0, 10**7))
def test_price_in_dollars_is_read_exactly(nano: int) -> None:
    assert nano_dollars(Decimal(nano) / 1000) == nano


@given(st.decimals(min_value=0, max_value=10_000, allow_nan=False))
def test_price_is_read_exactly_or_refused(dollars: Decimal) -> None:
    assume(dollars.as_tuple().exponent > -400)
    try:
        nano = nano_dollars(dollars)
    except ValueError:
        assert (dollars * 1000) % 1 or dollars.as_tuple().exponent < -3
    else:
        assert Decimal(nano) == dollars * 1000


@pytest.mark.parametrize("text", ["0.0005", "1.00000000000000000000000000000000000001"])
def test_price_finer_than_a_nano_dollar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="thousandths of a US dollar"):
        nano_dollars(Decimal(text))


@pytest.mark.parametrize("text", ["-1", "NaN", "Infinity", "10001", "1e400"])
def test_text_that_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="between 0 and 10000 US dollars"):
        nano_dollars(Decimal(text))


@given(card=cards, used=tokens, tier=tiers)
@example(card=ODD, used=TokenCounts(input=1), tier="batch")
def test_cache_saves_what_reads_cost_less_without_what_writes_cost_more(
    card: Price, used: TokenCounts, tier: str
) -> None:
    saved = (
        used.cache_read * (card.input - card.cache_read)
        - used.cache_write_5m * (card.cache_write_5m - card.input)
        - used.cache_write_1h * (card.cache_write_1h - card.input)
    )
    found = cache_saving(card, used, tier)
    if tier == "standard":
        assert found == saved
    else:
        # Of each counter half a nano-dollar may be rounded up.
        assert abs(2 * found - saved) <= 4


def test_cache_saves_nothing_of_what_it_has_not_touched() -> None:
    assert cache_saving(ODD, TokenCounts(input=1, output=7), "batch") == 0
    assert cache_saving(FREE, TokenCounts(cache_read=7)) == 0
    # A long prompt is compared with what it would have cost at its own card.
    long = Price(input=10, cache_read=1, long_above=5, long=Price(input=20, cache_read=2))
    assert cache_saving(long, TokenCounts(cache_read=6)) == 6 * (20 - 2)
