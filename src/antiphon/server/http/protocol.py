"""One connection: uvicorn's, with a limit of bytes and of time for each of its phases.

uvicorn reads heads without limits of length and time, and refuses in plain text. Here each phase of
a connection ends within a stated time, and every refusal has the envelope of the API's errors:

    phase     lasts from … to …                         at most
    head      the first byte … the end of the head      `patience_s`; the first: from the opening
    body      the end of the head … the last chunk      `patience_s`, where it is read (`Exchange`)
    answer    … its last byte is written                what the engine and the gate allow
    writing   the buffer is full … the caller reads     `write_s` for each 64 KiB
    idle      the answer … the next head                `idle_s`
    closing   an early answer … the rest of the request  `LINGER_S`
"""

import asyncio
import re
import time
import urllib.parse
from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import Any, ClassVar, NoReturn

import httptools
import msgspec
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from antiphon.core.errors import ApiError, InvalidRequestError, RequestHeadTooLarge
from antiphon.core.ids import ID_ENTROPY, request_id
from antiphon.logs import EventLog
from antiphon.server.http.base_urls import base_url
from antiphon.server.http.boundary import envelope, headers
from antiphon.server.http.cycle import Cycle, DateLine, head_lines
from antiphon.server.http.exchange import DIRECT

# The first byte of a TLS connection, with which no request of HTTP begins.
TLS_HANDSHAKE = 0x16
# The most bytes of a request's path, query, headers and trailers together.
HEADER = ": \r\n"
LARGEST_HEAD = 64 * 1024
NO_REQUEST = "Invalid HTTP request received."
VERSIONS = ("1.1", "1.0")
BAD_HOST = "The request must have one valid Host header."
# The headers with a meaning for the connection.
CHECKED = frozenset({b"host", b"transfer-encoding", b"expect"})
# A host and a port, or nothing (RFC 9110, 7.2).
HOST = re.compile(rb"[\w.~!$&'()*+,;=:%\[\]-]*[ \t]*", re.ASCII)
# The bytes that are parsed at once. They hold some hundred requests at most, so no more than that
# many wait on one connection behind another.
SLICE = 16 * 1024
# How long the rest of a request is read and dropped after an early answer. Closing at once would
# reset the connection, and the caller might lose the answer.
LINGER_S = 5.0
# A caller who takes fewer bytes than this in `write_s` is cut off, unless it takes all.
LEAST_TAKEN = 64 * 1024
# How long a connection may stay idle whose server hands over. Clients that keep connections send
# the next request sooner, and are told then to open another one; a request that comes in the moment
# in which its connection is closed would be lost.
PARTING_S = 5.0


class Flow(FlowControl):
    """uvicorn's control of reading and writing; while it is `full`, nothing resumes reading."""

    full = False

    def resume_reading(self) -> None:
        if self.read_paused and not self.full:
            super().resume_reading()


