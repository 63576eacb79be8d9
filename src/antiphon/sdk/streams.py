"""Streams of a client that blocks, and those of one for asyncio.

The rules are in `streamed`; here chunks are read. Leaving the `with` of a stream, or closing it,
closes its connection, and the server stops generating.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from antiphon.sdk.errors import APIError
from antiphon.sdk.streamed import MessageEvents, StreamState
from antiphon.sdk.unopened import Unopened
from antiphon.transport.base import AsyncResponseStream, ResponseStream, TransportError

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.call import Call
    from antiphon.sdk.client import Client
    from antiphon.sdk.types.derived import MessageStreamEvent
    from antiphon.sdk.types.events import RawMessageStreamEvent
    from antiphon.sdk.types.message import Message


class EventSource:
    """Reads the events of an answer, a chunk at a time.

    `client` closes its connections when nobody holds it, so a stream holds it.
    """

    def __init__(
        self, response: ResponseStream, state: StreamState, client: Client | None = None
    ) -> None:
        self.response, self.state, self._client = response, state, client

    def next(self) -> list[RawMessageStreamEvent]:
        """Return the next events; none at the end. Raises `APIError`."""
        state = self.state
        while state.failure is None and not state.over:
            try:
                chunk = self.response.read_chunk(state.wait())
            except TransportError as error:
                state.lose(error)
                break
            if events := state.take(chunk):
                return events
        self.close()
        if state.failure is not None:
            raise state.failure
        return []

    def close(self) -> None:
        with suppress(TransportError):
            self.response.close()
        self.state.finish()


class AsyncEventSource:
    """As `EventSource`, for asyncio."""

    def __init__(self, response: AsyncResponseStream, state: StreamState) -> None:
        self.response, self.state = response, state

    async def next(self) -> list[RawMessageStreamEvent]:
        """Return the next events; none at the end. Raises `APIError`."""
        state = self.state
        while state.failure is None and not state.over:
            try:
                chunk = await self.response.read_chunk(state.wait())
            except TransportError as error:
                state.lose(error)
                break
            if events := state.take(chunk):
                return events
        self.close()
        if state.failure is not None:
            raise state.failure
        return []

    def close(self) -> None:
        self.response.close()
        self.state.finish()


def open_source(client: Client, call: Call[Any]) -> EventSource:
    """Make a call and return its stream when the head has come. Raises `APIError`."""
    begun = client.now()
    response = client.open(call)
    return EventSource(response, client.stream_state(call, response.headers, begun), client)


async def open_async_source(client: AsyncClient, call: Call[Any]) -> AsyncEventSource:
    """Make a call and return its stream when the head has come. Raises `APIError`."""
    begun = client.now()
    response = await client.open(call)
    return AsyncEventSource(response, client.stream_state(call, response.headers, begun))


class Stream:
    """The events of an answer as they come, without pings.

    An `error` event is raised as the error that it is, and so is a stream that breaks off.
    """

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._iterator = _raw_events(source)

    @property
    def response(self) -> ResponseStream:
        return self._source.response

    @property
    def request_id(self) -> str | None:
        return self.response.headers.get("request-id")

    def __iter__(self) -> Iterator[RawMessageStreamEvent]:
        return self._iterator

    def __next__(self) -> RawMessageStreamEvent:
        return next(self._iterator)

    def close(self) -> None:
        """Close the connection; nothing follows."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _raw_events(source: EventSource) -> Iterator[RawMessageStreamEvent]:
    try:
        while events := source.next():
            yield from events
    finally:
        # Also of a stream that is forgotten in the middle.
        source.close()


