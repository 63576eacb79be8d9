"""Transports that call an application instead of a network, in the loop of its server.

The caller may block in its own thread, or wait in an event loop of its own: what the application
sends goes through a queue between the two threads.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from antiphon.transport.base import (
    AsyncResponseStream,
    ConnectError,
    ConnectionLost,
    Headers,
    HttpRequest,
    ResponseStream,
    TransportError,
    TransportTimeout,
    whole,
)
from antiphon.transport.requests import HeadWriter
from antiphon.transport.targets import parse_target

HOST: Final = "antiphon.testing"
BASE_URL: Final = f"http://{HOST}"
CUT: Final = "antiphon.testing.cut"
"""The name, in the state of a scope, of the function that ends the connection of a request."""

# As in ASGI; Starlette is of the extra `server`.
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
# What a reader gets: the message of an application, or why there are no more.
_Piece: TypeAlias = Message | TransportError
_CLOSED = "the server for tests is closed"
_FORKED = (
    "this process was forked: the server for tests runs in its parent, and answers at its `url`"
)


class Inbox(Protocol):
    """Takes the messages of an application, in its thread."""

    def put(self, piece: _Piece) -> None: ...


class Call:
    """One request in the loop of the server. All methods but `start` and `hang_up` run there."""

    def __init__(self, app: App, request: HttpRequest, inbox: Inbox) -> None:
        self._app = app
        self._request = request
        self._inbox = inbox
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, from any thread. Raises `ConnectError` if the server is closed."""
        self._loop = loop
        try:
            loop.call_soon_threadsafe(self._begin)
        except RuntimeError as error:
            raise ConnectError(_CLOSED) from error

    def hang_up(self) -> None:
        """Leave, from any thread."""
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._leave)
            except RuntimeError:
                return  # the server has ended, and the request with it

    def _begin(self) -> None:
        self._left = asyncio.Event()
        self._given = False
        self._cut = False
        app = self._app(self._scope(), self._receive, self._send)
        self._task = task = asyncio.ensure_future(app)
        task.add_done_callback(self._end)

    def _leave(self) -> None:
        self._left.set()

    def _cut_off(self) -> None:
        self._cut = True
        self._left.set()
        self._inbox.put(ConnectionLost("the connection was cut, as the script says"))

    def _end(self, task: "asyncio.Future[None]") -> None:
        if task.cancelled():
            self._inbox.put(ConnectionLost(_CLOSED))
        elif (error := task.exception()) is not None:
            self._inbox.put(ConnectionLost(f"the application has failed: {error!r}"))
        else:
            self._inbox.put(ConnectionLost("the answer has no end"))

    def _scope(self) -> dict[str, Any]:
        request = self._request
        parts = urlsplit(request.url)
        headers = [
            (name.lower().encode(), text.encode("latin-1")) for name, text in request.headers
        ]
        headers.append((b"host", HOST.encode()))
        if request.body or request.method not in {"GET", "HEAD", "DELETE"}:
            headers.append((b"content-length", str(len(request.body)).encode()))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(parts.path) or "/",
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": (HOST, 80),
            "state": {CUT: self._cut_off},
        }

    async def _receive(self) -> Message:
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": whole(self._request.body), "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        # As uvicorn does, drop what is sent after the caller has left.
        if not self._left.is_set():
            self._inbox.put(message)


def _check(request: HttpRequest, process: int) -> None:
    """Refuse what would not be one request over a network, or gets no answer in this process.

    Raises `ValueError`, `ConnectError`.
    """
    if os.getpid() != process:
        raise ConnectError(_FORKED)
    target = parse_target(request.url)
    if target.host != HOST:
        raise ConnectError(
            f"this transport reaches the server for tests alone, at {BASE_URL}, and not "
            f"{str(target.origin)[:200]}"
        )
    HeadWriter().write(request, target)


class _Body:
    """What both kinds of answer know: the head, and whether the body is over."""

    http_version = "1.1"

    def __init__(self, call: Call, head: Message) -> None:
        self.status: int = head["status"]
        self.headers = Headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in head["headers"]
        )
        self._call = call
        self._over = False
        self._error: TransportError | None = None

    def _taken(self, piece: _Piece) -> bytes | None:
        """Return the bytes of a piece; `None` for one without bytes that is not the last."""
        if isinstance(piece, TransportError):
            self._error = piece
            raise piece
        self._over = not piece.get("more_body", False)
        body: bytes = piece.get("body", b"")
        return body if body or self._over else None

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _timed_out(self, timeout: float | None) -> TransportTimeout:
        error = TransportTimeout(f"nothing came from the server for tests in {timeout or 0:g} s")
        self._error = error
        self._call.hang_up()
        return error

    def close(self) -> None:
        """End the answer. The server sees its caller leave if the answer is not over."""
        if not self._over and self._error is None:
            self._error = ConnectionLost("the answer was closed")
            self._call.hang_up()

    def __del__(self) -> None:
        # One that is forgotten costs its connection, as over a network.
        if hasattr(self, "_error"):
            self.close()


