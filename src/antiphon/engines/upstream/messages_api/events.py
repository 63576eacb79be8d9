"""The upstream's stream events, as far as Antiphon reads them; unknown keys are ignored."""

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from antiphon.engines.upstream.http import decode, read
from antiphon.wire.sse import Frame

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**31)]


class UpstreamEvent(msgspec.Struct, frozen=True, tag_field="type"):
    """One event."""


class MessageUsage(msgspec.Struct, frozen=True):
    output_tokens: Count | None = None


class CacheWrites(msgspec.Struct, frozen=True):
    ephemeral_5m_input_tokens: Count = 0
    ephemeral_1h_input_tokens: Count = 0


class PromptUsage(msgspec.Struct, frozen=True):
    """The tokens of the prompt: uncached, read from a cache, and written to one."""

    input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: CacheWrites | None = None


class StartedMessage(msgspec.Struct, frozen=True):
    usage: PromptUsage | None = None


class Start(UpstreamEvent, frozen=True, tag="message_start"):
    message: StartedMessage = StartedMessage()


class Block(msgspec.Struct, frozen=True):
    """A block at its start; `type` decides the types of its deltas."""

    type: str
    name: str | None = None
    text: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str = ""
    input: dict[str, Any] | None = None


class BlockStart(UpstreamEvent, frozen=True, tag="content_block_start"):
    index: int
    content_block: Block


class Delta(msgspec.Struct, frozen=True):
    """A piece of a block; `type` decides which of the fields it has."""

    type: str
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    signature: str = ""


class BlockDelta(UpstreamEvent, frozen=True, tag="content_block_delta"):
    index: int
    delta: Delta


class BlockStop(UpstreamEvent, frozen=True, tag="content_block_stop"):
    index: int


class StopDetails(msgspec.Struct, frozen=True):
    """The reason of a refusal."""

    category: str | None = None
    explanation: str | None = None


class Ending(msgspec.Struct, frozen=True):
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class MessageDelta(UpstreamEvent, frozen=True, tag="message_delta"):
    delta: Ending
    usage: MessageUsage | None = None


class Stop(UpstreamEvent, frozen=True, tag="message_stop"):
    pass


class Broken(msgspec.Struct, frozen=True):
    type: str = ""
    message: str = ""


class ErrorEvent(UpstreamEvent, frozen=True, tag="error"):
    error: Broken


Event: TypeAlias = Start | BlockStart | BlockDelta | BlockStop | MessageDelta | Stop | ErrorEvent


class Reader:
    """Decodes events, with decoders that are made once."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)

    def read(self, frame: Frame) -> Event | None:
        """Return the event of a frame, `None` for pings and unknown ones; raises `EngineError`."""
        name = frame.event if frame.event != "message" else decode(frame.data, Head).type
        return read(frame.data, self._events) if name in KNOWN else None


class Head(msgspec.Struct, frozen=True):
    """The type of an event without a name."""

    type: str = ""


KNOWN = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (Start, BlockStart, BlockDelta, BlockStop, MessageDelta, Stop, ErrorEvent)
)
