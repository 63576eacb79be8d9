from typing import Any

from antiphon.server.http.exchange import Exchange


class Counted(bytes):
    """Bytes that count what is copied when others are added to them."""

    copied = 0

    def __add__(self, other: Any) -> "Counted":
        Counted.copied += len(self) + len(other)
        return Counted(bytes(self) + other)


async def _nothing(*_: Any) -> Any:
    raise NotImplementedError


def test_repeated_headers_are_joined_in_linear_steps() -> None:
    headers = [(b"x", Counted(b"y")) for _ in range(10_000)] + [(b"host", b"a")]
    exchange = Exchange({"headers": headers}, _nothing, _nothing, "req_1")
    assert exchange.header(b"host") == "a"
    assert exchange.header(b"x") == ", ".join("y" * 10_000)
    assert exchange.header(b"z") is None
    assert Counted.copied <= 2 * len(", ".join("y" * 10_000))
