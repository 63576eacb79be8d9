import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.admission import LARGEST_SPEND
from antiphon.core.money import cents, nano_dollars_of


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
    "text", ["", "-1", "+1", "1e3", "NaN", "Infinity", "1_0", "\u0661", "1.2.3", " 1"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount in cents"):
        nano_dollars_of(text)


def test_amounts_are_bounded() -> None:
    with pytest.raises(ValueError, match="less than or equal to 900000000 cents"):
        nano_dollars_of("900000001")
    with pytest.raises(ValueError, match="at most 7 decimals"):
        nano_dollars_of("0.00000001")
    assert nano_dollars_of("900000000") == LARGEST_SPEND
