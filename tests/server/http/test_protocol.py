import pytest

from antiphon.core.errors import InvalidRequestError
from antiphon.server.http.protocol import refusal, without_upgrade

HEAD = b"POST / HTTP/1.1\r\nconnection: upgrade\r\nUpgrade: h2c\r\ncontent-length: 10\r\n\r\n"


def test_upgrade_header_is_renamed() -> None:
    assert without_upgrade(HEAD) == HEAD.replace(b"Upgrade", b"x-grade")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET /?upgrade: HTTP/1.1\r\nhost: upgrade:\r\n\r\n",
        HEAD.replace(b"Upgrade: h2c\r\n", b"") + b"\r\nupgrade:",
        b"x" * 100_000 + HEAD,
    ],
)
def test_head_without_an_upgrade_header_is_unchanged(data: bytes) -> None:
    assert without_upgrade(data) == data


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb: c", "a\rb"])
def test_header_value_with_a_line_break_raises_value_error(value: str) -> None:
    error = InvalidRequestError("no", headers={"x-said": value})
    with pytest.raises(ValueError, match="line break"):
        refusal(error, "req_1")