class EnvelopeProtocol(HttpToolsProtocol):
    """One connection, with its limits in seconds as attributes of a subclass (`protocol_for`)."""

    patience_s: ClassVar[float]
    write_s: ClassVar[float]
    idle_s: ClassVar[float]
    entropy: ClassVar[Callable[[int], bytes]]
    now: ClassVar[Callable[[], float]]
    date: ClassVar[DateLine]
    log: ClassVar[Any]
    # Whether the server hands over to another process: each answer ends its connection.
    parting: ClassVar[bool]

    # Whether a head is arriving, the bytes since its beginning, and those that are parsed now.
    _arriving = False
    _received = 0
    _parsed = 0
    # Of the arriving body: its bytes, the bytes around them, and those since the last of its own.
    _body_bytes = 0
    _framing = 0
    _since_body = 0
    # The `Host` headers of the head.
    _hosts = 0
    # What the head has left of its limit for trailers; `None` before the first trailer.
    _room: int | None = None
    _fault: ApiError | None = None
    # The request that is being answered; uvicorn's `cycle` is the last one that has arrived.
    _answered: Cycle | None = None
    # What arrived behind requests that wait for their turn.
    _kept = b""
    # The moment at which the phase ends, and the timer, which may ring earlier.
    _due: float | None = None
    _rings_at = 0.0
    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _unread = 0
    _closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow: Flow = Flow(transport)
        # Requests that have arrived whole behind the one that is answered, in their order.
        self.waiting: deque[Cycle] = deque()
        self._limit(self.patience_s)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._write_timer = self._due = None
        self.waiting.clear()
        self._kept = b""
        self._disconnect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            # libuv would go on with a socket for 8 MB before it looks at another one.
            self.flow.pause_reading()
            self.loop.call_soon(self._drop_more)
            return
        if self.waiting:
            self._keep(data)
        else:
            self._take(data)

    def _drop_more(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _take(self, data: bytes) -> None:
        """Parse what arrived, as far as there is no request that waits behind another."""
        if data[0] == TLS_HANDSHAKE and not self._received:
            self._refuse_tls()
            return
        if len(data) <= SLICE:
            self._parse(data)
            return
        for start in range(0, len(data), SLICE):
            if self._closing or self.transport.is_closing():
                return
            if self.waiting:
                self._keep(data[start:])
                return
            self._parse(data[start : start + SLICE])

    def _refuse_tls(self) -> None:
        """Refuse a client that was given `https://`; it cannot read why, so the log says it."""
        host, port = self.server or ("HOST", "PORT")
        named = base_url(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", "http")
        self.log.info(
            "TLS on a port of HTTP",
            hint=f"The base URL should be {named}, with http, or a proxy has to end TLS.",
        )
        self._refuse(InvalidRequestError("This port speaks HTTP and not TLS."))

    def _keep(self, data: bytes) -> None:
        """Keep what arrived behind waiting requests; with enough of it, read no more."""
        self._kept += data
        if len(self._kept) > LARGEST_HEAD:
            self.flow.pause_reading()
            self.flow.full = True

    def _parse(self, data: bytes) -> None:
        cycle = self.cycle if self._in_body() else None
        self._received += len(data)
        self._parsed = len(data)
        before = self._body_bytes
        self._feed(data)
        if self._closing or self.transport.is_closing():
            return
        if cycle is not None and cycle is self.cycle and self._in_body():
            self._check_framing(len(data), self._body_bytes - before)
        elif self._arriving:
            self._check_head()

    def _check_head(self) -> None:
        """Limit a head that has not arrived whole: its bytes, and from its first ones on its time.

        The first head has its limit of time from the opening on.
        """
        if self._received > LARGEST_HEAD:
            self._refuse(RequestHeadTooLarge())
        elif self._received == self._parsed and self.cycle is not None:
            self._limit(self.patience_s)

    def _feed(self, data: bytes) -> None:
        """Parse bytes, which may be those of several requests; refuse what is none."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser stops behind the head, and would begin a new request there.
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = new_parser(self)
            except httptools.HttpParserError:
                self._refuse(self._fault or InvalidRequestError(NO_REQUEST))
                return
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        """Return the head that was parsed last without its `Upgrade` headers.

        A server may ignore them (RFC 9110, 7.8), and Java's own client sends one by default. The
        parser does not: it takes the request's body for data of the other protocol.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join((*lines, b"", b""))

    def _check_framing(self, received: int, body: int) -> None:
        """Limit what a body has around its bytes: sizes and extensions of chunks, and trailers."""
        self._framing += received - body
        self._since_body = 0 if body else self._since_body + received
        if self._since_body > LARGEST_HEAD:
            self._refuse(RequestHeadTooLarge())
        elif self._framing > LARGEST_HEAD + self._body_bytes:
            self._refuse(InvalidRequestError("The chunks of the request body are too small."))

    def on_message_begin(self) -> None:
        self._arriving = True
        self._hosts = 0
        self._received = self._parsed
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._arriving:
            self._drop_trailer(name, value)
            return
        name = name.lower()
        if name in CHECKED:
            self._check_header(name, value)
        self.headers.append((name, value))

    def _check_header(self, name: bytes, value: bytes) -> None:
        match name:
            case b"host":
                self._hosts += 1
                if not HOST.fullmatch(value):
                    self._reject(BAD_HOST)
            case b"transfer-encoding" if value.strip().lower() != b"chunked":
                self._reject("Transfer-Encoding may be chunked, and no other coding.")
            case b"expect" if value.strip().lower() == b"100-continue":
                # HTTP/1.0 has no interim answers.
                self.expect_100_continue = self.parser.get_http_version() == "1.1"

    def _drop_trailer(self, name: bytes, value: bytes) -> None:
        if self._room is None:
            self._room = LARGEST_HEAD - self._head_bytes()
        self._room -= len(name) + len(value) + len(HEADER)
        if self._room < 0:
            self._reject(RequestHeadTooLarge())

    def on_headers_complete(self) -> None:
        self._arriving = False
        self._due = None
        # The bytes received include what stood before this head, so most heads need no measuring.
        if self._received > LARGEST_HEAD and self._head_bytes() > LARGEST_HEAD:
            self._reject(RequestHeadTooLarge())
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            self._reject(f"HTTP/{version} is not supported. Please send HTTP/1.1.")
        # Two hosts may be two sites for two servers, so both versions have at most one.
        if self._hosts > 1 or (not self._hosts and version == "1.1"):
            self._reject(BAD_HOST)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                # What follows it is no request, so the connection ends with the refusal.
                self._reject("CONNECT is not supported: this is no proxy.")
            return
        self._body_bytes = self._framing = self._since_body = 0
        self._room = None
        self._begin_cycle(version)

    def _begin_cycle(self, version: str) -> None:
        """Hand the request whose head is complete to the application, or let it wait."""
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope: HTTPScope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "root_path": "",
            "method": self.parser.get_method().decode("ascii"),
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self.headers,
            "state": {},
        }
        lasts = version != "1.0" and self.parser.should_keep_alive() and not type(self).parting
        # Before the first request there is none, which uvicorn's types leave out.
        before: Cycle | None = self.cycle
        cycle = Cycle(
            scope,
            self.transport,
            self.flow,
            self.on_response_complete,
            date=self.date,
            default_headers=self.server_state.default_headers,
            keep_alive=lasts,
            expects_continue=self.expect_100_continue,
        )
        self.cycle: Cycle = cycle
        # The application takes it out: it refers to the scope.
        scope["state"][DIRECT] = cycle
        if before is None or before.response_complete:
            self._start(cycle)
        else:
            # Bytes are still read, or a hang-up would not be noticed. `_keep` bounds what waits.
            self.waiting.append(cycle)
            self.flow.resume_reading()

    def on_message_complete(self) -> None:
        # Of a request with an `Upgrade` header the body is still to come: see `_feed`.
        if self.parser.should_upgrade():
            return
        if self._room is not None and not self.parser.should_keep_alive():
            # The parser has obeyed a `Connection: close` among the trailers, and reads no more.
            self.cycle.keep_alive = False
        if not self.cycle.response_complete:
            self.cycle.end_body()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if not self.cycle.response_complete:
            self.cycle.add(body)

    def _start(self, cycle: Cycle) -> None:
        self._answered = cycle
        task = self.loop.create_task(cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        answered, self._answered = self._answered, None
        if self.transport.is_closing():
            self._limit_writing()
        elif answered is not None and answered.more_body:
            self._linger()
        elif self.waiting:
            self._start(self.waiting.popleft())
        else:
            self.flow.resume_reading()
            self._limit(self.patience_s if self._arriving else self._idle_s())
        if self._kept and not self.waiting:
            kept, self._kept = self._kept, b""
            self.flow.full = False
            self._take(kept)

    def part(self) -> None:
        """End the connection with its next answer, or once it was idle for a while."""
        if self._answering():
            if not self.cycle.response_started:
                self.cycle.keep_alive = False
        elif not self._arriving and not self._closing:
            self._limit(self._idle_s())

    def _idle_s(self) -> float:
        return min(self.idle_s, PARTING_S) if type(self).parting else self.idle_s

    def pause_writing(self) -> None:
        super().pause_writing()
        self._limit_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()
            self._write_timer = None

    def _reject(self, fault: ApiError | str) -> NoReturn:
        """Stop the parser, from one of its callbacks, for a reason that the refusal tells."""
        self._fault = InvalidRequestError(fault) if isinstance(fault, str) else fault
        raise self._fault

    def _head_bytes(self) -> int:
        written = len(HEADER) * len(self.headers)
        return len(self.url) + written + sum(map(len, chain.from_iterable(self.headers)))

    def _in_body(self) -> bool:
        return self._answering() and not self._arriving and self.cycle.more_body

    def _answering(self) -> bool:
        # Before the first request there is no cycle, which uvicorn's types leave out.
        cycle: Cycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _limit(self, seconds: float) -> None:
        """End the present phase after so many seconds.

        A timer that rings too early is set again then: a new one for each request costs more.
        """
        self._due = due = self.loop.time() + seconds
        if self._timer is None or due < self._rings_at:
            self._set_timer(due)

    def _set_timer(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = moment
        self._timer = self.loop.call_at(moment, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._due > self.loop.time():
            self._set_timer(self._due)
        elif self._closing or not self._arriving:
            self._close()
        elif not self._answering():
            self._refuse(InvalidRequestError(f"The request did not come in {self.patience_s:g} s."))
        # Otherwise a second head has begun to arrive, which gets its time after the first answer.

    def _refuse(self, error: ApiError) -> None:
        answered = self._answered
        if self.waiting or (answered is not None and answered.response_started):
            # In the middle of another answer a refusal would look like a part of it.
            self._close()
            return
        request = request_id(type(self).now(), type(self).entropy(ID_ENTROPY))
        # Not by default: each scan of the port would write some.
        self.log.debug("no request", request_id=request, status=error.status, reason=error.message)
        self.transport.write(refusal(error, request, self.date()))
        self._disconnect()
        self._linger()

    def _disconnect(self) -> None:
        """Tell the request that is being answered that its caller is gone."""
        if self._answered is not None:
            self._answered.hang_up()

    def _linger(self) -> None:
        """End the answers; drop what the caller still sends, and close after `LINGER_S`."""
        self._closing = True
        self._kept = b""
        self.flow.full = False
        self.flow.resume_reading()
        self.transport.write_eof()
        self._limit(min(LINGER_S, self.patience_s))

    def _close(self) -> None:
        self._due = None
        self.transport.close()
        self._limit_writing()

    def _limit_writing(self) -> None:
        """Cut the connection after `write_s` if nobody takes what is written."""
        self._unread = self.transport.get_write_buffer_size()
        if self._unread and self._write_timer is None:
            self._write_timer = self.loop.call_later(self.write_s, self._cut_if_unread)

    def _cut_if_unread(self) -> None:
        self._write_timer = None
        before, now = self._unread, self.transport.get_write_buffer_size()
        if now and before - now < LEAST_TAKEN:
            self.transport.abort()
        else:
            self._limit_writing()


def new_parser(protocol: HttpToolsProtocol) -> httptools.HttpRequestParser:
    """Return a parser as uvicorn makes it for a new connection."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def protocol_for(
    entropy: Callable[[int], bytes],
    patience_s: float,
    write_s: float = 60,
    idle_s: float = 75,
    now: Callable[[], float] = time.time,
) -> type[HttpToolsProtocol]:
    """Return the protocol for uvicorn with this source of request ids and these limits."""
    attributes = {
        "patience_s": patience_s,
        "write_s": write_s,
        "idle_s": idle_s,
        "entropy": staticmethod(entropy),
        "now": staticmethod(now),
        "date": DateLine(now),
        "log": EventLog("antiphon.requests"),
        "parting": False,
    }
    return type("Protocol", (EnvelopeProtocol,), attributes)


def refusal(error: ApiError, request: str, date: bytes = b"") -> bytes:
    """Return the bytes of an error answer that closes the connection."""
    body = msgspec.json.encode(envelope(error, request))
    fields = {
        "content-type": "application/json",
        "request-id": request,
        **headers(error),
        "content-length": str(len(body)),
        "connection": "close",
    }
    return STATUS_LINE[error.status] + date + head_lines(fields) + body
