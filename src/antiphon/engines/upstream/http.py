"""HTTP to upstreams; the exceptions of the transport end here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final, TypeVar

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


class AnswerStream:
    """A stream of an answer. The reader sets `flows` at the first token, `complete` at the end."""

    def __init__(self, response: AsyncResponseStream, kind: str, patience: Patience) -> None:
        self.flows = False
        self.complete = False
        self._response = response
        self._decoder = None if kind == JSON else FrameDecoder()
        self._patience = patience
        self._unfinished = 0
        self._ended = False

    async def read(self) -> list[Frame]:
        """Return the frames that come next, none at the end; a JSON value is one frame."""
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

    async def drain(self) -> None:
        """Read the end of a complete answer, so that its connection can be used again."""
        if self.complete:
            with contextlib.suppress(TransportError):
                await self._response.read_chunk(DRAIN_S)


class Upstream:
    """A server behind a URL, and the connections to it."""

    def __init__(self, url: str, headers: Mapping[str, str], patience: Patience) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._patience = patience
        self._headers = {**HEADERS, **_lower(headers)}
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
            text = await _limited(response, LARGEST_ANSWER, self._patience.first_token_s)
            return decode(text, kind, strict=False)

    @asynccontextmanager
    async def stream(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AnswerStream]:
        """Send a request, and yield its stream. Leaving early closes the connection."""
        async with self._exchange("POST", path, body, headers) as response:
            if (kind := content_type(response)) not in STREAMS:
                raise failed(f"a stream was asked for, and {kind!r} came")
            answer = AnswerStream(response, kind, self._patience)
            yield answer
            await answer.drain()

    @asynccontextmanager
    async def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> AsyncIterator[AsyncResponseStream]:
        given = self._headers if not headers else {**self._headers, **_lower(headers)}
        request = HttpRequest(
            method=method,
            url=self._url + path,
            headers=tuple(given.items()),
            body=body or b"",
        )
        try:
            response = await self._send(request)
            try:
                if response.status != 200:  # noqa: PLR2004 - nothing else is an answer
                    wait_s = self._patience.first_token_s
                    complaint = await _limited(response, LARGEST_COMPLAINT, wait_s)
                    wait = seconds(response.headers.get("retry-after"))
                    raise refused(response.status, complaint, wait)
                yield response
            finally:
                response.close()
        except (TransportError, OSError, ValueError) as error:
            raise _translated(error) from error

    async def _send(self, request: HttpRequest) -> AsyncResponseStream:
        # A redirect is not followed: it would send the key to another server.
        patience = self._patience
        now = asyncio.get_running_loop().time
        deadline = now() + patience.first_token_s
        for _ in range(TRIES - 1):
            with contextlib.suppress(ConnectionLost):
                left = max(deadline - now(), 0.0)
                return await self._connections.open(
                    request, connect_timeout=patience.connect_s, timeout=left
                )
        left = max(deadline - now(), 0.0)
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
