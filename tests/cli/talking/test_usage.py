"""What answers took, in words."""

from decimal import Decimal

import pytest

from antiphon.cli.talking.usage import Used, dollars_text
from antiphon.wire.messages import Usage


def test_sum_names_the_share_of_the_cache() -> None:
    used = Used()
    used.add(Usage(input_tokens=200, output_tokens=50), 2.0, Decimal("0.001"))
    used.add(
        Usage(input_tokens=50, cache_read_input_tokens=750, output_tokens=30),
        2.0,
        Decimal("0.0002"),
    )
    assert used.summary() == (
        "2 answers: 1,000 tokens in (750 cached), 80 out, 4.0 s, 20.0 tokens/s, $0.0012, 75% of "
        "the input from the cache"
    )


def test_one_unknown_price_makes_the_sum_unknown() -> None:
    used = Used()
    used.add(Usage(input_tokens=2, output_tokens=0), 0.0, None)
    used.add(Usage(input_tokens=2, output_tokens=0), 0.0, Decimal(1))
    assert used.summary() == "2 answers: 4 tokens in, 0 out, 0.0 s"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("1234.5", "$1,234.50"),
        ("0.25", "$0.25"),
        ("0.0012", "$0.0012"),
        ("0.00000375", "$0.0000038"),
        ("0.9999", "$1.00"),
    ],
)
def test_amount_has_the_digits_that_say_something(amount: str, text: str) -> None:
    assert dollars_text(Decimal(amount)) == text
