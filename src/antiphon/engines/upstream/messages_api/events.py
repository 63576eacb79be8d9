"""The upstream's stream events, as far as Antiphon reads them; unknown keys are ignored.

An event of the types that are due is decoded at once. Any other is read value by value: what cannot
be read counts as absent, and only what is no JSON object at all is a failure.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from antiphon.engines.upstream.loose import (
    Count,
    fields,
    items,
    json_text,
    read_each,
    text_of,
    whole,
)
from antiphon.wire.sse import Frame


class UpstreamEvent(msgspec.Struct, frozen=True, tag_field="type"):
    """One event."""


class CacheWrites(msgspec.Struct, frozen=True):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class EventUsage(msgspec.Struct, frozen=True):
    """The tokens of the prompt (uncached, read from a cache, written to one), and of the answer."""

    input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: CacheWrites | None = None
    output_tokens: Count | None = None


class StartedMessage(msgspec.Struct, frozen=True):
    usage: EventUsage | None = None


class Start(UpstreamEvent, frozen=True, tag="message_start"):
    message: StartedMessage | None = None


class Block(msgspec.Struct, frozen=True):
    """A block at its start."""

    type: str
    id: str | None = None
    name: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    input: dict[str, Any] | None = None


class BlockStart(UpstreamEvent, frozen=True, tag="content_block_start"):
    content_block: Block
    index: Count | None = None


class Delta(msgspec.Struct, frozen=True):
    """A piece of a block. Its fields say what it is; `type` is not needed."""

    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None


class BlockDelta(UpstreamEvent, frozen=True, tag="content_block_delta"):
    delta: Delta
    index: Count | None = None


class BlockStop(UpstreamEvent, frozen=True, tag="content_block_stop"):
    index: Count | None = None


class StopDetails(msgspec.Struct, frozen=True):
    """The reason of a refusal."""

    category: str | None = None
    explanation: str | None = None


class Ending(msgspec.Struct, frozen=True):
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class MessageDelta(UpstreamEvent, frozen=True, tag="message_delta"):
    delta: Ending | None = None
    usage: EventUsage | None = None


class Stop(UpstreamEvent, frozen=True, tag="message_stop"):
    pass


class Broken(msgspec.Struct, frozen=True):
    type: str | None = None
    message: str | None = None


class ErrorEvent(UpstreamEvent, frozen=True, tag="error"):
    error: Broken | None = None


Event: TypeAlias = Start | BlockStart | BlockDelta | BlockStop | MessageDelta | Stop | ErrorEvent

DONE: Final = "[DONE]"
"""What servers say at the end that answer in the vocabulary of chat completions as well."""

MESSAGE: Final = "message"
"""The type of a whole message."""

KNOWN: Final = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (Start, BlockStart, BlockDelta, BlockStop, MessageDelta, Stop, ErrorEvent)
)


class _Head(msgspec.Struct, frozen=True):
    """The type of an event."""

    type: str | None = None


class Reader:
    """Decodes events, with decoders that are made once: the decoder of a union is costly."""

    __slots__ = ("_events", "_heads")

    def __init__(self) -> None:
        self._events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
        self._heads: msgspec.json.Decoder[_Head] = msgspec.json.Decoder(_Head)

    def read_all(self, frames: Sequence[Frame]) -> list[Event] | None:
        """Return the events of frames, one of each; `None` if they have to be read one by one."""
        joined = "\n".join([frame.data for frame in frames])
        if joined.count("\n") >= len(frames):
            # A frame of several lines: one with two events beside one with none would not be seen.
            return None
        try:
            events = self._events.decode_lines(joined)
        except (msgspec.DecodeError, RecursionError):
            return None
        # An event is known by its own type, so the names of the frames say nothing more.
        return events if len(events) == len(frames) else None

    def read(self, frame: Frame) -> list[Event]:
        """Return the events of a frame, none for pings and unknown ones; raises `EngineError`."""
        data = frame.data.strip()
        if not data:
            return []
        if data == DONE:
            return [Stop()]
        try:
            name = frame.event if frame.event in KNOWN else self._heads.decode(data).type
            if name in KNOWN:
                return [self._events.decode(data)]
            if name and name != MESSAGE:
                # A ping, or an event of tomorrow.
                return []
        except (msgspec.DecodeError, RecursionError):
            pass
        if frame.event not in KNOWN and frame.event != "message":
            return []
        return read_each(data, partial(_events, frame.event))


def _events(name: str, value: dict[str, Any]) -> list[Event]:
    """Read one value; `name` is the name of its frame, which may stand for its type."""
    kind = text_of(value.get("type"))
    if kind == MESSAGE:
        return _message(value)
    if kind not in KNOWN:
        kind = name if name in KNOWN else _kind_of(value)
    event = _event(kind, value)
    return [] if event is None else [event]


def _message(value: dict[str, Any]) -> list[Event]:
    """Return the events of a whole message, from a server that does not stream."""
    usage = _usage(value.get("usage"))
    events: list[Event] = [Start(StartedMessage(usage))]
    for index, block in enumerate(items(value.get("content"))):
        events += [BlockStart(_block(fields(block)), index), BlockStop(index)]
    return [*events, MessageDelta(_ending(value), usage), Stop()]


def _kind_of(value: dict[str, Any]) -> str:
    """Return the type of an event that does not say it."""
    if "stop_reason" in fields(value.get("delta")):
        return "message_delta"
    kinds = {
        "content_block": "content_block_start",
        "delta": "content_block_delta",
        "message": "message_start",
        "error": "error",
    }
    return next((kind for name, kind in kinds.items() if name in value), "")


def _event(name: str, value: dict[str, Any]) -> Event | None:
    index = whole(value.get("index"))
    event: Event | None = None
    match name:
        case "message_start":
            event = Start(StartedMessage(_usage(fields(value.get("message")).get("usage"))))
        case "content_block_start":
            event = BlockStart(_block(fields(value.get("content_block"))), index)
        case "content_block_delta":
            event = BlockDelta(_delta(value.get("delta")), index)
        case "content_block_stop":
            event = BlockStop(index)
        case "message_delta":
            event = MessageDelta(_ending(fields(value.get("delta"))), _usage(value.get("usage")))
        case "message_stop":
            event = Stop()
        case "error":
            event = ErrorEvent(_broken(value.get("error")))
    return event


def _broken(error: Any) -> Broken:
    if not isinstance(error, dict):
        return Broken(message=text_of(error))
    return Broken(text_of(error.get("type")), text_of(error.get("message")))


def _block(value: dict[str, Any]) -> Block:
    given = value.get("input")
    return Block(
        type=text_of(value.get("type")) or _type_of(value),
        id=text_of(value.get("id")),
        name=text_of(value.get("name")),
        text=text_of(value.get("text")),
        thinking=text_of(value.get("thinking")),
        signature=text_of(value.get("signature")),
        data=text_of(value.get("data")),
        input=given if isinstance(given, dict) else None,
    )


def _type_of(value: dict[str, Any]) -> str:
    """Return the type of a block that does not say it."""
    for name, kind in (
        ("name", "tool_use"),
        ("thinking", "thinking"),
        ("data", "redacted_thinking"),
    ):
        if value.get(name) is not None:
            return kind
    return "text"


def _delta(value: Any) -> Delta:
    if not isinstance(value, dict):
        return Delta(text=text_of(value))
    return Delta(
        text=text_of(value.get("text")),
        thinking=text_of(value.get("thinking")),
        partial_json=json_text(value.get("partial_json")),
        signature=text_of(value.get("signature")),
    )


def _ending(value: dict[str, Any]) -> Ending:
    details = value.get("stop_details")
    return Ending(
        text_of(value.get("stop_reason")),
        StopDetails(text_of(details.get("category")), text_of(details.get("explanation")))
        if isinstance(details, dict)
        else None,
    )


def _usage(value: Any) -> EventUsage | None:
    if not isinstance(value, dict):
        return None
    writes = fields(value.get("cache_creation"))
    return EventUsage(
        input_tokens=whole(value.get("input_tokens")),
        cache_read_input_tokens=whole(value.get("cache_read_input_tokens")),
        cache_creation_input_tokens=whole(value.get("cache_creation_input_tokens")),
        cache_creation=CacheWrites(
            whole(writes.get("ephemeral_5m_input_tokens")),
            whole(writes.get("ephemeral_1h_input_tokens")),
        ),
        output_tokens=whole(value.get("output_tokens")),
    )
