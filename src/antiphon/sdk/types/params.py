"""Parts of requests as typed dictionaries, under the names of the official SDK.

They are for type checkers and editors: a plain dictionary of the same form is sent as well, and the
server says what it does not take. What the SDK sends is what the program wrote.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Required, TypeAlias, TypedDict

import msgspec

from antiphon.sdk.message_parameters import MessageParameters

Struct: TypeAlias = msgspec.Struct
"""A part of an answer, which may stand in a request as it is."""


class CacheControlEphemeralParam(TypedDict, total=False):
    """A breakpoint of the prompt cache; `ttl` is five minutes by default."""

    type: Required[Literal["ephemeral"]]
    ttl: Literal["5m", "1h"]


class TextBlockParam(TypedDict, total=False):
    """A text."""

    type: Required[Literal["text"]]
    text: Required[str]
    cache_control: CacheControlEphemeralParam | None
    citations: Iterable[Any] | None


class Base64ImageSourceParam(TypedDict, total=False):
    """A picture: its bytes in base64, or a file that is read and encoded."""

    type: Required[Literal["base64"]]
    media_type: str
    data: Required[Any]


class URLImageSourceParam(TypedDict):
    """A picture that the server fetches."""

    type: Literal["url"]
    url: str


class ImageBlockParam(TypedDict, total=False):
    """A picture."""

    type: Required[Literal["image"]]
    source: Required[Base64ImageSourceParam | URLImageSourceParam | Mapping[str, Any]]
    cache_control: CacheControlEphemeralParam | None


class Base64PDFSourceParam(TypedDict, total=False):
    """A PDF: its bytes in base64, or a file that is read and encoded."""

    type: Required[Literal["base64"]]
    media_type: str
    data: Required[Any]


class PlainTextSourceParam(TypedDict):
    """A document in plain text."""

    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class DocumentBlockParam(TypedDict, total=False):
    """A document."""

    type: Required[Literal["document"]]
    source: Required[Base64PDFSourceParam | PlainTextSourceParam | Mapping[str, Any]]
    title: str | None
    context: str | None
    citations: Mapping[str, Any] | None
    cache_control: CacheControlEphemeralParam | None


class ToolUseBlockParam(TypedDict, total=False):
    """A call of a tool, of an answer that goes back."""

    type: Required[Literal["tool_use"]]
    id: Required[str]
    name: Required[str]
    input: Required[Mapping[str, Any]]
    cache_control: CacheControlEphemeralParam | None


class ToolResultBlockParam(TypedDict, total=False):
    """What a tool has returned."""

    type: Required[Literal["tool_result"]]
    tool_use_id: Required[str]
    content: "str | Iterable[ContentBlockParam]"
    is_error: bool
    cache_control: CacheControlEphemeralParam | None


class ThinkingBlockParam(TypedDict):
    """Thinking of an answer that goes back."""

    type: Literal["thinking"]
    thinking: str
    signature: str


ContentBlockParam: TypeAlias = (
    TextBlockParam
    | ImageBlockParam
    | DocumentBlockParam
    | ToolUseBlockParam
    | ToolResultBlockParam
    | ThinkingBlockParam
    | Mapping[str, Any]
    | Struct
)
"""A block of a message: one of the others is a plain dictionary, or part of an answer."""


class MessageParam(TypedDict):
    """A turn of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | Iterable[ContentBlockParam]


class ToolParam(TypedDict, total=False):
    """A tool that the program runs."""

    name: Required[str]
    input_schema: Required[Mapping[str, Any]]
    description: str
    type: Literal["custom"] | None
    strict: bool
    cache_control: CacheControlEphemeralParam | None
    eager_input_streaming: bool | None
    input_examples: Iterable[Mapping[str, Any]]
    defer_loading: bool


ToolUnionParam: TypeAlias = ToolParam | Mapping[str, Any]
"""A tool: of the program, or one of the server's own as a plain dictionary."""


class ToolChoiceAutoParam(TypedDict, total=False):
    """The model decides."""

    type: Required[Literal["auto"]]
    disable_parallel_tool_use: bool


class ToolChoiceAnyParam(TypedDict, total=False):
    """Some tool is called."""

    type: Required[Literal["any"]]
    disable_parallel_tool_use: bool


class ToolChoiceToolParam(TypedDict, total=False):
    """This tool is called."""

    type: Required[Literal["tool"]]
    name: Required[str]
    disable_parallel_tool_use: bool


class ToolChoiceNoneParam(TypedDict):
    """No tool is called."""

    type: Literal["none"]


ToolChoiceParam: TypeAlias = (
    ToolChoiceAutoParam | ToolChoiceAnyParam | ToolChoiceToolParam | ToolChoiceNoneParam
)


class ThinkingConfigEnabledParam(TypedDict):
    """The model thinks, for so many tokens at most."""

    type: Literal["enabled"]
    budget_tokens: int


class ThinkingConfigAdaptiveParam(TypedDict):
    """The model thinks as it sees fit."""

    type: Literal["adaptive"]


class ThinkingConfigDisabledParam(TypedDict):
    """The model does not think."""

    type: Literal["disabled"]


ThinkingConfigParam: TypeAlias = (
    ThinkingConfigEnabledParam | ThinkingConfigAdaptiveParam | ThinkingConfigDisabledParam
)


class MetadataParam(TypedDict, total=False):
    """Whom a request is for."""

    user_id: str | None


class MessageCreateParamsNonStreaming(MessageParameters, total=False):
    """The parameters of a message."""

    stream: Literal[False]


class MessageCreateParamsStreaming(MessageParameters):
    """The parameters of a message that is streamed."""

    stream: Literal[True]


MessageCreateParams: TypeAlias = MessageCreateParamsNonStreaming | MessageCreateParamsStreaming


class Request(TypedDict):
    """A request of a batch."""

    custom_id: str
    params: MessageCreateParamsNonStreaming
