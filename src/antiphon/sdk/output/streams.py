"""Streams of answers that are values of a type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from antiphon.sdk.message_parameters import create_call
from antiphon.sdk.output.format import OutputFormat, output_format
from antiphon.sdk.output.parsed import ParsedMessage
from antiphon.sdk.streams import (
    AsyncEventSource,
    AsyncMessageStream,
    EventSource,
    MessageStream,
    open_async_source,
    open_source,
)
from antiphon.sdk.types.derived import partial_json
from antiphon.sdk.unopened import Unopened

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.call import Call
    from antiphon.sdk.client import Client
    from antiphon.sdk.types.message import Message

T = TypeVar("T")


def parsed_stream(
    client: Client, kind: Any, parameters: Mapping[str, Any]
) -> ParsedMessageStreamManager[Any]:
    """Return the call of a message that is a value of a type."""
    form = output_format(kind)
    asked: Any = form.ask(parameters)
    return ParsedMessageStreamManager(client, create_call(asked, stream=True), form)


def async_parsed_stream(
    client: AsyncClient, kind: Any, parameters: Mapping[str, Any]
) -> AsyncParsedMessageStreamManager[Any]:
    """As `parsed_stream`, for an async client."""
    form = output_format(kind)
    asked: Any = form.ask(parameters)
    return AsyncParsedMessageStreamManager(client, create_call(asked, stream=True), form)


class ParsedMessageStream(MessageStream, Generic[T]):
    """As `MessageStream`, of an answer that is a value of a type."""

    def __init__(self, source: EventSource, form: OutputFormat[T]) -> None:
        super().__init__(source)
        self._form = form

    @property
    def partial_output(self) -> Any:
        """The JSON so far as plain dicts and lists; texts and lists may still grow."""
        return partial_json(self.current_message_snapshot.text)

    def get_final_message(self) -> ParsedMessage[T]:
        """Wait for the end and return the message. Raises `APIError` and `OutputError`."""
        return self._form.parse(super().get_final_message())


class AsyncParsedMessageStream(AsyncMessageStream, Generic[T]):
    """As `ParsedMessageStream`, for asyncio."""

    def __init__(self, source: AsyncEventSource, form: OutputFormat[T]) -> None:
        super().__init__(source)
        self._form = form

    @property
    def partial_output(self) -> Any:
        """The JSON so far as plain dicts and lists; texts and lists may still grow."""
        return partial_json(self.current_message_snapshot.text)

    async def get_final_message(self) -> ParsedMessage[T]:
        """Wait for the end and return the message. Raises `APIError` and `OutputError`."""
        return self._form.parse(await super().get_final_message())


class ParsedMessageStreamManager(Unopened, Generic[T]):
    """A call that is made when its `with` begins."""

    def __init__(self, client: Client, call: Call[Message], form: OutputFormat[T]) -> None:
        self._client, self._call, self._form = client, call, form
        self._stream: ParsedMessageStream[T] | None = None

    def __enter__(self) -> ParsedMessageStream[T]:
        self._stream = ParsedMessageStream(open_source(self._client, self._call), self._form)
        return self._stream

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()


class AsyncParsedMessageStreamManager(Unopened, Generic[T]):
    """A call that is made when its `async with` begins."""

    opened_by = "async with"

    def __init__(self, client: AsyncClient, call: Call[Message], form: OutputFormat[T]) -> None:
        self._client, self._call, self._form = client, call, form
        self._stream: AsyncParsedMessageStream[T] | None = None

    async def __aenter__(self) -> AsyncParsedMessageStream[T]:
        source = await open_async_source(self._client, self._call)
        self._stream = AsyncParsedMessageStream(source, self._form)
        return self._stream

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            await self._stream.close()
