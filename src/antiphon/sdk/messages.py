"""Messages: create, stream, parse, run tools, count tokens.

Streams are imported when there is one.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

import msgspec

from antiphon.sdk.call import Answer, Call
from antiphon.sdk.endpoint import AsyncEndpoint, Endpoint, RawResponse
from antiphon.sdk.message_parameters import (
    MessageParameters,
    count_tokens_call,
    create_call,
    is_long,
)
from antiphon.sdk.output.methods import AsyncParseMethod, ParseMethod
from antiphon.sdk.tools.methods import AsyncToolRuns, ToolRuns
from antiphon.sdk.types.message import Message

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.batches.resource import AsyncBatches, Batches
    from antiphon.sdk.client import Client
    from antiphon.sdk.output.streams import (
        AsyncParsedMessageStreamManager,
        ParsedMessageStreamManager,
    )
    from antiphon.sdk.streams import (
        AsyncMessageStreamManager,
        AsyncStream,
        MessageStreamManager,
        Stream,
    )
    from antiphon.transport.base import Headers

T = TypeVar("T")

NO_RAW_STREAM = "a stream has its head in `.response`: call `create` without `raw`"


class CreateMethod:
    """`client.messages.create`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @overload
    def __call__(
        self, *, stream: Literal[True], **parameters: Unpack[MessageParameters]
    ) -> Stream: ...
    @overload
    def __call__(
        self, *, stream: Literal[False] = False, **parameters: Unpack[MessageParameters]
    ) -> Message: ...
    def __call__(
        self, *, stream: bool = False, **parameters: Unpack[MessageParameters]
    ) -> Message | Stream:
        """Create a message; with `stream`, return its events as they come.

        A long answer (`max_tokens` over 21,333) is streamed underneath, so that no time runs out.
        Raises `APIError`.
        """
        if stream:
            from antiphon.sdk.streams import Stream, open_source  # noqa: PLC0415

            return Stream(open_source(self._client, create_call(parameters, stream=True)))
        if is_long(parameters, self._client.options):
            return self._long(create_call(parameters, stream=True))[0]
        return self._client.run(create_call(parameters, stream=False))

    def call_of(
        self, *, stream: bool = False, **parameters: Unpack[MessageParameters]
    ) -> Call[Message]:
        """Return the call before it is sent."""
        return create_call(parameters, stream=stream)

    def raw(self, **parameters: Unpack[MessageParameters]) -> RawResponse[Message]:
        """Create a message and return the answer with its headers."""
        _refuse_stream(parameters)
        if is_long(parameters, self._client.options):
            call = create_call(parameters, stream=True)
            message, headers = self._long(call)
            return RawResponse(call, _as_answer(message, headers))
        call = create_call(parameters, stream=False)
        return RawResponse(call, self._client.answer(call))

    def _long(self, call: Call[Message]) -> tuple[Message, Headers]:
        from antiphon.sdk.streams import MessageStream, open_source  # noqa: PLC0415

        with MessageStream(open_source(self._client, call)) as stream:
            return stream.get_final_message(), stream.response.headers


