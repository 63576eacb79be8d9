"""One connection: uvicorn's, with limits for heads, and a shortcut for whole messages.

uvicorn reads heads without limits of length and time, and refuses in plain text. This protocol has
limits for heads, and every refusal has the envelope of the API's errors.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from itertools import chain
from typing import ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from antiphon.core.errors import ApiError, InvalidRequestError, RequestHeadTooLarge
from antiphon.core.ids import ID_ENTROPY, request_id
from antiphon.server.http.boundary import envelope, headers
from antiphon.server.http.exchange import DIRECT

# The most bytes of a request's path, query and headers together.
HEADER = ": \r\n"
LARGEST_HEAD = 64 * 1024
UPGRADE = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)


class EnvelopeProtocol(HttpToolsProtocol):
    """One connection. A head may take `patience_s`; for the first, from the opening on."""

    patience_s: ClassVar[float]
    entropy: ClassVar[Callable[[int], bytes]]

    _arriving = False
    _received = 0
    _timer: asyncio.TimerHandle | None = None
    _fault: ApiError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.patience_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data if self._in_body() else without_upgrade(data))
        if not self._arriving or self.transport.is_closing():
            return
        if self._received > LARGEST_HEAD:
            self._refuse(RequestHeadTooLarge())
        elif self._timer is None:
            self._timer = self.loop.call_later(self.patience_s, self._give_up)

    def on_message_begin(self) -> None:
        self._arriving = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._arriving = False
        self._stop_waiting()
        # The bytes since the last head include this head, so most heads need no measuring.
        if self._received > LARGEST_HEAD and self._head_bytes() > LARGEST_HEAD:
            self._fault = RequestHeadTooLarge()
            raise self._fault
        self._received = 0
        scope = self.scope
        super().on_headers_complete()
        # The task of the request starts after the callbacks of the parser, so it finds this.
        scope["state"][DIRECT] = WholeMessages(self.cycle)

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that the parser or one of its callbacks rejected."""
        self._refuse(self._fault or InvalidRequestError(msg))

    def _head_bytes(self) -> int:
        written = len(HEADER) * len(self.headers)
        return len(self.url) + written + sum(map(len, chain.from_iterable(self.headers)))

    def _in_body(self) -> bool:
        return self._answering() and not self._arriving and self.cycle.more_body

    def _give_up(self) -> None:
        self._timer = None
        if not self._arriving:
            self.transport.close()
        elif self._answering():
            # A pipelined second request gets the same time after the answer to the first.
            self._timer = self.loop.call_later(self.patience_s, self._give_up)
        else:
            self._refuse(InvalidRequestError(f"The request did not come in {self.patience_s:g} s."))

    def _answering(self) -> bool:
        # Before the first request there is no cycle, which uvicorn's types leave out.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: ApiError) -> None:
        self._stop_waiting()
        # In the middle of another answer a refusal would look like a part of it.
        if not (self._answering() and self.cycle.response_started):
            self.transport.write(refusal(error, request_id(type(self).entropy(ID_ENTROPY))))
        self.transport.close()


class WholeMessages:
    """The shortcut for one request (see `Direct`).

    Through ASGI an answer is two messages, each written with a system call after a check of every
    header, and a body arrives through an event, which needs a timer.
    """

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def body(self) -> bytes | None:
        """Return the request's body if all of it has arrived."""
        cycle = self._cycle
        if cycle.more_body or cycle.disconnected:
            return None
        whole, cycle.body = bytes(cycle.body), bytearray()
        # As `receive` does: the next event is the disconnect.
        cycle.flow.resume_reading()
        cycle.message_event.clear()
        return whole

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Write a whole answer in one write."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        cycle.keep_alive = cycle.keep_alive and headers.get("connection") != "close"
        if not cycle.keep_alive:
            headers = {**headers, "connection": "close"}
        content = b"" if cycle.scope["method"] == "HEAD" else body
        cycle.transport.write(b"".join((STATUS_LINE[status], _lines(headers), content)))
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


def _lines(headers: Mapping[str, str]) -> bytes:
    """Return the lines of a head. Raises `ValueError` for a value with a line break."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not lines.count("\n") == lines.count("\r") == len(headers):
        raise ValueError("a header with a line break")
    return f"{lines}\r\n".encode("latin-1")


def without_upgrade(data: bytes) -> bytes:
    """Rename an `Upgrade` header, so that the parser ignores it.

    Java's own client sends one by default. The parser would take the body for data of the other
    protocol, and the body would be empty.
    """
    end = data.find(b"\r\n\r\n")
    end = LARGEST_HEAD if end < 0 else min(end, LARGEST_HEAD)
    # The header is rare, and this check takes half the time of the search.
    if b"upgrade" not in data[:end].lower():
        return data
    found = UPGRADE.search(data, 0, end)
    if found is None:
        return data
    return data[: found.start()] + b"x-grade" + data[found.end() :]


def protocol_for(entropy: Callable[[int], bytes], patience_s: float) -> type[HttpToolsProtocol]:
    """Return the protocol for uvicorn with this source of request ids and this patience."""
    attributes = {"patience_s": patience_s, "entropy": staticmethod(entropy)}
    return type("Protocol", (EnvelopeProtocol,), attributes)


def refusal(error: ApiError, request: str) -> bytes:
    """Return the bytes of an error answer that closes the connection."""
    body = msgspec.json.encode(envelope(error, request))
    fields = {
        "content-type": "application/json",
        "request-id": request,
        **headers(error),
        "content-length": str(len(body)),
        "connection": "close",
    }
    return STATUS_LINE[error.status] + _lines(fields) + body
