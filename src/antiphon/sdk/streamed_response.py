"""Answers whose body is read as it comes: `with_streaming_response` of the official SDK.

with client.messages.with_streaming_response.create(…) as response:
for line in response.iter_lines():
…
"""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, Self

import msgspec

from antiphon.sdk.call import Answer, result_of
from antiphon.sdk.options import timeout_for
from antiphon.sdk.watched import open_async_watched, open_watched, read_error
from antiphon.transport.base import TransportError

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.call import Call
    from antiphon.sdk.client import Client
    from antiphon.sdk.endpoint import AsyncResource, Resource
    from antiphon.sdk.watched import AsyncWatchedStream, WatchedStream
    from antiphon.transport.base import Headers


class Streamed:
    """The operations of a resource whose answers are read as they come."""

    def __init__(self, resource: Resource | AsyncResource, kind: Callable[..., Any]) -> None:
        self._resource, self._kind = resource, kind

    def __getattr__(self, name: str) -> Any:
        make = getattr(self._resource, name).call_of
        client = self._resource._client  # noqa: SLF001 - a form of its operations
        return lambda *args, **named: self._kind(client, make(*args, **named))


class Lines:
    """Cuts the bytes of a body into texts or lines. No input or output."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._left = ""

    def text(self, piece: bytes) -> str:
        """Return the text of the next bytes; `b""` ends the body."""
        return self._decoder.decode(piece, final=not piece)

    def lines(self, piece: bytes) -> list[str]:
        """Return the lines that end in the next bytes; `b""` ends the body, and its last line."""
        *whole, self._left = (self._left + self.text(piece)).split("\n")
        if not piece and self._left:
            whole.append(self._left)
        return [line.removesuffix("\r") for line in whole]


class _Head:
    """What an answer says before its body."""

    call: Call[Any]
    stream: WatchedStream | AsyncWatchedStream

    @property
    def status_code(self) -> int:
        return self.stream.status

    @property
    def headers(self) -> Headers:
        return self.stream.headers

    @property
    def request_id(self) -> str | None:
        return self.headers.get("request-id")

    def _answer(self, body: bytes) -> Answer:
        return Answer(status=self.stream.status, headers=self.headers, body=body)

    def _fail(self, error: TransportError) -> NoReturn:
        raise read_error(self.call, error) from error


class StreamedResponse(_Head):
    """An answer whose body comes while it is read, once. Each piece may take the time `idle`."""

    def __init__(self, client: Client, call: Call[Any]) -> None:
        self.call = call
        self._client = client
        self.stream: WatchedStream

    def __enter__(self) -> Self:
        self.stream = open_watched(self._client, self.call)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; nothing follows."""
        with suppress(TransportError):
            self.stream.close()

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the body in the pieces in which it comes. Raises `APIConnectionError`."""
        idle = timeout_for(self.call, self._client.options).idle
        try:
            while piece := self.stream.read_chunk(idle):
                yield piece
        except TransportError as error:
            self._fail(error)

    def iter_text(self) -> Iterator[str]:
        """Yield the text of the body as it comes."""
        lines = Lines()
        for piece in self.iter_bytes():
            yield lines.text(piece)

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines of the body, without their ends."""
        lines = Lines()
        for piece in self.iter_bytes():
            yield from lines.lines(piece)
        yield from lines.lines(b"")

    def read(self) -> bytes:
        """Return the body that is left."""
        return b"".join(self.iter_bytes())

    def text(self) -> str:
        """Return the body that is left, as text."""
        return self.read().decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as JSON. Raises `msgspec.DecodeError` if it is none."""
        return msgspec.json.decode(self.read())

    def parse(self) -> Any:
        """Return what the operation itself returns."""
        return result_of(self.call, self._answer(self.read()))


class AsyncStreamedResponse(_Head):
    """As `StreamedResponse`, for asyncio."""

    def __init__(self, client: AsyncClient, call: Call[Any]) -> None:
        self.call = call
        self._client = client
        self.stream: AsyncWatchedStream

    async def __aenter__(self) -> Self:
        self.stream = await open_async_watched(self._client, self.call)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; nothing follows."""
        self.stream.close()

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield the body in the pieces in which it comes. Raises `APIConnectionError`."""
        idle = timeout_for(self.call, self._client.options).idle
        try:
            while piece := await self.stream.read_chunk(idle):
                yield piece
        except TransportError as error:
            self._fail(error)

    async def iter_text(self) -> AsyncIterator[str]:
        """Yield the text of the body as it comes."""
        lines = Lines()
        async for piece in self.iter_bytes():
            yield lines.text(piece)

    async def iter_lines(self) -> AsyncIterator[str]:
        """Yield the lines of the body, without their ends."""
        lines = Lines()
        async for piece in self.iter_bytes():
            for line in lines.lines(piece):
                yield line
        for line in lines.lines(b""):
            yield line

    async def read(self) -> bytes:
        """Return the body that is left."""
        return b"".join([piece async for piece in self.iter_bytes()])

    async def text(self) -> str:
        """Return the body that is left, as text."""
        return (await self.read()).decode("utf-8", "replace")

    async def json(self) -> Any:
        """Return the body as JSON. Raises `msgspec.DecodeError` if it is none."""
        return msgspec.json.decode(await self.read())

    async def parse(self) -> Any:
        """Return what the operation itself returns."""
        return result_of(self.call, self._answer(await self.read()))
