import pytest

from antiphon.core.price_list import LIST_PRICES, list_price, price_for
from antiphon.core.pricing import FREE, Price, cost
from antiphon.core.usage import TokenCounts

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
def test_other_names_have_no_list_price(name: str) -> None:
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


def test_price_of_the_served_model_wins() -> None:
    assert price_for("claude-opus-5", "claude-opus-5", OWN) is OWN
    assert price_for("claude-opus-5", "smollm2", FREE) is FREE


def test_name_that_was_asked_for_goes_before_the_served_one() -> None:
    assert price_for("claude-opus-5", "claude-haiku-4-5", None) is LIST_PRICES["claude-opus-5"]
    assert price_for("fast", "claude-haiku-4-5", None) is LIST_PRICES["claude-haiku-4-5"]


def test_model_without_any_price_is_free() -> None:
    assert price_for("fast", "smollm2", None) is FREE
