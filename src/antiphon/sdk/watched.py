"""Bodies that are read as they come and are no streams of events: observers hear of their ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.sdk.call import Call
from antiphon.sdk.errors import APIConnectionError, APITimeoutError
from antiphon.sdk.stream_end import StreamEnd
from antiphon.transport.base import (
    AsyncResponseStream,
    ResponseStream,
    TransportError,
    TransportTimeout,
)

if TYPE_CHECKING:
    from antiphon.sdk.any_client import AnyClient
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client


class _Watched:
    """What both kinds know: how far a body has come, and who is told of its end, once."""

    def __init__(
        self,
        client: AnyClient,
        call: Call[Any],
        stream: ResponseStream | AsyncResponseStream,
        begun: float,
    ) -> None:
        self.status, self.headers = stream.status, stream.headers
        self.http_version = stream.http_version
        # A client closes its connections when nobody holds it.
        self._client, self._call, self._begun = client, call, begun
        self._first: float | None = None
        self._is_told = False

    def _note(self, chunk: bytes) -> None:
        if not chunk:
            self._tell(whole=True, error=None)
        elif self._first is None:
            self._first = self._client.now() - self._begun

    def _tell(self, *, whole: bool, error: TransportError | None) -> None:
        if self._is_told:
            return
        self._is_told = True
        end = StreamEnd(
            headers=self.headers,
            elapsed=self._client.now() - self._begun,
            first=self._first,
            whole=whole,
            error=None if error is None else read_error(self._call, error),
        )
        for observer in self._client.options.observers:
            ended: Callable[[Call[Any], StreamEnd], None] | None
            ended = getattr(observer, "ended", None)
            if ended is not None:
                ended(self._call, end)


class WatchedStream(_Watched):
    """A `ResponseStream` of which the observers of its client are told."""

    def __init__(
        self, client: Client, call: Call[Any], stream: ResponseStream, begun: float
    ) -> None:
        super().__init__(client, call, stream, begun)
        self._stream = stream

    def read_chunk(self, timeout: float | None) -> bytes:
        """As in `ResponseStream`."""
        try:
            chunk = self._stream.read_chunk(timeout)
        except TransportError as error:
            self._tell(whole=False, error=error)
            raise
        self._note(chunk)
        return chunk

    def close(self) -> None:
        """As in `ResponseStream`."""
        self._stream.close()
        self._tell(whole=False, error=None)


class AsyncWatchedStream(_Watched):
    """As `WatchedStream`, for asyncio."""

    def __init__(
        self, client: AsyncClient, call: Call[Any], stream: AsyncResponseStream, begun: float
    ) -> None:
        super().__init__(client, call, stream, begun)
        self._stream = stream

    async def read_chunk(self, timeout: float | None) -> bytes:  # noqa: ASYNC109 - the protocol's
        """As in `AsyncResponseStream`."""
        try:
            chunk = await self._stream.read_chunk(timeout)
        except TransportError as error:
            self._tell(whole=False, error=error)
            raise
        self._note(chunk)
        return chunk

    def close(self) -> None:
        """As in `AsyncResponseStream`."""
        self._stream.close()
        self._tell(whole=False, error=None)


def open_watched(client: Client, call: Call[Any]) -> WatchedStream:
    """Make a call and return its answer when the head has come; close it. Raises `APIError`."""
    begun = client.now()
    return WatchedStream(client, call, client.open(call), begun)


async def open_async_watched(client: AsyncClient, call: Call[Any]) -> AsyncWatchedStream:
    """As `open_watched`, for asyncio."""
    begun = client.now()
    return AsyncWatchedStream(client, call, await client.open(call), begun)


def read_error(call: Call[Any], error: TransportError) -> APIConnectionError:
    """Return the error of an answer that broke off while it was read."""
    kind = APITimeoutError if isinstance(error, TransportTimeout) else APIConnectionError
    return kind(f"{call.method} {call.path}: {error}")
