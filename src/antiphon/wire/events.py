"""Stream events, and the fold that turns a stream into the message it carries.

    stream := message_start block* message_delta+ message_stop       ping may stand anywhere
    block  := content_block_start content_block_delta* content_block_stop

A failure after the first byte is an `error` event, and nothing follows it.
"""

from collections.abc import Iterable
from typing import TypeAlias

from msgspec.structs import replace

from antiphon.wire.base import Answer
from antiphon.wire.content import ContentBlock, TextBlock
from antiphon.wire.errors import ErrorDetail
from antiphon.wire.messages import Message, OutputTokensDetails, StopReason


class Event(Answer, tag_field="type", kw_only=True, frozen=True):
    """One event of a stream; its tag is the event's name."""


class MessageStart(Event, tag="message_start", kw_only=True, frozen=True):
    message: Message


class ContentBlockStart(Event, tag="content_block_start", kw_only=True, frozen=True):
    index: int
    content_block: "StartedBlock"


class StartedText(Answer, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A text block before its first delta."""

    text: str = ""


StartedBlock: TypeAlias = StartedText


class TextDelta(Answer, tag_field="type", tag="text_delta", kw_only=True, frozen=True):
    text: str


Delta: TypeAlias = TextDelta


class ContentBlockDelta(Event, tag="content_block_delta", kw_only=True, frozen=True):
    index: int
    delta: Delta


class ContentBlockStop(Event, tag="content_block_stop", kw_only=True, frozen=True):
    index: int


class Ending(Answer, kw_only=True, frozen=True):
    """Why the message ended."""

    stop_reason: StopReason
    stop_sequence: str | None = None
    stop_details: None = None


class DeltaUsage(Answer, kw_only=True, frozen=True):
    """Cumulative counters; they never repeat what only `message_start` says."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    server_tool_use: None = None


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


class BrokenStreamError(ValueError):
    """Events that are not a whole message, or not in their order."""


def fold(events: Iterable[StreamEvent]) -> Message:
    """Turn the events of one whole stream into its message.

    The answer to a request without `stream` is made in this way, so the two cannot differ.
    Raises `BrokenStreamError`.
    """
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.message()


class Fold:
    """`fold`, one event at a time."""

    __slots__ = ("_blocks", "_ended", "_start", "_stopped", "_texts")

    def __init__(self) -> None:
        self._start: Message | None = None
        self._blocks: list[ContentBlock] = []
        self._texts: list[str] | None = None
        self._ended: MessageDelta | None = None
        self._stopped = False

    def add(self, event: StreamEvent) -> None:
        """Take the next event. Raises `BrokenStreamError`."""
        if self._stopped:
            raise BrokenStreamError("an event after message_stop")
        if isinstance(event, ContentBlockDelta):
            self._open_texts(event.index).append(event.delta.text)
            return
        match event:
            case ContentBlockStart():
                self._begin_block(event)
            case ContentBlockStop(index=index):
                self._blocks.append(TextBlock(text="".join(self._open_texts(index))))
                self._texts = None
            case MessageStart(message=message):
                self._begin(message)
            case MessageDelta():
                self._end(event)
            case MessageStop():
                self._stop()
            case ErrorEvent(error=error):
                raise BrokenStreamError(f"the stream ended in an error: {error.message}")
            # A ping says nothing.

    def _begin(self, message: Message) -> None:
        if self._start is not None:
            raise BrokenStreamError("a second message_start")
        self._start = message

    def _begin_block(self, event: ContentBlockStart) -> None:
        in_order = self._between_blocks() and self._ended is None
        if not in_order or event.index != len(self._blocks):
            raise BrokenStreamError(f"content block {event.index} starts out of order")
        self._texts = [event.content_block.text]

    def _end(self, event: MessageDelta) -> None:
        if not self._between_blocks():
            raise BrokenStreamError("message_delta is out of order")
        self._ended = event

    def _stop(self) -> None:
        if self._ended is None:
            raise BrokenStreamError("message_stop before message_delta")
        self._stopped = True

    def _between_blocks(self) -> bool:
        return self._start is not None and self._texts is None

    def _open_texts(self, index: int) -> list[str]:
        if self._texts is None or index != len(self._blocks):
            raise BrokenStreamError(f"content block {index} is not open")
        return self._texts

    def message(self) -> Message:
        """Return the message. Raises `BrokenStreamError` before its last event was added."""
        if self._start is None or self._ended is None or not self._stopped:
            raise BrokenStreamError("the stream ended before its message did")
        ending, usage = self._ended.delta, self._ended.usage
        return replace(
            self._start,
            content=tuple(self._blocks),
            stop_reason=ending.stop_reason,
            stop_sequence=ending.stop_sequence,
            usage=replace(
                self._start.usage,
                input_tokens=usage.input_tokens,
                cache_creation_input_tokens=usage.cache_creation_input_tokens,
                cache_read_input_tokens=usage.cache_read_input_tokens,
                output_tokens=usage.output_tokens,
                output_tokens_details=usage.output_tokens_details,
            ),
        )
