"""Stream events.

    stream := message_start block* message_delta+ message_stop       ping may stand anywhere
    block  := content_block_start content_block_delta* content_block_stop

A failure after the first byte is an `error` event, and nothing follows it.
"""

from typing import Any, TypeAlias

from antiphon.wire.base import AnswerStruct
from antiphon.wire.citations import Citation
from antiphon.wire.errors import ErrorDetail
from antiphon.wire.messages import (
    Message,
    OutputTokensDetails,
    RefusalDetails,
    ServerToolUsage,
    StopReason,
)
from antiphon.wire.server_blocks import DirectCaller, ServerResultBlock


class Event(AnswerStruct, tag_field="type", kw_only=True, frozen=True):
    """One event of a stream; its tag is the event's name."""


class MessageStart(Event, tag="message_start", kw_only=True, frozen=True):
    message: Message


class ContentBlockStart(Event, tag="content_block_start", kw_only=True, frozen=True):
    index: int
    content_block: "StartedBlock"


class StartedText(AnswerStruct, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A text block before its first delta, as empty as the block of an answer without citations."""

    text: str = ""
    citations: tuple[Citation, ...] = ()


class StartedThinking(AnswerStruct, tag_field="type", tag="thinking", kw_only=True, frozen=True):
    """A thinking block before its first delta."""

    thinking: str = ""
    signature: str = ""


class StartedRedactedThinking(
    AnswerStruct, tag_field="type", tag="redacted_thinking", kw_only=True, frozen=True
):
    """Thinking that cannot be read. It is complete: no delta follows."""

    data: str


class StartedToolUse(AnswerStruct, tag_field="type", tag="tool_use", kw_only=True, frozen=True):
    """A call before the first piece of its input."""

    id: str
    name: str
    input: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it
    caller: DirectCaller = DirectCaller()


class StartedServerToolUse(
    AnswerStruct, tag_field="type", tag="server_tool_use", kw_only=True, frozen=True
):
    """A call of a tool that this server runs, before the first piece of its input."""

    id: str
    name: str
    input: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it
    caller: DirectCaller = DirectCaller()


StartedBlock: TypeAlias = (
    StartedText
    | StartedThinking
    | StartedRedactedThinking
    | StartedToolUse
    | StartedServerToolUse
    | ServerResultBlock
)


class TextDelta(
    AnswerStruct, tag_field="type", tag="text_delta", kw_only=True, frozen=True, gc=False
):
    text: str


class ThinkingDelta(
    AnswerStruct, tag_field="type", tag="thinking_delta", kw_only=True, frozen=True
):
    thinking: str


class SignatureDelta(
    AnswerStruct, tag_field="type", tag="signature_delta", kw_only=True, frozen=True
):
    """The whole signature, in one event just before the block ends."""

    signature: str


class InputJsonDelta(
    AnswerStruct, tag_field="type", tag="input_json_delta", kw_only=True, frozen=True
):
    """A piece of a call's input: JSON text, cut anywhere."""

    partial_json: str


class CitationsDelta(
    AnswerStruct, tag_field="type", tag="citations_delta", kw_only=True, frozen=True
):
    """One citation of the text of its block."""

    citation: Citation


Delta: TypeAlias = TextDelta | ThinkingDelta | SignatureDelta | InputJsonDelta | CitationsDelta


# Each token has one of these. No cycle goes through them, so no collection looks at them.
class ContentBlockDelta(Event, tag="content_block_delta", kw_only=True, frozen=True, gc=False):
    index: int
    delta: Delta


class ContentBlockStop(Event, tag="content_block_stop", kw_only=True, frozen=True):
    index: int


class Ending(AnswerStruct, kw_only=True, frozen=True):
    """Why the message ended."""

    stop_reason: StopReason
    stop_sequence: str | None = None
    stop_details: RefusalDetails | None = None


class DeltaUsage(AnswerStruct, kw_only=True, frozen=True):
    """Cumulative counters, without those that only `message_start` has."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    server_tool_use: ServerToolUsage | None = None


class MessageDelta(Event, tag="message_delta", kw_only=True, frozen=True):
    delta: Ending
    usage: DeltaUsage


class MessageStop(Event, tag="message_stop", kw_only=True, frozen=True):
    pass


class Ping(Event, tag="ping", kw_only=True, frozen=True):
    pass


class ErrorEvent(Event, tag="error", kw_only=True, frozen=True):
    error: ErrorDetail
    request_id: str | None


StreamEvent: TypeAlias = (
    MessageStart
    | ContentBlockStart
    | ContentBlockDelta
    | ContentBlockStop
    | MessageDelta
    | MessageStop
    | Ping
    | ErrorEvent
)
