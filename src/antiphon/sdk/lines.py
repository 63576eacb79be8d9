"""Answers that are lines, one JSON value on each: read as they come, never as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Self

from antiphon.sdk.call import Call
from antiphon.sdk.errors import APIResponseValidationError
from antiphon.sdk.options import timeout_for
from antiphon.sdk.watched import (
    AsyncWatchedStream,
    WatchedStream,
    open_async_watched,
    open_watched,
    read_error,
)
from antiphon.transport.base import TransportError

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client
    from antiphon.sdk.options import ClientOptions

LONGEST_LINE = 64 * 1024 * 1024
"""In bytes. An answer of the longest output of any model is far below it."""


class LineSplitter:
    """Cuts bytes into lines, wherever the bytes are split. Empty lines are left out."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that end in a chunk. Raises `ValueError` for one that is too long."""
        # Neither JSON nor UTF-8 has the byte of a line break but as a line break.
        first, *others = chunk.split(b"\n")
        self._parts.append(first)
        self._held += len(first)
        if self._held > self._longest:
            raise ValueError(f"a line of more than {self._longest} bytes")
        if not others:
            return []
        lines = [b"".join(self._parts), *others[:-1]]
        self._parts, self._held = [others[-1]], len(others[-1])
        return [line for line in map(bytes.strip, lines) if line]

    def end(self) -> list[bytes]:
        """Return the last line, if it has no end."""
        last = b"".join(self._parts).strip()
        self._parts, self._held = [], 0
        return [last] if last else []


class Lines:
    """The lines of one answer. It is asked for at once; reading to its end closes it."""

    def __init__(self, client: Client, call: Call[Any]) -> None:
        self._call, self._idle = call, idle_of(call, client.options)
        self._splitter = LineSplitter()
        self._ready: Iterator[bytes] = iter(())
        self._stream: WatchedStream | None = open_watched(client, call)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while (line := next(self._ready, None)) is None:
            if self._stream is None:
                raise StopIteration
            try:
                chunk = self._stream.read_chunk(self._idle)
                self._ready = iter(_lines_of(self._call, self._splitter, chunk))
            except TransportError as error:
                self._stream = None
                raise read_error(self._call, error) from error
            if not chunk:
                self._stream = None
        return line

    def close(self) -> None:
        """End the answer, wherever it is."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncLines:
    """As `Lines`, for asyncio. It is asked for by the first line, or by `async with`."""

    def __init__(self, client: AsyncClient, call: Call[Any]) -> None:
        self._client, self._call, self._idle = client, call, idle_of(call, client.options)
        self._splitter = LineSplitter()
        self._ready: Iterator[bytes] = iter(())
        self._stream: AsyncWatchedStream | None = None
        self._opened = False

    async def open(self) -> None:
        """Ask for the answer, if that has not happened yet. Raises `APIError`."""
        if not self._opened:
            self._opened = True
            self._stream = await open_async_watched(self._client, self._call)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await self.open()
        while (line := next(self._ready, None)) is None:
            if self._stream is None:
                raise StopAsyncIteration
            try:
                chunk = await self._stream.read_chunk(self._idle)
                self._ready = iter(_lines_of(self._call, self._splitter, chunk))
            except TransportError as error:
                self._stream = None
                raise read_error(self._call, error) from error
            if not chunk:
                self._stream = None
        return line

    async def aclose(self) -> None:
        """End the answer, wherever it is."""
        self._opened = True
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _lines_of(call: Call[Any], splitter: LineSplitter, chunk: bytes) -> list[bytes]:
    try:
        return splitter.feed(chunk) if chunk else splitter.end()
    except ValueError as error:
        raise APIResponseValidationError(
            f"the answer to {call.method} {call.path} is none of the API: {error}",
            status_code=200,
            request_id=None,
        ) from error


def idle_of(call: Call[Any], options: ClientOptions) -> float | None:
    """Return how long an answer may bring nothing, in seconds."""
    return timeout_for(call, options).idle
