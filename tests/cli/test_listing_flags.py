"""Numbers of commands that list."""

import argparse

import pytest

from antiphon.cli.listing_flags import number_up_to


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("1000", 1000), ("00005", 5)])
def test_number_is_read(text: str, number: int) -> None:
    assert number_up_to(1000)(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "1001", "000010000", "-1", "+1", "1e3", "1_0", "1.0", "\u0663", "9" * 5000]
)
def test_what_is_no_number_in_the_range_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"is no number from 1 to 1000$") as caught:
        number_up_to(1000)(text)
    assert len(str(caught.value)) < 300
