"""`messages.parse`: answers that are values of a type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from msgspec.structs import replace

from antiphon.sdk.endpoint import RawResponse

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client
    from antiphon.sdk.message_parameters import MessageParameters
    from antiphon.sdk.output.format import OutputFormat
    from antiphon.sdk.output.parsed import ParsedMessage
    from antiphon.sdk.types.message import Message

T = TypeVar("T")


class ParseMethod:
    """`client.messages.parse`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @overload
    def __call__(
        self, *, output_format: type[T], **parameters: Unpack[MessageParameters]
    ) -> ParsedMessage[T]: ...
    @overload
    def __call__(
        self, *, output_format: Any, **parameters: Unpack[MessageParameters]
    ) -> ParsedMessage[Any]: ...
    def __call__(
        self, *, output_format: Any, **parameters: Unpack[MessageParameters]
    ) -> ParsedMessage[Any]:
        """Create a message whose text is JSON of a type, and return it with its value.

        `output_format` is a class (a struct, dataclass, TypedDict or model of Pydantic), any other
        type that has JSON, or a JSON schema. Raises `APIError`; `TypeError` for a type that cannot
        be guaranteed; `OutputError` if the whole answer does not fit.
        """
        form, asked = _asked(output_format, parameters)
        return form.parse(self._client.messages.create(**asked))

    def raw(
        self, *, output_format: Any, **parameters: Unpack[MessageParameters]
    ) -> RawResponse[ParsedMessage[Any]]:
        """As `parse`, and return the answer with its headers."""
        form, asked = _asked(output_format, parameters)
        return _parsed(self._client.messages.create.raw(**asked), form)


class AsyncParseMethod:
    """`client.messages.parse` of an async client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @overload
    async def __call__(
        self, *, output_format: type[T], **parameters: Unpack[MessageParameters]
    ) -> ParsedMessage[T]: ...
    @overload
    async def __call__(
        self, *, output_format: Any, **parameters: Unpack[MessageParameters]
    ) -> ParsedMessage[Any]: ...
    async def __call__(
        self, *, output_format: Any, **parameters: Unpack[MessageParameters]
    ) -> ParsedMessage[Any]:
        """As of `Client`."""
        form, asked = _asked(output_format, parameters)
        return form.parse(await self._client.messages.create(**asked))

    async def raw(
        self, *, output_format: Any, **parameters: Unpack[MessageParameters]
    ) -> RawResponse[ParsedMessage[Any]]:
        """As `parse`, and return the answer with its headers."""
        form, asked = _asked(output_format, parameters)
        return _parsed(await self._client.messages.create.raw(**asked), form)


def _asked(kind: Any, parameters: MessageParameters) -> tuple[OutputFormat[Any], Any]:
    from antiphon.sdk.output.format import output_format  # noqa: PLC0415

    form = output_format(kind)
    return form, form.ask(parameters)


def _parsed(raw: RawResponse[Message], form: OutputFormat[Any]) -> RawResponse[ParsedMessage[Any]]:
    decode = raw.call.decode
    call: Any = replace(raw.call, decode=lambda answer: form.parse(decode(answer)))
    return RawResponse(call, raw.answer)
