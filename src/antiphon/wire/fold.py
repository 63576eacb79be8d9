"""The fold that turns a stream of events into the message it carries.

The answer to a request without `stream` is made in this way, so the two cannot differ.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec
from msgspec.structs import replace

from antiphon.wire.citations import Citation
from antiphon.wire.content import (
    ContentBlock,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
)
from antiphon.wire.events import (
    CitationsDelta,
    ContentBlockDelta,
    ContentBlockStart,
    ContentBlockStop,
    Delta,
    ErrorEvent,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    SignatureDelta,
    StartedBlock,
    StartedRedactedThinking,
    StartedServerToolUse,
    StartedText,
    StartedThinking,
    StartedToolUse,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
)
from antiphon.wire.messages import CacheCreation, Message
from antiphon.wire.partial_json import completed
from antiphon.wire.server_blocks import (
    ServerToolUseBlock,
    ToolSearchToolResultBlock,
    WebFetchToolResultBlock,
    WebSearchToolResultBlock,
)


class BrokenStreamError(ValueError):
    """Events that are not a whole message, or not in their order."""


def fold(events: Iterable[StreamEvent]) -> Message:
    """Turn the events of one whole stream into its message.

    The answer to a request without `stream` is made in this way, so the two cannot differ.
    Raises `BrokenStreamError`.
    """
    folding = Fold()
    folding.extend(events)
    return folding.message()


_CALLS: Final[Mapping[type, type[ToolUseBlock | ServerToolUseBlock]]] = MappingProxyType(
    {StartedToolUse: ToolUseBlock, StartedServerToolUse: ServerToolUseBlock}
)


class OpenBlock:
    """A content block between its start and its stop."""

    __slots__ = ("_citations", "_pieces", "_signature", "_started")

    def __init__(self, started: StartedBlock) -> None:
        self._started = started
        self._citations: tuple[Citation, ...] = ()
        self._pieces: list[str] = []
        self._signature = ""

    def add(self, delta: Delta) -> None:
        started = self._started
        if isinstance(delta, TextDelta) and isinstance(started, StartedText):
            self._pieces.append(delta.text)
        elif isinstance(delta, ThinkingDelta) and isinstance(started, StartedThinking):
            self._pieces.append(delta.thinking)
        elif isinstance(delta, SignatureDelta) and isinstance(started, StartedThinking):
            self._signature = delta.signature
        elif isinstance(delta, CitationsDelta) and isinstance(started, StartedText):
            self._citations += (delta.citation,)
        elif isinstance(delta, InputJsonDelta) and type(started) in _CALLS:
            self._pieces.append(delta.partial_json)
        else:
            raise BrokenStreamError(f"{type(delta).__name__} in a block of another kind")

    def whole(self) -> ContentBlock:
        """Return the block. Of the input of a call that was cut off, it holds the certain part."""
        text = "".join(self._pieces)
        match self._started:
            case StartedText(text=first):
                return TextBlock(text=first + text, citations=self._citations)
            case StartedThinking(thinking=first):
                return ThinkingBlock(thinking=first + text, signature=self._signature)
            case StartedRedactedThinking(data=hidden):
                return RedactedThinkingBlock(data=hidden)
            case (
                ToolSearchToolResultBlock() | WebSearchToolResultBlock() | WebFetchToolResultBlock()
            ) as result:
                return result
            case started:
                kind = _CALLS[type(started)]
                return kind(
                    id=started.id, name=started.name, input=_input(text), caller=started.caller
                )


def _input(text: str) -> dict[str, Any]:
    value = msgspec.json.decode(completed(text)) if text else {}
    if not isinstance(value, dict):
        raise BrokenStreamError("the input of a call is not an object")
    return value


class Fold:
    """`fold`, some events at a time."""

    _start: Message | None = None
    _block: OpenBlock | None = None
    _ended: MessageDelta | None = None
    _stopped = False

    def __init__(self) -> None:
        self._blocks: list[ContentBlock] = []

    def add(self, event: StreamEvent) -> None:
        """Take the next event. Raises `BrokenStreamError`."""
        self.extend((event,))

    def extend(self, events: Iterable[StreamEvent]) -> None:
        """Take the next events. Raises `BrokenStreamError`."""
        for event in events:
            if self._stopped:
                raise BrokenStreamError("an event after message_stop")
            take = self._TAKEN_BY.get(type(event))
            # A ping has no content.
            if take is not None:
                take(self, event)

    def _begin(self, event: MessageStart) -> None:
        if self._start is not None:
            raise BrokenStreamError("a second message_start")
        self._start = event.message

    def _begin_block(self, event: ContentBlockStart) -> None:
        in_order = self._start is not None and self._block is None and self._ended is None
        if not in_order or event.index != len(self._blocks):
            raise BrokenStreamError(f"content block {event.index} starts out of order")
        self._block = OpenBlock(event.content_block)

    def _add_delta(self, event: ContentBlockDelta) -> None:
        self._open(event.index).add(event.delta)

    def _end_block(self, event: ContentBlockStop) -> None:
        self._blocks.append(self._open(event.index).whole())
        self._block = None

    def _end(self, event: MessageDelta) -> None:
        if self._start is None or self._block is not None:
            raise BrokenStreamError("message_delta is out of order")
        self._ended = event

    def _stop(self, _event: MessageStop) -> None:
        if self._ended is None:
            raise BrokenStreamError("message_stop before message_delta")
        self._stopped = True

    def _fail(self, event: ErrorEvent) -> None:
        raise BrokenStreamError(f"the stream ended in an error: {event.error.message}")

    def _open(self, index: int) -> "OpenBlock":
        if self._block is None or index != len(self._blocks):
            raise BrokenStreamError(f"content block {index} is not open")
        return self._block

    def message(self) -> Message:
        """Return the message. Raises `BrokenStreamError` before its last event was added."""
        if self._start is None or self._ended is None or not self._stopped:
            raise BrokenStreamError("the stream ended before its message did")
        ending, usage = self._ended.delta, self._ended.usage
        written = usage.cache_creation_input_tokens
        return replace(
            self._start,
            content=tuple(self._blocks),
            stop_reason=ending.stop_reason,
            stop_sequence=ending.stop_sequence,
            stop_details=ending.stop_details,
            usage=replace(
                self._start.usage,
                input_tokens=usage.input_tokens,
                cache_creation_input_tokens=written,
                cache_creation=_with_sum(self._start.usage.cache_creation, written),
                cache_read_input_tokens=usage.cache_read_input_tokens,
                output_tokens=usage.output_tokens,
                output_tokens_details=usage.output_tokens_details,
                server_tool_use=usage.server_tool_use,
            ),
        )

    # A look-up costs the same for every type; of a chain of patterns, each event tries several.
    _TAKEN_BY: ClassVar[Mapping[type[StreamEvent], Callable[["Fold", Any], None]]] = (
        MappingProxyType(
            {
                MessageStart: _begin,
                ContentBlockStart: _begin_block,
                ContentBlockDelta: _add_delta,
                ContentBlockStop: _end_block,
                MessageDelta: _end,
                MessageStop: _stop,
                ErrorEvent: _fail,
            }
        )
    )


def _with_sum(start: CacheCreation, written: int) -> CacheCreation:
    """Return the writes of `message_start` by lifetime, corrected to another sum.

    `message_delta` has only the sum. What it adds was written for 5 minutes, the usual lifetime.
    """
    hour = min(start.ephemeral_1h_input_tokens, written)
    return CacheCreation(ephemeral_5m_input_tokens=written - hour, ephemeral_1h_input_tokens=hour)
