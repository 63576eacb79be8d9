"""Transports that answer from a script, a clock that moves when somebody waits, and streams."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from antiphon.transport.base import (
    AsyncResponseStream,
    Headers,
    HttpRequest,
    ResponseStream,
    TransportError,
    TransportTimeout,
    whole,
)

Chunk = bytes | TransportError


class FakeClock:
    """Counts seconds. Waiting moves it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def async_sleep(self, seconds: float) -> None:
        self.sleep(seconds)


class Interrupt(BaseException):
    """What a pressed Ctrl-C is to a test."""


class Reply:
    """An answer of a script: a status, headers and a body in chunks, each after some seconds."""

    def __init__(
        self,
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        json: Any = None,
        chunks: Iterable[Chunk] = (),
        seconds: float = 0.0,
        interrupt: bool = False,
    ) -> None:
        self._interrupt = interrupt
        self.status = status
        self.headers = Headers((headers or {}).items())
        self.http_version = "1.1"
        body = [msgspec.json.encode(json)] if json is not None else []
        self.left: list[Chunk] = [*body, *chunks]
        self.seconds = seconds
        self.closed = False
        self.ended = False
        self.clock: FakeClock | None = None

    def chunk(self, timeout: float | None) -> bytes:
        """Return the next chunk, or fail as a transport does."""
        if self._interrupt:
            raise Interrupt
        if not self.left:
            self.ended = True
            return b""
        if timeout is not None and self.seconds > timeout:
            self._pass(timeout)
            raise TransportTimeout(f"nothing came for {timeout:g} s")
        self._pass(self.seconds)
        chunk = self.left.pop(0)
        if isinstance(chunk, TransportError):
            raise chunk
        return chunk

    def _pass(self, seconds: float) -> None:
        if self.clock is not None:
            self.clock.now += seconds

    def close(self) -> None:
        self.closed = True


class _Blocking:
    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.status, self.headers = reply.status, reply.headers
        self.http_version = reply.http_version

    def read_chunk(self, timeout: float | None) -> bytes:
        return self._reply.chunk(timeout)

    def read(self, timeout: float | None) -> bytes:
        return b"".join(iter(lambda: self._reply.chunk(timeout), b""))

    def close(self) -> None:
        self._reply.close()


class _Asynchronous(_Blocking):
    async def read_chunk(self, timeout: float | None) -> bytes:  # type: ignore[override] # noqa: ASYNC109
        return self._reply.chunk(timeout)

    async def read(self, timeout: float | None) -> bytes:  # type: ignore[override] # noqa: ASYNC109
        return super().read(timeout)


class ScriptedTransport:
    """Answers each request with the next reply of a script, and keeps the requests."""

    def __init__(self, *replies: Reply | TransportError, clock: FakeClock | None = None) -> None:
        self.replies: list[Reply | TransportError] = list(replies)
        self.requests: list[HttpRequest] = []
        self.timeouts: list[tuple[float | None, float | None]] = []
        self.closed = False
        self.clock = clock

    def _next(
        self, request: HttpRequest, connect_timeout: float | None, timeout: float | None
    ) -> Reply:
        self.requests.append(request)
        self.timeouts.append((connect_timeout, timeout))
        reply = self.replies.pop(0)
        if isinstance(reply, TransportError):
            raise reply
        reply.clock = self.clock
        return reply

    def open(
        self, request: HttpRequest, *, connect_timeout: float | None, timeout: float | None
    ) -> ResponseStream:
        return _Blocking(self._next(request, connect_timeout, timeout))

    def close(self) -> None:
        self.closed = True

    def body(self, number: int = -1) -> Any:
        return msgspec.json.decode(whole(self.requests[number].body))

    def headers(self, number: int = -1) -> dict[str, str]:
        return dict(self.requests[number].headers)


class AsyncScriptedTransport(ScriptedTransport):
    """As `ScriptedTransport`, for asyncio."""

    async def open(  # type: ignore[override]
        self,
        request: HttpRequest,
        *,
        connect_timeout: float | None,
        timeout: float | None,  # noqa: ASYNC109 - as the protocol has it
    ) -> AsyncResponseStream:
        return _Asynchronous(self._next(request, connect_timeout, timeout))


def message_json(**more: Any) -> dict[str, Any]:
    """Return a message as a server answers it."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
        **more,
    }


def frame(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))


def events_of(
    *pieces: str,
    block: dict[str, Any] | None = None,
    delta: Callable[[str], dict[str, Any]] = lambda piece: {"type": "text_delta", "text": piece},
    ending: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the events of a message of one block that comes in pieces."""
    started = {"type": "text", "text": ""} if block is None else block
    return [
        {"type": "message_start", "message": message_json(content=[], stop_reason=None)},
        {"type": "content_block_start", "index": 0, "content_block": started},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta(piece)} for piece in pieces),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None, **(ending or {})},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]


def frames(events: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(map(frame, events))