class AsyncCreateMethod:
    """`client.messages.create` of an async client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @overload
    async def __call__(
        self, *, stream: Literal[True], **parameters: Unpack[MessageParameters]
    ) -> AsyncStream: ...
    @overload
    async def __call__(
        self, *, stream: Literal[False] = False, **parameters: Unpack[MessageParameters]
    ) -> Message: ...
    async def __call__(
        self, *, stream: bool = False, **parameters: Unpack[MessageParameters]
    ) -> Message | AsyncStream:
        """As of `Client`."""
        if stream:
            from antiphon.sdk.streams import AsyncStream, open_async_source  # noqa: PLC0415

            call = create_call(parameters, stream=True)
            return AsyncStream(await open_async_source(self._client, call))
        if is_long(parameters, self._client.options):
            return (await self._long(create_call(parameters, stream=True)))[0]
        return await self._client.run(create_call(parameters, stream=False))

    def call_of(
        self, *, stream: bool = False, **parameters: Unpack[MessageParameters]
    ) -> Call[Message]:
        """Return the call before it is sent."""
        return create_call(parameters, stream=stream)

    async def raw(self, **parameters: Unpack[MessageParameters]) -> RawResponse[Message]:
        """Create a message and return the answer with its headers."""
        _refuse_stream(parameters)
        if is_long(parameters, self._client.options):
            call = create_call(parameters, stream=True)
            message, headers = await self._long(call)
            return RawResponse(call, _as_answer(message, headers))
        call = create_call(parameters, stream=False)
        return RawResponse(call, await self._client.answer(call))

    async def _long(self, call: Call[Message]) -> tuple[Message, Headers]:
        from antiphon.sdk.streams import AsyncMessageStream, open_async_source  # noqa: PLC0415

        async with AsyncMessageStream(await open_async_source(self._client, call)) as stream:
            return await stream.get_final_message(), stream.response.headers


def _refuse_stream(parameters: MessageParameters) -> None:
    if "stream" in parameters:
        raise TypeError(NO_RAW_STREAM)


def _as_answer(message: Message, headers: Headers) -> Answer:
    """Return the answer that would have come without a stream."""
    return Answer(status=200, headers=headers, body=msgspec.json.encode(message.to_dict()))


class Messages(ToolRuns):
    """`client.messages`."""

    @cached_property
    def create(self) -> CreateMethod:
        """Create a message."""
        return CreateMethod(self._client)

    @cached_property
    def parse(self) -> ParseMethod:
        """Create a message that is a value of a type."""
        return ParseMethod(self._client)

    @overload
    def stream(
        self, *, output_format: None = None, **parameters: Unpack[MessageParameters]
    ) -> MessageStreamManager: ...
    @overload
    def stream(
        self, *, output_format: type[T], **parameters: Unpack[MessageParameters]
    ) -> ParsedMessageStreamManager[T]: ...
    @overload
    def stream(
        self, *, output_format: Any, **parameters: Unpack[MessageParameters]
    ) -> ParsedMessageStreamManager[Any]: ...
    def stream(
        self, *, output_format: Any = None, **parameters: Unpack[MessageParameters]
    ) -> MessageStreamManager | ParsedMessageStreamManager[Any]:
        """Create a message and show it while it comes: `with client.messages.stream(…) as stream`.

        The call is made when the `with` begins. Raises `APIError` there and while it is read.
        With `output_format` the message is a value of a type, as of `parse`.
        """
        if output_format is not None:
            from antiphon.sdk.output import streams  # noqa: PLC0415

            return streams.parsed_stream(self._client, output_format, parameters)
        from antiphon.sdk.streams import MessageStreamManager  # noqa: PLC0415

        return MessageStreamManager(self._client, create_call(parameters, stream=True))

    count_tokens = Endpoint(count_tokens_call)

    @cached_property
    def batches(self) -> Batches:
        """Message Batches: at half the price, within a day."""
        from antiphon.sdk.batches.resource import Batches  # noqa: PLC0415 - few programs use them

        return Batches(self._client)


class AsyncMessages(AsyncToolRuns):
    """`client.messages` of an async client."""

    @cached_property
    def create(self) -> AsyncCreateMethod:
        """Create a message."""
        return AsyncCreateMethod(self._client)

    @cached_property
    def parse(self) -> AsyncParseMethod:
        """Create a message that is a value of a type."""
        return AsyncParseMethod(self._client)

    @overload
    def stream(
        self, *, output_format: None = None, **parameters: Unpack[MessageParameters]
    ) -> AsyncMessageStreamManager: ...
    @overload
    def stream(
        self, *, output_format: type[T], **parameters: Unpack[MessageParameters]
    ) -> AsyncParsedMessageStreamManager[T]: ...
    @overload
    def stream(
        self, *, output_format: Any, **parameters: Unpack[MessageParameters]
    ) -> AsyncParsedMessageStreamManager[Any]: ...
    def stream(
        self, *, output_format: Any = None, **parameters: Unpack[MessageParameters]
    ) -> AsyncMessageStreamManager | AsyncParsedMessageStreamManager[Any]:
        """As of `Client`: `async with client.messages.stream(…) as stream`."""
        if output_format is not None:
            from antiphon.sdk.output import streams  # noqa: PLC0415

            return streams.async_parsed_stream(self._client, output_format, parameters)
        from antiphon.sdk.streams import AsyncMessageStreamManager  # noqa: PLC0415

        return AsyncMessageStreamManager(self._client, create_call(parameters, stream=True))

    count_tokens = AsyncEndpoint(count_tokens_call)

    @cached_property
    def batches(self) -> AsyncBatches:
        """Message Batches: at half the price, within a day."""
        from antiphon.sdk.batches.resource import AsyncBatches  # noqa: PLC0415 - few use them

        return AsyncBatches(self._client)
