"""What a transport is: something that sends one request and hands over the answer as it comes.

Two kinds keep the same rules, one that blocks and one for asyncio. Both are protocols, so an
application in the same process can stand where a network would be. A transport sends a request
once; to try again is the business of whoever calls it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeAlias

import msgspec


class Discreet(msgspec.Struct, frozen=True):
    """A struct with secrets. Its texts, also those in a traceback of `rich`, show none of them."""

    def _shown(self) -> dict[str, Any]:
        """Return what its texts show."""
        return {}

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self._shown().items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self._shown().items())


def without_userinfo(url: str) -> str:
    """Return a URL, or what should be one, without a name and a password in it."""
    scheme, separator, rest = url.rpartition("://") if "://" in url else ("", "", url)
    end = min((at for sign in "/?#" if (at := rest.find(sign)) >= 0), default=len(rest))
    _, at_sign, host = rest[:end].rpartition("@")
    return f"{scheme}{separator}***@{host}{rest[end:]}" if at_sign else url


class Pieces(Protocol):
    """A body that nobody holds in memory: it is read, piece by piece, while it is sent.

    Its length is known before. Each iteration begins anew, so it can be sent again, and gives
    exactly so many bytes. It raises `OSError` if they cannot be read.
    """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...


Body: TypeAlias = bytes | Pieces


def whole(body: Body) -> bytes:
    """Return all of a body. Raises `OSError`."""
    return body if isinstance(body, bytes) else b"".join(body)


class HttpRequest(Discreet, frozen=True, kw_only=True):
    """One request, which can be sent again.

    `headers` are what the caller wants to say; the transport adds `host` and `content-length`.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = b""

    def _shown(self) -> dict[str, Any]:
        return {"method": self.method, "url": without_userinfo(self.url)}


class Headers:
    """The headers of an answer. Names have no case; a repeated one is joined by commas.

    Of an answer that came over a network they are bytes until somebody asks for them: most answers
    have a dozen, and most programs ask for one or none.
    """

    __slots__ = ("_head", "_known")

    def __init__(self, pairs: Iterable[tuple[str, str]] = (), *, head: bytes | None = None) -> None:
        """Take pairs, or a `head` as it came: lines behind that of the status, each with CR LF."""
        self._head = head
        self._known = _joined(pairs) if head is None else None

    @property
    def _values(self) -> dict[str, str]:
        if self._known is None:
            self._known = _joined(header_lines(self._head or b""))
        return self._known

    def get(self, name: str, default: str | None = None) -> str | None:
        if self._known is None and (head := self._head):
            key = b"\r\n%b:" % name.lower().encode(errors="replace")
            lower = head.lower()
            at = lower.find(key)
            if at < 0:
                return default
            begin = at + len(key)
            if lower.find(key, begin) < 0:  # it is not repeated, as most are
                value = head[begin : head.index(b"\r\n", begin)]
                return value.strip(b" \t").decode("latin-1")
        return self._values.get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> Iterable[tuple[str, str]]:
        return self._values.items()

    def __repr__(self) -> str:
        # The values may be secrets.
        return f"Headers({', '.join(self._values)})"


def header_lines(head: bytes) -> Iterator[tuple[str, str]]:
    """Take the headers of a head apart. They are in Latin-1, if in anything."""
    for line in head.decode("latin-1").split("\r\n")[1:-1]:
        name, _, value = line.partition(":")
        yield name, value.strip(" \t")


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in pairs:
        lower = name.lower()
        values[lower] = f"{values[lower]}, {value}" if lower in values else value
    return values


class TransportError(Exception):
    """No answer, or not all of it. The text says what happened, for whoever runs the program.

    `elapsed` are the seconds until then, if who sent the request notes them.
    """

    elapsed: float = 0.0


class ConnectError(TransportError):
    """No connection was made: the server has seen nothing of the request."""


class TlsError(ConnectError):
    """The server speaks no TLS, or its certificate does not say that it is who it should be."""


class ConnectionLost(TransportError):  # noqa: N818 - the state, as its siblings are
    """The connection ended before the answer did. The server may have done what was asked.

    `kept`: the connection had carried a request before and no byte of this answer came. Most
    likely the server closed it while the request was on its way, and has not read it.
    """

    def __init__(self, message: str, *, kept: bool = False) -> None:
        super().__init__(message)
        self.kept = kept


class ProtocolError(TransportError):
    """What came is not HTTP/1.1, or is past the bounds of this transport."""


class TransportTimeout(TransportError):  # noqa: N818 - `TimeoutError` is Python's own
    """A time ran out; the text says which one."""


class ConnectTimeout(ConnectError, TransportTimeout):  # noqa: N818 - as its bases
    """The time for a connection ran out: the server has seen nothing of the request."""


class ResponseStream(Protocol):
    """An answer whose head has come. Reading to its end, or closing it, gives the connection back.

    `http_version` is "1.0" or "1.1". Bodies come decoded: neither chunks nor gzip are left.
    """

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def http_version(self) -> str: ...

    def read_chunk(self, timeout: float | None) -> bytes:
        """Return the next bytes of the body, or `b""` at its end.

        Raises `TransportTimeout` if none come in `timeout` seconds, `ConnectionLost` if the
        connection ends first. After an error the connection is closed.
        """
        ...

    def read(self, timeout: float | None) -> bytes:
        """Return all of the body that is left, in `timeout` seconds for all of it."""
        ...

    def close(self) -> None:
        """End the answer. A body that has not been read to its end costs the connection.

        To read on is an error (`ConnectionLost`): no part of a body looks like all of it.
        """
        ...


class Transport(Protocol):
    """Sends requests from any number of threads."""

    def open(
        self, request: HttpRequest, *, connect_timeout: float | None, timeout: float | None
    ) -> ResponseStream:
        """Send a request and return the answer when its head has come.

        `connect_timeout` bounds the wait for a connection, `timeout` the wait for the head behind
        it; both are seconds, and `None` is no bound. Raises `TransportError`.
        """
        ...

    def close(self) -> None:
        """Close every connection. What is open ends with `ConnectionLost`."""
        ...


class AsyncResponseStream(Protocol):
    """As `ResponseStream`, for asyncio. A cancelled read closes the connection."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def http_version(self) -> str: ...

    async def read_chunk(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        ...

    async def read(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        ...

    def close(self) -> None:
        """As in `ResponseStream`. Waits for nothing, so it is right in any `finally`."""
        ...


class AsyncTransport(Protocol):
    """As `Transport`, for asyncio. One serves all loops: each has connections of its own."""

    async def open(
        self,
        request: HttpRequest,
        *,
        connect_timeout: float | None,
        timeout: float | None,  # noqa: ASYNC109 - one rule for both kinds
    ) -> AsyncResponseStream: ...

    def close(self) -> None:
        """Close every connection of every loop. Waits for nothing."""
        ...