class _Queue:
    """The inbox of a caller that blocks."""

    def __init__(self) -> None:
        self._pieces: SimpleQueue[_Piece] = SimpleQueue()

    def put(self, piece: _Piece) -> None:
        self._pieces.put(piece)

    def get(self, timeout: float | None) -> _Piece:
        """Return the next piece. Raises `Empty` after `timeout` seconds."""
        return self._pieces.get(timeout=None if timeout is None else max(0.0, timeout))


class Answered(_Body):
    """A `ResponseStream` of the application."""

    def __init__(self, call: Call, inbox: _Queue, head: Message) -> None:
        super().__init__(call, head)
        self._inbox = inbox

    def read_chunk(self, timeout: float | None) -> bytes:
        """As in `ResponseStream`."""
        self._check()
        while not self._over:
            try:
                body = self._taken(self._inbox.get(timeout))
            except Empty:
                raise self._timed_out(timeout) from None
            if body is not None:
                return body
        return b""

    def read(self, timeout: float | None) -> bytes:
        """As in `ResponseStream`."""
        until = None if timeout is None else monotonic() + timeout
        parts = []
        while part := self.read_chunk(None if until is None else until - monotonic()):
            parts.append(part)
        return b"".join(parts)


class InProcess:
    """A `Transport` to an application in the loop of another thread of a process, by its id."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop, process: int) -> None:
        self._app = app
        self._loop = loop
        self._process = process

    def open(
        self, request: HttpRequest, *, connect_timeout: float | None, timeout: float | None
    ) -> ResponseStream:
        """As in `Transport`; nothing is connected, so `connect_timeout` bounds nothing."""
        del connect_timeout
        _check(request, self._process)
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 - documented, raises nothing
            # It would wait for itself.
            raise RuntimeError("a function of the test runs in the loop of the server")
        inbox = _Queue()
        call = Call(self._app, request, inbox)
        call.start(self._loop)
        try:
            head = inbox.get(timeout)
        except Empty:
            call.hang_up()
            raise _late(timeout) from None
        except BaseException:
            call.hang_up()
            raise
        if isinstance(head, TransportError):
            raise head
        return Answered(call, inbox, head)

    def close(self) -> None:
        """Do nothing: there are no connections."""


class _LoopQueue:
    """The inbox of a caller that waits in an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[_Piece] = asyncio.Queue()

    def put(self, piece: _Piece) -> None:
        try:
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)
        except RuntimeError:
            return  # the loop of the caller is closed, and nobody reads

    async def get(self, timeout: float | None) -> _Piece:  # noqa: ASYNC109 - as the protocol has it
        """Return the next piece. Raises `TimeoutError` after `timeout` seconds."""
        if not self._pieces.empty():
            return self._pieces.get_nowait()
        async with asyncio.timeout(timeout):
            return await self._pieces.get()


class AsyncAnswered(_Body):
    """An `AsyncResponseStream` of the application."""

    def __init__(self, call: Call, inbox: _LoopQueue, head: Message) -> None:
        super().__init__(call, head)
        self._inbox = inbox

    async def read_chunk(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        """As in `AsyncResponseStream`."""
        self._check()
        while not self._over:
            try:
                body = self._taken(await self._inbox.get(timeout))
            except TimeoutError:
                raise self._timed_out(timeout) from None
            except asyncio.CancelledError:
                self.close()
                raise
            if body is not None:
                return body
        return b""

    async def read(self, timeout: float | None) -> bytes:  # noqa: ASYNC109
        """As in `AsyncResponseStream`."""
        try:
            async with asyncio.timeout(timeout):
                parts = []
                while part := await self.read_chunk(None):
                    parts.append(part)
                return b"".join(parts)
        except TimeoutError:
            raise self._timed_out(timeout) from None


class AsyncInProcess:
    """An `AsyncTransport` to such an application."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop, process: int) -> None:
        self._app = app
        self._loop = loop
        self._process = process

    async def open(
        self,
        request: HttpRequest,
        *,
        connect_timeout: float | None,
        timeout: float | None,  # noqa: ASYNC109
    ) -> AsyncResponseStream:
        """As in `AsyncTransport`; nothing is connected, so `connect_timeout` bounds nothing."""
        del connect_timeout
        _check(request, self._process)
        inbox = _LoopQueue()
        call = Call(self._app, request, inbox)
        call.start(self._loop)
        try:
            head = await inbox.get(timeout)
        except TimeoutError:
            call.hang_up()
            raise _late(timeout) from None
        except BaseException:
            call.hang_up()
            raise
        if isinstance(head, TransportError):
            raise head
        return AsyncAnswered(call, inbox, head)

    def close(self) -> None:
        """Do nothing: there are no connections."""


def _late(timeout: float | None) -> TransportTimeout:
    return TransportTimeout(f"no answer from the server for tests in {timeout or 0:g} s")
