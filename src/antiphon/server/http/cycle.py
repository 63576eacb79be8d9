"""One request on a connection and its answer, between the parser and the application.

uvicorn's own cycle makes an event, an empty buffer and a dozen attributes for each request, and
sets its event with each piece of the body. Nearly all requests arrive whole before anybody asks for
them, so here these are made for those that do not.

The application may answer through ASGI, or by the shortcut around it (see `Direct`): through ASGI
an answer is two messages, each written with a system call after a check of every header, and a body
arrives through an event, which needs a timer.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Mapping
from email.utils import formatdate

from uvicorn._types import ASGIReceiveEvent, HTTPScope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

# Values of `SO_LINGER`: whoever closes the socket, also by dying, resets the connection, or not.
RESET = struct.pack("ii", 1, 0)
NO_RESET = struct.pack("ii", 0, 0)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class DateLine:
    """The `date` line of a head, made once a second; `now` is the time in seconds since 1970."""

    __slots__ = ("_line", "_now", "_second")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._second = -1
        self._line = b""

    def __call__(self) -> bytes:
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._line = f"date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._line


class Cycle(RequestResponseCycle):
    """A request and its answer: an ASGI `receive` and `send`, and the shortcut around them.

    `send` is uvicorn's own. What few requests change of its state are attributes of the class.
    """

    # Of uvicorn's `send`. Antiphon writes a log line of its own for each request.
    access_log = False
    chunked_encoding: bool | None = None
    expected_content_length = 0

    disconnected = False
    more_body = True
    response_started = False
    response_complete = False

    # The part of the body that nobody has taken yet.
    _body: bytes | bytearray = b""
    # Whether something has come since the last look, and what those wait for who wait for it.
    _news = False
    _event: asyncio.Event | None = None
    _chunked = False

    def __init__(  # noqa: PLR0913 - a request on a connection
        self,
        scope: HTTPScope,
        transport: asyncio.Transport,
        flow: FlowControl,
        on_response: Callable[[], None],
        *,
        date: DateLine,
        default_headers: list[tuple[bytes, bytes]],
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        """`on_response` is called once the last byte of the answer is written.

        `default_headers` are those of answers through ASGI.
        """
        self.scope = scope
        self.transport = transport
        self.flow = flow
        self.on_response = on_response
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects_continue
        self.default_headers = default_headers
        self._date = date

    @property
    def logger(self) -> logging.Logger:  # type: ignore[override]
        """Where uvicorn tells of an application with an error."""
        return logging.getLogger("uvicorn.error")

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        """The event of news, for those who wait."""
        if self._event is None:
            self._event = asyncio.Event()
            if self._news:
                self._event.set()
        return self._event

    def tell(self) -> None:
        """Wake who waits: a piece of the body has come, or the caller is gone."""
        self._news = True
        if self._event is not None:
            self._event.set()

    def _forget_news(self) -> None:
        self._news = False
        if self._event is not None:
            self._event.clear()

    def hang_up(self) -> None:
        """Note that the caller is gone."""
        if not self.response_complete:
            self.disconnected = True
            self.waiting_for_100_continue = False
            self.tell()

    def add(self, piece: bytes) -> None:
        """Add a piece of the body; with enough of it, nothing more is read."""
        body = self._body
        if not body:
            self._body = body = piece
        elif isinstance(body, bytearray):
            body += piece
        else:
            self._body = body = bytearray(body)
            body += piece
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.tell()

    def end_body(self) -> None:
        """Note that the body has arrived whole."""
        self.more_body = False
        self.tell()

    def _take(self) -> bytes:
        body, self._body = self._body, b""
        return bytes(body)

    async def receive(self) -> ASGIReceiveEvent:
        """Return what has come of the body, or the hang-up; wait for it."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(CONTINUE)
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            if not self._news:
                await self.message_event.wait()
            self._forget_news()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._take(), "more_body": self.more_body}

    def whole_body(self) -> bytes | None:
        """Return the request's body if all of it has arrived, and none of it was taken."""
        if self.more_body or self.disconnected:
            return None
        # As `receive` does: the next event is the disconnect.
        self.flow.resume_reading()
        self._forget_news()
        return self._take()

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Write a whole answer in one write; `headers` have its length."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        content = b"" if self.scope["method"] == "HEAD" else body
        self.transport.write(self._head(status, headers) + content)
        self._end()

    async def begin(
        self, status: int, headers: Mapping[str, str], part: bytes, *, more: bool
    ) -> None:
        """Write the head of an answer whose length is not known, and its first part, if any.

        `more` is false if this is all.

        HTTP/1.0 has no chunks: there the end of the connection is the end of the answer. So that
        one that breaks off does not look whole, its connection is reset, whatever the reason.
        """
        self._chunked = self.scope["http_version"] == "1.1"
        if self._chunked:
            headers = {**headers, "transfer-encoding": "chunked"}
        else:
            self.keep_alive = False
            self._at_close(RESET)
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._put(self._head(status, headers), part, more=more)

    async def write(self, part: bytes, *, more: bool) -> None:
        """Write a part of an answer that `begin` has begun; `more` is false for the last."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._put(b"", part, more=more)

    def _put(self, head: bytes, part: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            part = b""
        elif self._chunked:
            part = b"%x\r\n%b\r\n" % (len(part), part) if part else b""
            part += b"" if more else b"0\r\n\r\n"
        if written := head + part:
            self.transport.write(written)
        if not more:
            if not self._chunked:
                self._at_close(NO_RESET)
            self._end()

    def _at_close(self, linger: bytes) -> None:
        # Afterwards the number of the socket may be that of another connection.
        if not self.transport.is_closing():
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        # The rest of a request that is answered early is no new request.
        if self.more_body or headers.get("connection") == "close":
            self.keep_alive = False
        if not self.keep_alive:
            headers = {**headers, "connection": "close"}
        written = b"".join((STATUS_LINE[status], self._date(), head_lines(headers)))
        self.waiting_for_100_continue = False
        self.response_started = True
        return written

    def _end(self) -> None:
        self.response_complete = True
        self.tell()
        if not self.keep_alive and not self.more_body:
            self.transport.close()
        # Of a request that has not arrived whole, the connection drops the rest and closes.
        self.on_response()


def head_lines(headers: Mapping[str, str]) -> bytes:
    """Return the lines of a head. Raises `ValueError` for a value with a line break."""
    lines = [*map(": ".join, headers.items())]
    # Joined by something else first: to look for one character is much quicker than to count them.
    texts = "".join(lines)
    if "\n" in texts or "\r" in texts:
        raise ValueError("a header with a line break")
    return "\r\n".join((*lines, "", "")).encode("latin-1")