class AsyncStream:
    """As `Stream`, for asyncio. Close one that is left early: use it with `async with`."""

    def __init__(self, source: AsyncEventSource) -> None:
        self._source = source
        self._events: deque[RawMessageStreamEvent] = deque()

    @property
    def response(self) -> AsyncResponseStream:
        return self._source.response

    @property
    def request_id(self) -> str | None:
        return self.response.headers.get("request-id")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RawMessageStreamEvent:
        events = self._events
        if not events:
            events.extend(await self._source.next())
            if not events:
                raise StopAsyncIteration
        return events.popleft()

    async def close(self) -> None:
        """Close the connection; nothing follows."""
        self._source.close()
        self._events.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class MessageStream:
    """An answer while it comes: its events with those derived of them, and the message so far.

    Iterate over it, or over `text_stream`; `get_final_message` takes what is left.
    """

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._events = MessageEvents(source.state)
        self._iterator = self._all_events()

    @property
    def response(self) -> ResponseStream:
        return self._source.response

    @property
    def request_id(self) -> str | None:
        return self.response.headers.get("request-id")

    @property
    def current_message_snapshot(self) -> Message:
        """The message as far as it was iterated over; it is made when it is asked for."""
        return self._events.message()

    def __iter__(self) -> Iterator[MessageStreamEvent]:
        return self._iterator

    def __next__(self) -> MessageStreamEvent:
        return next(self._iterator)

    @property
    def text_stream(self) -> Iterator[str]:
        """The pieces of text, without all else."""
        while True:
            while (text := self._events.next_text()) is not None:
                yield text
            if not self._read():
                return

    def get_final_message(self) -> Message:
        """Wait for the end and return the message. Raises `APIError`."""
        self.until_done()
        return self._events.message()

    def get_final_text(self) -> str:
        """Wait for the end and return the text of all text blocks. Raises `APIError`."""
        return self.get_final_message().text

    def until_done(self) -> None:
        """Wait for the end. Raises `APIError`."""
        self._events.skip()
        while self._read():
            self._events.skip()

    def close(self) -> None:
        """Close the connection; nothing follows."""
        self._source.close()

    def _all_events(self) -> Iterator[MessageStreamEvent]:
        while True:
            while (event := self._events.next_event()) is not None:
                yield event
            if not self._read():
                return

    def _read(self) -> bool:
        try:
            events = self._source.next()
        except APIError as error:
            error.partial = self._events.partial()
            raise
        self._events.take(events)
        return bool(events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncMessageStream:
    """As `MessageStream`, for asyncio."""

    def __init__(self, source: AsyncEventSource) -> None:
        self._source = source
        self._events = MessageEvents(source.state)

    @property
    def response(self) -> AsyncResponseStream:
        return self._source.response

    @property
    def request_id(self) -> str | None:
        return self.response.headers.get("request-id")

    @property
    def current_message_snapshot(self) -> Message:
        """The message as far as it was iterated over; it is made when it is asked for."""
        return self._events.message()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MessageStreamEvent:
        while (event := self._events.next_event()) is None:
            if not await self._read():
                raise StopAsyncIteration
        return event

    @property
    def text_stream(self) -> AsyncIterator[str]:
        """The pieces of text, without all else."""
        return AsyncTexts(self)

    async def get_final_message(self) -> Message:
        """Wait for the end and return the message. Raises `APIError`."""
        await self.until_done()
        return self._events.message()

    async def get_final_text(self) -> str:
        """Wait for the end and return the text of all text blocks. Raises `APIError`."""
        return (await self.get_final_message()).text

    async def until_done(self) -> None:
        """Wait for the end. Raises `APIError`."""
        self._events.skip()
        while await self._read():
            self._events.skip()

    async def close(self) -> None:
        """Close the connection; nothing follows."""
        self._source.close()

    async def _next_text(self) -> str:
        while (text := self._events.next_text()) is None:
            if not await self._read():
                raise StopAsyncIteration
        return text

    async def _read(self) -> bool:
        try:
            events = await self._source.next()
        except APIError as error:
            error.partial = self._events.partial()
            raise
        self._events.take(events)
        return bool(events)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncTexts:
    """The pieces of text of a stream. No generator: a forgotten one would need its loop."""

    def __init__(self, stream: AsyncMessageStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        return await self._stream._next_text()  # noqa: SLF001 - the other half of it


class MessageStreamManager(Unopened):
    """A call that is made when its `with` begins."""

    def __init__(self, client: Client, call: Call[Any]) -> None:
        self._client, self._call = client, call
        self._stream: MessageStream | None = None

    def __enter__(self) -> MessageStream:
        self._stream = MessageStream(open_source(self._client, self._call))
        return self._stream

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()


class AsyncMessageStreamManager(Unopened):
    """A call that is made when its `async with` begins."""

    opened_by = "async with"

    def __init__(self, client: AsyncClient, call: Call[Any]) -> None:
        self._client, self._call = client, call
        self._stream: AsyncMessageStream | None = None

    async def __aenter__(self) -> AsyncMessageStream:
        self._stream = AsyncMessageStream(await open_async_source(self._client, self._call))
        return self._stream

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            await self._stream.close()
