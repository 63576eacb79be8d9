"""The events that `messages.stream` adds to those that come, for whoever shows an answer.

What they tell of the answer so far is made when it is asked for: a program that reads only pieces
pays for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from antiphon.sdk.types.citations import TextCitation
from antiphon.sdk.types.events import (
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    UnknownEvent,
)
from antiphon.wire.partial_json import completed

if TYPE_CHECKING:
    from antiphon.sdk.fold import OpenBlock
    from antiphon.sdk.types.blocks import ContentBlock
    from antiphon.sdk.types.message import Message


def partial_json(text: str) -> Any:
    """Return what is certain of JSON that is cut; `None` if nothing is."""
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(completed(text))
    except msgspec.DecodeError:
        return None


class TextEvent:
    """A piece of text. `snapshot` is the text of its block up to here."""

    __slots__ = ("_block", "_count", "text")
    type: Literal["text"] = "text"

    def __init__(self, text: str, block: OpenBlock) -> None:
        self.text, self._block, self._count = text, block, block.count

    @property
    def snapshot(self) -> str:
        return self._block.text(self._count)

    def parsed_snapshot(self) -> Any:
        """Return what is certain of a structured output up to here; `None` if nothing is."""
        return partial_json(self.snapshot)

    def __repr__(self) -> str:
        return f"TextEvent(text={self.text!r})"


class ThinkingEvent:
    """A piece of thinking. `snapshot` is the thinking of its block up to here."""

    __slots__ = ("_block", "_count", "thinking")
    type: Literal["thinking"] = "thinking"

    def __init__(self, thinking: str, block: OpenBlock) -> None:
        self.thinking, self._block, self._count = thinking, block, block.count

    @property
    def snapshot(self) -> str:
        return self._block.text(self._count)

    def __repr__(self) -> str:
        return f"ThinkingEvent(thinking={self.thinking!r})"


class InputJsonEvent:
    """A piece of a call's input. `snapshot` is what is certain of the input up to here."""

    __slots__ = ("_block", "_count", "partial_json")
    type: Literal["input_json"] = "input_json"

    def __init__(self, partial_json: str, block: OpenBlock) -> None:
        self.partial_json, self._block, self._count = partial_json, block, block.count

    @property
    def snapshot(self) -> dict[str, Any]:
        return self._block.input(self._count)

    def __repr__(self) -> str:
        return f"InputJsonEvent(partial_json={self.partial_json!r})"


class SignatureEvent:
    """The signature of a thinking block."""

    __slots__ = ("signature",)
    type: Literal["signature"] = "signature"

    def __init__(self, signature: str) -> None:
        self.signature = signature

    def __repr__(self) -> str:
        return f"SignatureEvent(signature={self.signature!r})"


class CitationEvent:
    """A citation. `snapshot` are those of its block up to here."""

    __slots__ = ("_block", "_count", "citation")
    type: Literal["citation"] = "citation"

    def __init__(self, citation: TextCitation, block: OpenBlock) -> None:
        self.citation, self._block, self._count = citation, block, len(block.citations)

    @property
    def snapshot(self) -> list[TextCitation]:
        return self._block.citations[: self._count]

    def __repr__(self) -> str:
        return f"CitationEvent(citation={self.citation!r})"


class ContentBlockStopEvent:
    """A block has ended; here it is."""

    __slots__ = ("content_block", "index")
    type: Literal["content_block_stop"] = "content_block_stop"

    def __init__(self, index: int, content_block: ContentBlock) -> None:
        self.index, self.content_block = index, content_block

    def __repr__(self) -> str:
        return f"ContentBlockStopEvent(index={self.index}, content_block={self.content_block!r})"


class MessageStopEvent:
    """The message has ended; here it is."""

    __slots__ = ("message",)
    type: Literal["message_stop"] = "message_stop"

    def __init__(self, message: Message) -> None:
        self.message = message

    def __repr__(self) -> str:
        return f"MessageStopEvent(message={self.message!r})"


MessageStreamEvent: TypeAlias = (
    RawMessageStartEvent
    | RawContentBlockStartEvent
    | RawContentBlockDeltaEvent
    | TextEvent
    | ThinkingEvent
    | InputJsonEvent
    | SignatureEvent
    | CitationEvent
    | ContentBlockStopEvent
    | RawMessageDeltaEvent
    | MessageStopEvent
    | UnknownEvent
)
"""What iterating over `messages.stream` gives."""
