import pytest

from antiphon.core.errors import InvalidRequestError
from antiphon.server.http.protocol import refusal


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb: c", "a\rb"])
def test_header_value_with_a_line_break_raises_value_error(value: str) -> None:
    error = InvalidRequestError("no", headers={"x-said": value})
    with pytest.raises(ValueError, match="line break"):
        refusal(error, "req_1")
