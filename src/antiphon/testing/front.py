"""What stands before the application of a server for tests: it records, and fails as scripted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.server.http.boundary import envelope, headers
from antiphon.server.http.exchange import DIRECT, JSON
from antiphon.testing.answers import Answer
from antiphon.testing.failures import ApiFailure, ConnectionLoss, RawFailure
from antiphon.testing.in_process import CUT
from antiphon.testing.model import TURN, as_error
from antiphon.testing.requests import RecordedRequest, RequestList
from antiphon.testing.script import Script, Turn

Sleep: TypeAlias = Callable[[float], Awaitable[None]]

_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_CONTENT = b"event: content_block_"
_BLOCK_END = b"event: content_block_stop"


class Front:
    """The outermost application. `control` answers the requests to its own path first."""

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        app: ASGIApp,
        script: Script,
        requests: RequestList,
        new_request_id: Callable[[], str],
        *,
        sleep: Sleep,
        control: "Control | None" = None,
    ) -> None:
        self._app = app
        self._script = script
        self._requests = requests
        self._new_request_id = new_request_id
        self._sleep = sleep
        self._control = control
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (task := asyncio.current_task()) is None:
            return
        self._running.add(task)
        try:
            await self._answer(scope, receive, send)
        finally:
            self._running.discard(task)

    async def aclose(self) -> None:
        """Cancel the requests that run; the server tells their callers that it stops."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = dict(scope.get("state", {}))
        # The server's shortcut around ASGI would pass by here.
        connection = state.pop(DIRECT, None)
        cut = state.pop(CUT, None) or connection.transport.abort
        scope = {**scope, "state": state}
        body = await _whole_body(receive)
        if body is None:
            return
        request = _recorded(scope, body)
        if self._control is not None and self._control.answers(request):
            status, told = await self._control.answer(request, _key(scope))
            await _respond(send, status, {"content-type": JSON}, told)
            return
        self._requests.add(request)
        turn = self._script.take(request)
        writer = Writer(send, turn, cut)
        if turn.runs_server:
            await self._run(scope, Replayed(body, receive, request), writer, turn)
        else:
            await self._fail(turn, writer)

    async def _run(self, scope: Scope, receive: "Replayed", writer: "Writer", turn: Turn) -> None:
        """Let the server answer. A step whose turn the model never took stays for others."""
        token = TURN.set(turn)
        try:
            await self._app(scope, receive, writer)
        finally:
            TURN.reset(token)
            if turn.step is not None and not turn.asked:
                self._script.give_back(turn.step)

    async def _fail(self, turn: Turn, writer: "Writer") -> None:
        failure = turn.deed
        if failure is not None and failure.delay:
            await self._sleep(failure.delay)
        match failure:
            case ApiFailure():
                error, number = as_error(failure), self._new_request_id()
                told = {**headers(error), **failure.headers}
                told |= {"request-id": number, "content-type": JSON}
                body = msgspec.json.encode(envelope(error, number))
                await _respond(writer, failure.status, told, body)
            case RawFailure():
                await _respond(writer, failure.status, failure.headers, failure.body)
            case ConnectionLoss():
                writer.cut()


class Control(Protocol):
    """Answers requests that script the server from outside."""

    def answers(self, request: RecordedRequest) -> bool: ...

    async def answer(self, request: RecordedRequest, key: str | None) -> tuple[int, bytes]:
        """Return the status and the JSON of the answer. `key` is what the request has as key."""
        ...


class Replayed:
    """The `receive` of a request whose body was read already."""

    def __init__(self, body: bytes, receive: Receive, request: RecordedRequest) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self._request = request

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._request.left.set()
        return message


class Writer:
    """The `send` of a request: records the answer, and breaks it off where the script says so."""

    def __init__(
        self,
        send: Send,
        turn: Turn,
        cut: Callable[[], object],
    ) -> None:
        self._send = send
        self._request = turn.request
        self._cut = cut
        self._breaks = isinstance(turn.deed, ConnectionLoss)
        self._pings = turn.deed.pings if isinstance(turn.deed, Answer) else 0
        self._gone = False

    def cut(self) -> None:
        """End the connection. What is sent from now on gets nowhere."""
        self._gone = True
        self._cut()

    async def __call__(self, message: Message) -> None:
        if self._gone:
            return
        request = self._request
        if message["type"] == "http.response.start":
            request.status = message["status"]
            request.answer_headers = {
                name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]
            }
            await self._send(message)
            return
        body, ends = message.get("body", b""), False
        if request.streamed:
            body, ends = self._frames(body)
        elif self._breaks and request.status == 200:  # noqa: PLR2004 - the answer, not an error
            body, ends = body[: len(body) // 2], True
        if body:
            request.chunks.append(body)
        more = message.get("more_body", False) or ends
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        if ends:
            # What was written leaves first.
            await asyncio.sleep(0)
            self.cut()

    def _frames(self, body: bytes) -> tuple[bytes, bool]:
        """Return the frames that are sent, and whether the connection ends behind them."""
        if self._pings and (at := body.find(_CONTENT)) >= 0:
            body = body[:at] + _PING * self._pings + body[at:]
            self._pings = 0
        if self._breaks and (at := body.find(_BLOCK_END)) >= 0:
            return body[:at], True
        return body, False


async def _whole_body(receive: Receive) -> bytes | None:
    """Read a body; `None` if the caller left before its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _recorded(scope: Scope, body: bytes) -> RecordedRequest:
    told: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        told[name] = f"{told[name]}, {value}" if name in told else value
    query = scope.get("query_string", b"").decode("latin-1")
    return RecordedRequest(scope["method"], scope["path"], query, told, body)


def _key(scope: Scope) -> str | None:
    sent = dict(scope["headers"])
    key = sent.get(b"x-api-key") or sent.get(b"authorization", b"").removeprefix(b"Bearer ")
    return key.decode("latin-1") or None


async def _respond(send: Any, status: int, told: dict[str, str], body: bytes) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})
