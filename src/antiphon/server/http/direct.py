"""The shortcut around ASGI for one request on a connection of uvicorn (see `Direct`).

Through ASGI an answer is two messages, each written with a system call after a check of every
header, and a body arrives through an event, which needs a timer.
"""

import socket
import struct
from collections.abc import Callable, Mapping
from email.utils import formatdate

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

# Values of `SO_LINGER`: whoever closes the socket, also by dying, resets the connection, or not.
RESET = struct.pack("ii", 1, 0)
NO_RESET = struct.pack("ii", 0, 0)


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


class UvicornDirect:
    """The body and the answer of one request, beside uvicorn's `send` and `receive`.

    It keeps the state of uvicorn's cycle as those do.
    """

    __slots__ = ("_chunked", "_cycle", "_date")

    def __init__(self, cycle: RequestResponseCycle, date: DateLine) -> None:
        self._cycle = cycle
        self._date = date
        self._chunked = False

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
        """Write a whole answer in one write; `headers` have its length."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        content = b"" if cycle.scope["method"] == "HEAD" else body
        cycle.transport.write(self._head(status, headers) + content)
        self._end()

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Write the head of an answer whose length is not known.

        HTTP/1.0 has no chunks: there the end of the connection is the end of the answer. So that
        one that breaks off does not look whole, its connection is reset, whatever the reason.
        """
        cycle = self._cycle
        self._chunked = cycle.scope["http_version"] == "1.1"
        if self._chunked:
            headers = {**headers, "transfer-encoding": "chunked"}
        else:
            cycle.keep_alive = False
            self._at_close(RESET)
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if not cycle.disconnected:
            cycle.transport.write(self._head(status, headers))

    async def write(self, part: bytes, *, more: bool) -> None:
        """Write a part of an answer that `begin` has begun; `more` is false for the last."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        if cycle.scope["method"] == "HEAD":
            part = b""
        elif self._chunked:
            part = b"%x\r\n%b\r\n" % (len(part), part) if part else b""
            part += b"" if more else b"0\r\n\r\n"
        if part:
            cycle.transport.write(part)
        if not more:
            if not self._chunked:
                self._at_close(NO_RESET)
            self._end()

    def _at_close(self, linger: bytes) -> None:
        transport = self._cycle.transport
        # Afterwards the number of the socket may be that of another connection.
        if not transport.is_closing():
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        cycle = self._cycle
        # The rest of a request that is answered early is no new request.
        cycle.keep_alive = (
            cycle.keep_alive and not cycle.more_body and headers.get("connection") != "close"
        )
        if not cycle.keep_alive:
            headers = {**headers, "connection": "close"}
        written = b"".join((STATUS_LINE[status], self._date(), head_lines(headers)))
        cycle.waiting_for_100_continue = False
        cycle.response_started = True
        return written

    def _end(self) -> None:
        cycle = self._cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive and not cycle.more_body:
            cycle.transport.close()
        # Of a request that has not arrived whole, the connection drops the rest and closes.
        cycle.on_response()


def head_lines(headers: Mapping[str, str]) -> bytes:
    """Return the lines of a head. Raises `ValueError` for a value with a line break."""
    lines = [*map(": ".join, headers.items())]
    # Joined by something else first: to look for one character is much quicker than to count them.
    texts = "".join(lines)
    if "\n" in texts or "\r" in texts:
        raise ValueError("a header with a line break")
    return "\r\n".join((*lines, "", "")).encode("latin-1")
