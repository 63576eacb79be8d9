from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.billing.money import cents, dollars, nano_dollars_of, nano_dollars_of_dollars
from antiphon.core.limits.values import LARGEST_SPEND

WORDS = ("", ".", " 1", "1\n", "true", "NaN", "sNaN", "Infinity", "0" * 100_000 + "x")


@given(st.integers(0, LARGEST_SPEND))
def test_amounts_read_back_as_they_were_written(nano_dollars: int) -> None:
    assert nano_dollars_of(cents(nano_dollars)) == nano_dollars


@pytest.mark.parametrize(
    ("nano_dollars", "written"),
    [(0, "0"), (10**7, "1"), (1_237_891_200, "123.78912"), (1, "0.0000001"), (-15_000_000, "-1.5")],
)
def test_amounts_are_written_in_cents(nano_dollars: int, written: str) -> None:
    assert cents(nano_dollars) == written


@pytest.mark.parametrize(
    ("nano_dollars", "written"),
    [
        (0, "0.00"),
        (10**9, "1.00"),
        (1_230_000_000, "1.23"),
        (1, "0.000000001"),
        (-5 * 10**8, "-0.50"),
    ],
)
def test_amounts_are_written_in_dollars(nano_dollars: int, written: str) -> None:
    assert dollars(nano_dollars) == written


@pytest.mark.parametrize(
    "text",
    [*WORDS, "-1", "+1", "-0", "1e3", "1E+2", "1_0", "\u0661", "1.2.3", "1.", ".5", "0x10", "1,0"],
)
def test_text_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount in cents"):
        nano_dollars_of(text)


def test_amounts_are_bounded() -> None:
    for text in ("900000001", "900000000.0000001", "9" * 1_000_000, "900000000.00000001"):
        with pytest.raises(ValueError, match=r"less than or equal to 900000000 cents|7 decimals"):
            nano_dollars_of(text)
    with pytest.raises(ValueError, match="less than or equal to 900000000 cents"):
        nano_dollars_of("900000000.0000001")
    assert nano_dollars_of("900000000") == LARGEST_SPEND


@pytest.mark.parametrize("text", ["0.00000001", "12." + "0" * 40 + "1", "0." + "9" * 100_000])
def test_fraction_of_a_nano_dollar_in_cents_is_refused_and_never_rounded(text: str) -> None:
    with pytest.raises(ValueError, match="at most 7 decimals"):
        nano_dollars_of(text)


@pytest.mark.parametrize(
    ("text", "nano_dollars"),
    [("007", 7 * 10**7), ("1.50", 15_000_000), ("2." + "0" * 99, 2 * 10**7)],
)
def test_leading_and_trailing_zeros_are_read(text: str, nano_dollars: int) -> None:
    assert nano_dollars_of(text) == nano_dollars


@given(st.text() | st.text("0123456789.-+eE_ "))
def test_any_text_is_an_exact_amount_or_refused(text: str) -> None:
    try:
        nano_dollars = nano_dollars_of(text)
    except ValueError:
        return
    assert 0 <= nano_dollars <= LARGEST_SPEND
    assert Decimal(nano_dollars) == Decimal(text) * 10**7


@pytest.mark.parametrize(
    ("text", "nano_dollars"), [("0", 0), ("3", 3 * 10**9), ("0.000000001", 1), ("1E-9", 1)]
)
def test_dollars_become_nano_dollars(text: str, nano_dollars: int) -> None:
    assert nano_dollars_of_dollars(Decimal(text)) == nano_dollars


@given(st.integers(0, LARGEST_SPEND))
def test_dollars_are_read_exactly(nano_dollars: int) -> None:
    assert nano_dollars_of_dollars(Decimal(nano_dollars).scaleb(-9)) == nano_dollars


@pytest.mark.parametrize("text", ["-0.000000001", "9000000.000000001", "NaN", "-Infinity", "1E+9"])
def test_dollars_are_bounded(text: str) -> None:
    with pytest.raises(ValueError, match="between 0 and 9000000 US dollars"):
        nano_dollars_of_dollars(Decimal(text))


@pytest.mark.parametrize("text", ["1E-10", "1." + "0" * 40 + "1", "0." + "9" * 1000])
def test_fraction_of_a_nano_dollar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number of nano-dollars"):
        nano_dollars_of_dollars(Decimal(text))
