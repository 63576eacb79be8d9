"""HTTP to upstreams; the exceptions of the transport end here."""

import asyncio
import contextlib
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Final, Self, TypeVar

import msgspec

from antiphon import __version__
from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.upstream.refusals import refused, seconds
from antiphon.transport import AsyncConnections, Limits
from antiphon.transport.base import (
    AsyncResponseStream,
    ConnectError,
    ConnectionLost,
    HttpRequest,
    TlsError,
    TransportError,
    TransportTimeout,
)
from antiphon.wire.sse import Frame, FrameDecoder

T = TypeVar("T")

KEEP_ALIVE_S: Final = 4.0
"""Shorter than the time of servers (uvicorn: 5 s), so that they do not close it first."""
DRAIN_S: Final = 0.05
JSON: Final = "application/json"
STREAMS: Final = frozenset({"text/event-stream", "text/plain", "application/octet-stream", JSON})
"""The types of answers that may be streams: some servers name no type, or send no stream."""
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "user-agent": f"antiphon/{__version__}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": JSON,
    }
)
LARGEST_ANSWER: Final = 8 * 1024 * 1024
LARGEST_FRAME: Final = 8 * 1024 * 1024
LARGEST_COMPLAINT: Final = 64 * 1024

MOST_CONNECTIONS: Final = 100_000
"""The gate of each model bounds its requests, and the connections with them."""
TRIES: Final = 3
"""A kept connection may be closed when it is used again (llama.cpp does not announce it), and so
may the next one; the server has not read a request that is lost with it."""


class Patience(msgspec.Struct, frozen=True):
    """The longest waits for a connection, for the first token, and between two pieces."""

    connect_s: float
    first_token_s: float
    silence_s: float


class _Exchange:
    """A request and its answer. What goes wrong inside is an `EngineError`; leaving ends it."""

    def __init__(self, upstream: "Upstream", request: HttpRequest) -> None:
        self._upstream = upstream
        self._request = request

    async def open(self) -> AsyncResponseStream:
        """Send the request, and return the answer, which is none of an error."""
        try:
            self._response = response = await self._upstream.send(self._request)
        except (TransportError, OSError, ValueError) as error:
            raise _translated(error) from error
        if response.status != 200:  # noqa: PLR2004 - nothing else is an answer
            await self._refuse(response)
        return response

    async def _refuse(self, response: AsyncResponseStream) -> None:
        wait_s = self._upstream.patience.first_token_s
        try:
            complaint = await _limited(response, LARGEST_COMPLAINT, wait_s)
        except (TransportError, OSError, ValueError) as error:
            raise _translated(error) from error
        finally:
            response.close()
        raise refused(response.status, complaint, seconds(response.headers.get("retry-after")))

    async def __aenter__(self) -> AsyncResponseStream:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._response.close()
        if isinstance(error, TransportError | OSError | ValueError):
            raise _translated(error) from error


class AnswerStream:
    """The stream of an answer, while its context lasts; leaving early closes the connection.

    The reader sets `flows` at the first token, and `complete` when it needs no more.
    """

    def __init__(self, exchange: _Exchange, patience: Patience) -> None:
        self.flows = False
        self.complete = False
        self._exchange = exchange
        self._decoder: FrameDecoder | None = None
        self._patience = patience
        self._unfinished = 0
        self._ended = False

    async def __aenter__(self) -> Self:
        self._response = response = await self._exchange.open()
        kind = content_type(response)
        if kind not in STREAMS:
            response.close()
            raise failed(f"a stream was asked for, and {kind!r} came")
        if kind != JSON:
            self._decoder = FrameDecoder()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self.complete:
            await self._drain()
        await self._exchange.__aexit__(kind, error, trace)

    async def read(self) -> list[Frame]:
        """Return the frames that come next, none at the end; a JSON value is one frame."""
        if self.complete:
            await self._drain()
        if self._ended:
            return []
        patience = self._patience
        decoder = self._decoder
        if decoder is None:
            self._ended = True
            body = await _limited(self._response, LARGEST_ANSWER, patience.first_token_s)
            return [Frame("message", body.decode(errors="replace"))]
        wait_s = patience.silence_s if self.flows else patience.first_token_s
        while part := await self._response.read_chunk(wait_s):
            if frames := decoder.feed(part):
                self._unfinished = 0
                return frames
            self._unfinished += len(part)
            if self._unfinished > LARGEST_FRAME:
                raise failed(f"an event of more than {LARGEST_FRAME} bytes")
        self._ended = True
        rest = decoder.rest()
        return [rest] if rest is not None and _is_whole(rest.data) else []

    async def _drain(self) -> None:
        """Read the end of a complete answer, so that its connection can be used again."""
        if not self._ended:
            self._ended = True
            with contextlib.suppress(TransportError):
                await self._response.read_chunk(DRAIN_S)


