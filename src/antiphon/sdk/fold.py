"""The fold that turns the events of a stream into their message. No input or output.

What it makes is equal to what the server answers without `stream`, also in the fields and blocks
that this SDK does not know. Pieces are kept as they come and joined when somebody asks, so a long
answer costs as much for each piece as a short one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

import msgspec
from msgspec.structs import replace

from antiphon.sdk.call import NOT_JSON
from antiphon.sdk.types.base import CAME, Answered, Changed, JsonObject, Unknown
from antiphon.sdk.types.blocks import (
    ContentBlock,
    ServerToolUseBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    UnknownBlock,
)
from antiphon.sdk.types.citations import TextCitation
from antiphon.sdk.types.decoding import convert_struct
from antiphon.sdk.types.events import (
    CitationsDelta,
    InputJSONDelta,
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawContentBlockStopEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    RawMessageStopEvent,
    RawMessageStreamEvent,
    SignatureDelta,
    StreamItem,
    TextDelta,
    ThinkingDelta,
    UnknownDelta,
)
from antiphon.sdk.types.message import Message, Usage
from antiphon.wire.partial_json import completed

A = TypeVar("A", bound=Answered)
INVALID_JSON = "INVALID_JSON"
TEXTS = frozenset({"text", "thinking"})


class EventOrderError(ValueError):
    """Events that no server of the API sends in this order."""


class OpenBlock:
    """A block that grows. `count` is the number of its pieces, `pieces` are those of its text."""

    __slots__ = ("_changes", "_ended", "_joined", "_started", "citations", "count", "pieces")

    def __init__(self, started: ContentBlock) -> None:
        self._started = started
        first = ""
        if isinstance(started, TextBlock):
            first = started.text
        elif isinstance(started, ThinkingBlock):
            first = started.thinking
        self.pieces = [first] if first else []
        self.count = len(self.pieces)
        self.citations: list[TextCitation] = []
        if isinstance(started, TextBlock) and started.citations:
            self.citations.extend(started.citations)
        self._changes: JsonObject = {}
        self._ended: ContentBlock | None = None
        self._joined = (0, "")

    def add(self, event: RawContentBlockDeltaEvent) -> None:
        delta = event.delta
        kind = type(delta)
        self._ended = None  # there are proxies that send more of a block behind its end
        if kind is TextDelta:
            self.pieces.append(delta.text)  # type: ignore[union-attr] # of this class
        elif kind is InputJSONDelta:
            self.pieces.append(delta.partial_json)  # type: ignore[union-attr]
        elif kind is ThinkingDelta:
            self.pieces.append(delta.thinking)  # type: ignore[union-attr]
        elif isinstance(delta, SignatureDelta):
            self._changes["signature"] = delta.signature
        elif isinstance(delta, CitationsDelta):
            self.citations.append(delta.citation)
        elif isinstance(delta, UnknownDelta):
            self._lay_over(delta.data)
        self.count = len(self.pieces)

    def _lay_over(self, delta: JsonObject) -> None:
        """Take a delta of an unknown type as the known ones are: texts grow, all else is set.

        What this SDK works with never gets a value of another type.
        """
        for name, value in delta.items():
            if name in self._started.relied:
                if isinstance(value, str) and name in TEXTS:
                    self.pieces.append(value)
                continue
            if name == "type":
                continue
            before = self._changes.get(name, self._started.to_dict().get(name))
            grows = isinstance(value, str) and isinstance(before, str)
            self._changes[name] = before + value if grows else value

    def text(self, count: int | None = None) -> str:
        """Return the first pieces, joined. What was joined before is not joined again."""
        until = self.count if count is None else count
        at, joined = self._joined
        if until < at:
            return "".join(self.pieces[:until])
        if until > at:
            joined += "".join(self.pieces[at:until])
            self._joined = (until, joined)
        return joined

    def input(self, count: int | None = None) -> JsonObject:
        """Return the input that the first pieces are the beginning of."""
        text = self.text(count)
        if not text:
            started: Any = self._started
            return dict(started.input)
        try:
            value = msgspec.json.decode(completed(text))
        except NOT_JSON:
            value = None
        return value if isinstance(value, dict) else {INVALID_JSON: text}

    def block(self) -> ContentBlock:
        """Return the block as far as it has come."""
        if self._ended is not None:
            return self._ended
        started = self._started
        if isinstance(started, TextBlock):
            changes: JsonObject = {"text": self.text()}
            if self.citations:
                changes["citations"] = list(self.citations)
        elif isinstance(started, ThinkingBlock):
            changes = {"thinking": self.text()}
        elif isinstance(started, ToolUseBlock | ServerToolUseBlock):
            changes = {"input": self.input()}
        else:
            changes = {}
        changes.update(self._changes)
        return changed(started, changes) if changes else started

    def end(self) -> ContentBlock:
        self._ended = self.block()
        return self._ended


class MessageFold:
    """Folds events one at a time. Raises `EventOrderError`."""

    __slots__ = ("_end", "_start", "_used", "blocks", "stopped")

    def __init__(self) -> None:
        self._start: Message | None = None
        self._end: JsonObject = {}
        self._used: JsonObject = {}
        self.blocks: list[OpenBlock] = []
        self.stopped = False

    @property
    def begun(self) -> bool:
        return self._start is not None

    def add(self, event: StreamItem) -> None:
        kind = type(event)
        if kind is RawContentBlockDeltaEvent:
            delta_event: Any = event
            self.block_at(delta_event.index).add(delta_event)
            return
        take = self._TAKEN_BY.get(kind)
        if take is not None:
            take(self, event)

    def add_all(self, events: deque[RawMessageStreamEvent]) -> None:
        """Take events and fold them, which costs less than one at a time."""
        blocks = self.blocks
        while events:
            event = events.popleft()
            if type(event) is RawContentBlockDeltaEvent and 0 <= event.index < len(blocks):
                blocks[event.index].add(event)
            else:
                self.add(event)

    def block_at(self, index: int) -> OpenBlock:
        if not 0 <= index < len(self.blocks):
            raise EventOrderError(f"content block {index} has not been started")
        return self.blocks[index]

    def _begin(self, event: RawMessageStartEvent) -> None:
        if self._start is not None:
            raise EventOrderError("a second message_start")
        self._start = event.message

    def _begin_block(self, event: RawContentBlockStartEvent) -> None:
        if self._start is None:
            raise EventOrderError("content_block_start before message_start")
        if event.index != len(self.blocks):
            raise EventOrderError(f"content block {event.index} starts out of order")
        self.blocks.append(OpenBlock(event.content_block))

    def _end_block(self, event: RawContentBlockStopEvent) -> None:
        self.block_at(event.index).end()

    def _take_end(self, event: RawMessageDeltaEvent) -> None:
        if self._start is None:
            raise EventOrderError("message_delta before message_start")
        delta = event.delta.to_dict()
        if delta.get("container") is None:
            # Not each event repeats it.
            delta.pop("container", None)
        self._end.update(delta)
        self._end.update(event.extra)
        usage = {name: value for name, value in event.usage.to_dict().items() if value is not None}
        self._used.update(usage)

    def _stop(self, _event: RawMessageStopEvent) -> None:
        if self._start is None:
            raise EventOrderError("message_stop before message_start")
        self.stopped = True

    def message(self) -> Message:
        """Return the message as far as it has come. Raises `EventOrderError` before its start."""
        if self._start is None:
            raise EventOrderError("no message_start has come yet")
        content = [block.block() for block in self.blocks]
        usage = self._usage(self._start.usage)
        known = convert_struct(Message, {"id": "", "model": "", "content": [], **self._end})
        changes: JsonObject = {"content": content, "usage": usage}
        for name in Message.__struct_fields__:
            if name in self._end:
                changes[name] = getattr(known, name)
        made = replace(self._start, **changes)
        laid_over = {**self._end, "content": content, "usage": usage}
        made.__dict__[CAME] = Changed(self._start, laid_over)
        return made

    def _usage(self, first: Usage) -> Usage:
        if not self._used:
            return first
        value = {**first.to_dict(), **self._used}
        written, by_lifetime = value.get("cache_creation_input_tokens"), value.get("cache_creation")
        if isinstance(written, int) and isinstance(by_lifetime, dict):
            # The last event has only the sum. What it adds was written for 5 minutes.
            told = by_lifetime.get("ephemeral_1h_input_tokens")
            hour = min(told, written) if isinstance(told, int) else 0
            value["cache_creation"] = {
                **by_lifetime,
                "ephemeral_5m_input_tokens": written - hour,
                "ephemeral_1h_input_tokens": hour,
            }
        return convert_struct(Usage, value)

    _TAKEN_BY: ClassVar[dict[type, Callable[[MessageFold, Any], None]]] = {
        RawMessageStartEvent: _begin,
        RawContentBlockStartEvent: _begin_block,
        RawContentBlockStopEvent: _end_block,
        RawMessageDeltaEvent: _take_end,
        RawMessageStopEvent: _stop,
    }


def changed(struct: A, changes: JsonObject) -> A:
    """Return a struct with other values; also what this SDK does not know of it is kept."""
    if isinstance(struct, Unknown):
        return cast("A", UnknownBlock(data={**struct.data, **changes}))
    known = {name: value for name, value in changes.items() if name in struct.__struct_fields__}
    copy: A = replace(struct, **known)
    copy.__dict__[CAME] = Changed(struct, changes)
    return copy
