from decimal import Decimal

import pytest

from antiphon.core.billing.price_list import LIST_PRICES, list_price, price_for
from antiphon.core.billing.pricing import FREE, Price, cost
from antiphon.core.billing.usage import TokenCounts

OWN = Price(input=1)


def test_line_of_the_price_page_is_nano_dollars_for_a_token() -> None:
    assert list_price("claude-opus-5") == Price(
        input=5000, cache_write_5m=6250, cache_write_1h=10_000, cache_read=500, output=25_000
    )


@pytest.mark.parametrize(
    "name",
    ["claude-opus-4-5", "claude-opus-4-5-20251101", "claude-opus-4-6"],
)
def test_dated_id_is_paid_like_its_alias(name: str) -> None:
    assert list_price(name) is LIST_PRICES["claude-opus-4-5"]


@pytest.mark.parametrize(
    "name",
    ["", "smollm2", "claude-opus-9", "claude-opus-5-2025", "claude-opus-5-20251101-x", "-20251101"],
)
def test_unlisted_model_name_has_no_list_price(name: str) -> None:
    assert list_price(name) is None


def test_small_model_has_a_second_card_above_100000_tokens() -> None:
    price = LIST_PRICES["claude-haiku-5-5"]
    assert cost(price, TokenCounts(input=100_000)).total == 10_000_000
    assert cost(price, TokenCounts(input=100_001)).total == 50_000_500


def test_cached_input_is_cheaper_to_read_and_dearer_to_write_than_input() -> None:
    for price in LIST_PRICES.values():
        for card in (price, price.card(10**9)):
            assert card.cache_read < card.input < card.cache_write_5m < card.cache_write_1h
            assert (card.cache_write_5m, card.cache_write_1h) == (
                card.input * 5 // 4,
                card.input * 2,
            )
            assert card.output == card.input * 5


CHEAP_READS = {
    **dict.fromkeys(("claude-opus-5-5", "claude-sonnet-5-5"), 20),
    **dict.fromkeys(
        ("claude-fable-5-1", "claude-fable-5-2", "claude-mythos-5-1", "claude-mythos-5-2"), 40
    ),
}


def test_read_costs_a_tenth_of_the_input_and_a_smaller_part_on_six_models() -> None:
    for name, price in LIST_PRICES.items():
        for card in (price, price.card(10**9)):
            assert card.cache_read * CHEAP_READS.get(name, 10) == card.input


def test_price_of_the_served_model_wins() -> None:
    assert price_for("claude-opus-5", "claude-opus-5", OWN) is OWN
    assert price_for("claude-opus-5", "smollm2", FREE) is FREE


def test_name_that_was_asked_for_goes_before_the_served_one() -> None:
    assert price_for("claude-opus-5", "claude-haiku-4-5", None) is LIST_PRICES["claude-opus-5"]
    assert price_for("fast", "claude-haiku-4-5", None) is LIST_PRICES["claude-haiku-4-5"]


def test_model_without_any_price_is_free() -> None:
    assert price_for("fast", "smollm2", None) is FREE


PRICE_PAGE = """
claude-fable-5-2     8     10     16    0.20  40
claude-mythos-5-2    8     10     16    0.20  40
claude-fable-5-1     10    12.50  20    0.25  50
claude-mythos-5-1    10    12.50  20    0.25  50
claude-fable-5       10    12.50  20    1     50
claude-mythos-5      10    12.50  20    1     50
claude-opus-5-5      4     5      8     0.20  20
claude-opus-5        5     6.25   10    0.50  25
claude-opus-4-8      5     6.25   10    0.50  25
claude-opus-4-7      5     6.25   10    0.50  25
claude-opus-4-6      5     6.25   10    0.50  25
claude-opus-4-5      5     6.25   10    0.50  25
claude-opus-4-5-20251101    5  6.25  10  0.50  25
claude-sonnet-5-5    2     2.50   4     0.10  10
claude-sonnet-5      2     2.50   4     0.20  10
claude-sonnet-4-6    3     3.75   6     0.30  15
claude-sonnet-4-5    3     3.75   6     0.30  15
claude-sonnet-4-5-20250929  3  3.75  6   0.30  15
claude-haiku-5-5     0.10  0.125  0.20  0.01  0.50
claude-haiku-4-5     1     1.25   2     0.10  5
claude-haiku-4-5-20251001   1  1.25  2   0.10  5
claude-opus-4-1-20250805    15 18.75 30  1.50  75
claude-opus-4-20250514      15 18.75 30  1.50  75
claude-sonnet-4-20250514    3  3.75  6   0.30  15
claude-3-5-haiku-20241022   0.80  1  1.60 0.08 4
"""


@pytest.mark.parametrize("line", PRICE_PAGE.strip().splitlines(), ids=lambda line: line.split()[0])
def test_million_tokens_of_each_counter_cost_what_the_price_page_says(line: str) -> None:
    name, *dollars = line.split()
    price = list_price(name)
    assert price is not None
    for counter, paid in zip(
        ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output"), dollars, strict=True
    ):
        # A short prompt each time: a million tokens are ten times a hundred thousand.
        costs = cost(price, TokenCounts(**{counter: 100_000}))
        assert costs.total * 10 == Decimal(paid) * 10**9
        assert cost(price, TokenCounts(**{counter: 100_000}), "batch").total * 2 == costs.total


def test_every_name_of_the_list_is_on_the_price_page_or_an_alias_of_one() -> None:
    page = {list_price(line.split()[0]) for line in PRICE_PAGE.strip().splitlines()}
    assert set(LIST_PRICES.values()) == page
