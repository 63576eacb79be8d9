import pytest

from antiphon.server.protocol import without_upgrade

HEAD = b"POST / HTTP/1.1\r\nconnection: upgrade\r\nUpgrade: h2c\r\ncontent-length: 10\r\n\r\n"


def test_the_wish_for_another_protocol_is_hidden() -> None:
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
def test_what_is_no_such_wish_stays(data: bytes) -> None:
    assert without_upgrade(data) == data
