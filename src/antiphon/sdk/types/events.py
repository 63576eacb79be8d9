"""The events of a stream, as they come.

    stream := message_start block* message_delta+ message_stop       ping may stand anywhere
    block  := content_block_start content_block_delta* content_block_stop

What `messages.stream` adds to them is in `derived`.
"""

from typing import Any, ClassVar, Literal, TypeAlias

from antiphon.sdk.types.base import Answered, Unknown
from antiphon.sdk.types.blocks import ContentBlock
from antiphon.sdk.types.citations import TextCitation
from antiphon.sdk.types.message import (
    Container,
    Message,
    OutputTokensDetails,
    RefusalStopDetails,
    ServerToolUsage,
)


class TextDelta(Answered, tag_field="type", tag="text_delta", kw_only=True, frozen=True):
    relied = ("text",)

    type: ClassVar[Literal["text_delta"]] = "text_delta"
    text: str


class ThinkingDelta(Answered, tag_field="type", tag="thinking_delta", kw_only=True, frozen=True):
    relied = ("thinking",)

    type: ClassVar[Literal["thinking_delta"]] = "thinking_delta"
    thinking: str


class SignatureDelta(Answered, tag_field="type", tag="signature_delta", kw_only=True, frozen=True):
    """The whole signature, just before its block ends."""

    relied = ("signature",)

    type: ClassVar[Literal["signature_delta"]] = "signature_delta"
    signature: str


class InputJSONDelta(Answered, tag_field="type", tag="input_json_delta", kw_only=True, frozen=True):
    """A piece of a call's input: JSON, cut anywhere."""

    relied = ("partial_json",)

    type: ClassVar[Literal["input_json_delta"]] = "input_json_delta"
    partial_json: str


class CitationsDelta(Answered, tag_field="type", tag="citations_delta", kw_only=True, frozen=True):
    """One more citation of the text of its block."""

    nested = ("citation",)
    relied = ("citation",)

    type: ClassVar[Literal["citations_delta"]] = "citations_delta"
    citation: TextCitation


class UnknownDelta(Unknown, tag_field="type", tag="\0delta", kw_only=True, frozen=True):
    """A piece of a block of a type that this SDK does not know."""


RawContentBlockDelta: TypeAlias = (
    TextDelta | ThinkingDelta | SignatureDelta | InputJSONDelta | CitationsDelta | UnknownDelta
)


class RawMessageStartEvent(
    Answered, tag_field="type", tag="message_start", kw_only=True, frozen=True
):
    """The message without its content."""

    nested = ("message",)
    relied = ("message",)

    type: ClassVar[Literal["message_start"]] = "message_start"
    message: Message


class RawContentBlockStartEvent(
    Answered, tag_field="type", tag="content_block_start", kw_only=True, frozen=True
):
    """A block before its first piece; results of the server's tools are complete in it."""

    nested = ("content_block",)
    relied = ("index", "content_block")

    type: ClassVar[Literal["content_block_start"]] = "content_block_start"
    index: int
    content_block: ContentBlock


class RawContentBlockDeltaEvent(
    Answered, tag_field="type", tag="content_block_delta", kw_only=True, frozen=True
):
    """A piece of the block at `index` in the content."""

    nested = ("delta",)
    relied = ("index", "delta")

    type: ClassVar[Literal["content_block_delta"]] = "content_block_delta"
    index: int
    delta: RawContentBlockDelta


class RawContentBlockStopEvent(
    Answered, tag_field="type", tag="content_block_stop", kw_only=True, frozen=True
):
    relied = ("index",)

    type: ClassVar[Literal["content_block_stop"]] = "content_block_stop"
    index: int


class MessageEnd(Answered, kw_only=True, frozen=True):
    """Why the message ended."""

    nested = ("stop_details", "container")

    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: RefusalStopDetails | None = None
    container: Container | None = None


class MessageDeltaUsage(Answered, kw_only=True, frozen=True):
    """The tokens so far, of all that is counted; `None` for what is as it was."""

    nested = ("output_tokens_details", "server_tool_use")
    relied = (
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "output_tokens",
    )

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int = 0
    output_tokens_details: OutputTokensDetails | None = None
    server_tool_use: ServerToolUsage | None = None


class RawMessageDeltaEvent(
    Answered, tag_field="type", tag="message_delta", kw_only=True, frozen=True
):
    nested = ("delta", "usage")
    relied = ("delta", "usage")

    type: ClassVar[Literal["message_delta"]] = "message_delta"
    delta: MessageEnd = MessageEnd()
    usage: MessageDeltaUsage = MessageDeltaUsage()


class RawMessageStopEvent(
    Answered, tag_field="type", tag="message_stop", kw_only=True, frozen=True
):
    type: ClassVar[Literal["message_stop"]] = "message_stop"


class Ping(Answered, tag_field="type", tag="ping", kw_only=True, frozen=True):
    """The server lives. Streams do not show it."""

    type: ClassVar[Literal["ping"]] = "ping"


class ErrorDetail(Answered, kw_only=True, frozen=True):
    type: str = "api_error"
    message: str = ""
    details: dict[str, Any] | None = None


class ErrorEvent(Answered, tag_field="type", tag="error", kw_only=True, frozen=True):
    """The answer failed. Streams raise it."""

    nested = ("error",)

    type: ClassVar[Literal["error"]] = "error"
    error: ErrorDetail
    request_id: str | None = None


class UnknownEvent(Unknown, tag_field="type", tag="\0event", kw_only=True, frozen=True):
    """An event of a type that this SDK does not know."""


RawMessageStreamEvent: TypeAlias = (
    RawMessageStartEvent
    | RawContentBlockStartEvent
    | RawContentBlockDeltaEvent
    | RawContentBlockStopEvent
    | RawMessageDeltaEvent
    | RawMessageStopEvent
    | UnknownEvent
)
"""What iterating over a stream gives."""

StreamItem: TypeAlias = RawMessageStreamEvent | Ping | ErrorEvent
"""What a stream may bring."""
