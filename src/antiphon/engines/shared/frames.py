"""What the processes of a server and the host of their engines say to each other.

    a process                       the engine host
    Watch(model, number) ────────►  Hello, and Status whenever it changes
    Call(model, number, prompt) ─►  kept for as long as the connection is
    Ask(…) ──────────────────────►  Sized, or an event after the other
                                    Failed instead of any of them

A connection is for one prompt, so that the host renders and tokenizes it once, and the end of the
connection is the end of its work. A frame is a length of four bytes and MessagePack.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from antiphon.core.prompt import (
    Capabilities,
    Finished,
    Prompt,
    PromptSize,
    RedactedThought,
    Started,
    TextChunk,
    ThinkingChunk,
    ThinkingSignature,
    Tool,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.engines.base import CallFormat, EngineError, EngineErrorKind, SnapshotReport
from antiphon.engines.states import EngineState
from antiphon.wire.decoding import decode_member

LENGTH_BYTES: Final = 4
MOST_BYTES: Final = 1 << 30
"""The largest frame: a prompt, whose request was bounded before."""


Question: TypeAlias = Literal["count", "measure", "generate"]


class Watch(msgspec.Struct, frozen=True, tag=True):
    """The first frame of a connection by which a process learns how an engine is.

    A process of another release is refused, as prompts and events may have changed.
    """

    model: str
    number: int
    release: str


class Call(msgspec.Struct, frozen=True, tag=True):
    """The first frame of a connection for one prompt, and the engine that is meant.

    One of another release is refused before its prompt is read.
    """

    model: str
    number: int
    prompt: msgspec.Raw
    release: str = ""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """What is asked of the prompt of a connection; one question after the other."""

    what: Question


class Hello(msgspec.Struct, frozen=True, tag=True):
    """What is known of an engine once it is open."""

    capabilities: Capabilities
    call_format: CallFormat | None = None


class Status(msgspec.Struct, frozen=True, tag=True):
    """How an engine is now."""

    ready: bool
    state: EngineState | None = None
    snapshots: SnapshotReport | None = None


class Sized(msgspec.Struct, frozen=True, tag=True):
    """The size of a prompt; without its breakpoints where only its tokens were asked for."""

    size: PromptSize


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An `EngineError`."""

    kind: EngineErrorKind
    message: str
    retry_after_s: float | None = None

    def error(self) -> EngineError:
        return EngineError(self.kind, self.message, retry_after_s=self.retry_after_s)


class Event(msgspec.Struct, frozen=True, tag=True):
    """An event of an answer: its class by name, and its fields."""

    kind: str
    event: msgspec.Raw


Reply: TypeAlias = Hello | Status | Sized | Failed | Event
Shared: TypeAlias = (
    Started
    | TextChunk
    | ThinkingChunk
    | ThinkingSignature
    | RedactedThought
    | ToolCallStart
    | ToolCallJson
    | Finished
)
"""The events that engines yield; the others of `EngineEvent` are made of them by the service."""

_EVENTS: Final[Mapping[str, msgspec.msgpack.Decoder[Shared]]] = {
    kind.__name__: msgspec.msgpack.Decoder(kind)
    for kind in (
        Started,
        TextChunk,
        ThinkingChunk,
        ThinkingSignature,
        RedactedThought,
        ToolCallStart,
        ToolCallJson,
        Finished,
    )
}
_QUESTIONS: Final = msgspec.msgpack.Decoder(Watch | Call | Ask)
_REPLIES: Final = msgspec.msgpack.Decoder(Reply)
# Tools that a message defines are decoded as those of a request.
_PROMPTS: Final = msgspec.msgpack.Decoder(Prompt, dec_hook=decode_member)
_PACKED: Final = msgspec.msgpack.Encoder()


def frame(value: Any) -> bytes:
    """Return a frame."""
    body = _PACKED.encode(value)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def event_frame(event: object) -> bytes:
    """Return the frame of an event of an answer."""
    return frame(Event(type(event).__name__, msgspec.Raw(_PACKED.encode(event))))


def event_of(told: Event) -> Shared:
    """Return an event. Raises `msgspec.DecodeError` for one that this release does not know."""
    decoder = _EVENTS.get(told.kind)
    if decoder is None:
        raise msgspec.DecodeError(f"there is no event {told.kind!r}")
    return decoder.decode(told.event)


def packed_prompt(prompt: Prompt) -> msgspec.Raw:
    """Return a prompt for another process. What it can be parked by stays here."""
    return msgspec.Raw(_PACKED.encode(replace(prompt, parking=None)))


def unpacked_prompt(packed: bytes) -> Prompt:
    """Return a prompt of another process. Raises `msgspec.DecodeError`.

    Tools that were the same one are the same one again: errors find their paths by that.
    """
    prompt = _PROMPTS.decode(packed)
    if prompt.offered is None and not prompt.searchable:
        return prompt
    declared = {tool.name: tool for tool in prompt.tools}

    def same(tool: Tool) -> Tool:
        found = declared.get(tool.name)
        return found if found == tool and found is not None else tool

    offered = None if prompt.offered is None else tuple(map(same, prompt.offered))
    return replace(prompt, offered=offered, searchable=tuple(map(same, prompt.searchable)))


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the body of the next frame; `None` at the end of the connection."""
    try:
        size = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
        return await reader.readexactly(size) if size <= MOST_BYTES else None
    except (asyncio.IncompleteReadError, OSError):
        return None


async def read_question(reader: asyncio.StreamReader) -> Watch | Call | Ask | None:
    """Return the next question of a process; `None` at its end. Raises `msgspec.DecodeError`."""
    body = await read_frame(reader)
    return None if body is None else _QUESTIONS.decode(body)


async def read_reply(reader: asyncio.StreamReader) -> Reply | None:
    """Return the next reply of the host; `None` at its end. Raises `msgspec.DecodeError`."""
    body = await read_frame(reader)
    return None if body is None else _REPLIES.decode(body)
