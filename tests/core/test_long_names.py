"""Names and numbers of callers that are longer than any of ours."""

import pytest

from antiphon.core.catalogue import LONGEST_NAME, Catalogue
from antiphon.core.errors import InvalidRequestError
from antiphon.core.pagination import TokenCursor, page_by_tokens
from antiphon.wire.errors import LONGEST_ECHO, shortened


def test_wildcard_takes_no_name_beyond_the_longest() -> None:
    exact = "x" * (LONGEST_NAME + 1)
    names = Catalogue({"m": ["claude-*", exact]})
    longest = "claude-".ljust(LONGEST_NAME, "x")
    assert names.resolve(longest) == "m"
    assert names.resolve(f"{longest}x") is None
    assert names.resolve(exact) == "m"


@pytest.mark.parametrize("number", ["0" * 5000, "9" * 5000, "0" * 16, "\u0663", "1_0", ""])
def test_page_token_of_many_or_other_digits_is_refused(number: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a page"):
        page_by_tokens([1, 2, 3], TokenCursor(1, f"page_{number}"))


def test_text_is_shortened_beyond_the_longest_echo() -> None:
    assert shortened("x" * LONGEST_ECHO) == "x" * LONGEST_ECHO
    assert shortened("x" * (LONGEST_ECHO + 1)) == "x" * (LONGEST_ECHO - 1) + "…"