class Upstream:
    """A server behind a URL, and the connections to it."""

    def __init__(self, url: str, headers: Mapping[str, str], patience: Patience) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self.patience = patience
        self._headers = {**HEADERS, **_lower(headers)}
        self._pairs = tuple(self._headers.items())
        limits = Limits(
            max_connections=MOST_CONNECTIONS, max_idle=MOST_CONNECTIONS, idle_s=KEEP_ALIVE_S
        )
        # No proxy: those of the environment are for callers, and not between the server and it.
        self._connections = AsyncConnections(limits=limits)
        self.open = True

    async def aclose(self) -> None:
        self.open = False
        self._connections.close()

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        kind: type[T],
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Send a request with `headers` of its own, and decode its answer, one JSON value."""
        async with self._exchange(method, path, body, headers) as response:
            text = await _limited(response, LARGEST_ANSWER, self.patience.first_token_s)
            return decode(text, kind, strict=False)

    def stream(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> AnswerStream:
        """Return the stream of the answer to a request, which is sent as its context begins."""
        return AnswerStream(self._exchange("POST", path, body, headers), self.patience)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> _Exchange:
        given = self._pairs
        if headers:
            given = tuple({**self._headers, **_lower(headers)}.items())
        url = self._url + path
        return _Exchange(self, HttpRequest(method=method, url=url, headers=given, body=body or b""))

    async def send(self, request: HttpRequest) -> AsyncResponseStream:
        """Send a request, a few times if its connection is lost. Raises what a transport raises."""
        # A redirect is not followed: it would send the key to another server.
        patience = self.patience
        now = asyncio.get_running_loop().time
        began, left = now(), patience.first_token_s
        for _ in range(TRIES - 1):
            with contextlib.suppress(ConnectionLost):
                return await self._connections.open(
                    request, connect_timeout=patience.connect_s, timeout=left
                )
            left = max(began + patience.first_token_s - now(), 0.0)
        return await self._connections.open(
            request, connect_timeout=patience.connect_s, timeout=left
        )


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by names that compare; one of a request is in place of one of all."""
    return {name.lower(): value for name, value in headers.items()}


def _translated(error: Exception) -> EngineError:
    """Return the error of a request that has no answer, or not all of it."""
    if isinstance(error, TlsError):
        return failed(str(error))
    if isinstance(error, ConnectError):
        return EngineError(EngineErrorKind.OVERLOADED, f"upstream is away: {error}")
    if isinstance(error, TransportTimeout):
        return EngineError(EngineErrorKind.TIMEOUT, f"upstream was silent for too long: {error}")
    return failed(f"it broke off: {error}")


def content_type(response: AsyncResponseStream) -> str:
    """Return the type of an answer without its parameters; bytes of no type if it names none."""
    named = response.headers.get("content-type") or "application/octet-stream"
    return named.partition(";")[0].strip().lower()


def _is_whole(data: str) -> bool:
    """Return whether the last frame of a stream, which has no end, was not cut."""
    if data.strip() == "[DONE]":
        return True
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


async def _limited(response: AsyncResponseStream, most: int, wait_s: float) -> bytes:
    """Return a body of at most `most` bytes; each wait for more of it lasts at most `wait_s`."""
    body = await response.read_chunk(wait_s)
    while part := await response.read_chunk(wait_s):
        body += part
        if len(body) > most:
            break
    if len(body) > most:
        raise failed(f"an answer of more than {most} bytes")
    return body


def decode(text: bytes | str, kind: type[T], *, strict: bool = True) -> T:
    """Decode a message of an upstream; raises `EngineError`, which blames the upstream.

    Without `strict`, numbers may be written as texts.
    """
    try:
        return msgspec.json.decode(text, type=kind, strict=strict)
    except (msgspec.DecodeError, RecursionError) as error:
        # The error names a path and types, never the text at the path.
        raise failed(f"it said what it should not: {error}") from error


def failed(what: str) -> EngineError:
    """Return an error that blames the upstream; its message is for the operator."""
    return EngineError(EngineErrorKind.FAILED, f"upstream failed: {what}")
