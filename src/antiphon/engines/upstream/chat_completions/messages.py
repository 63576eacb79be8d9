"""Turns as chat messages, in their order.

A turn becomes several messages if this vocabulary requires it: results of tools are messages of
their own, and blocks that do not fit into one message follow in the next. Documents and search
results have become text before; any other block is refused. This vocabulary has no breakpoints of
a prompt cache: they are left out, and a server caches by itself or not at all.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from antiphon.core.blocks import BLOCK_SEPARATOR, inner_blocks
from antiphon.engines.base import EngineError, EngineErrorKind, Turn
from antiphon.wire.content import (
    Base64ImageSource,
    BlockParam,
    ContentParam,
    ImageParam,
    RedactedThinkingParam,
    TextParam,
    ThinkingParam,
    ToolResultParam,
    ToolUseParam,
    UrlSource,
)

Message: TypeAlias = dict[str, Any]
Part: TypeAlias = dict[str, Any]

FAILED_RESULT: Final = "Error: "


def messages_of(turns: Iterable[Turn], *, thinking: bool = False) -> list[Message]:
    """Return a conversation as messages; `thinking` includes earlier thinking of the model."""
    messages: list[Message] = []
    for turn in turns:
        if turn.role == "assistant":
            messages += _assistant(turn.content, thinking=thinking)
        else:
            messages += _other(turn)
    return messages


def _assistant(blocks: Sequence[ContentParam], *, thinking: bool) -> Iterator[Message]:
    texts = [block.text for block in blocks if isinstance(block, TextParam)]
    calls = [_call(block) for block in blocks if isinstance(block, ToolUseParam)]
    thoughts = [block.thinking for block in blocks if isinstance(block, ThinkingParam)]
    known = TextParam | ToolUseParam | ThinkingParam | RedactedThinkingParam
    for block in blocks:
        if not isinstance(block, known):
            raise _unsupported(block)
    message: Message = {"role": "assistant", "content": BLOCK_SEPARATOR.join(texts)}
    if thinking and thoughts:
        message["reasoning_content"] = BLOCK_SEPARATOR.join(thoughts)
    if calls:
        message["tool_calls"] = calls
        message["content"] = message["content"] or None
    if texts or calls or "reasoning_content" in message:
        yield message


def _call(block: ToolUseParam) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.input).decode()
    function = {"name": block.name, "arguments": arguments}
    return {"id": block.id, "type": "function", "function": function}


def _other(turn: Turn) -> Iterator[Message]:
    """Yield the messages of a user or system turn, cut at the results of tools."""
    parts: list[Part] = []
    seen: list[Part] = []  # images of results, which a tool's message cannot hold
    for block in turn.content:
        if isinstance(block, ToolResultParam):
            yield from _message(turn.role, parts)
            parts = []
            text, images = _result(block)
            seen += images
            yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": text}
        else:
            parts += [*seen, *_parts(block)]
            seen = []
    yield from _message(turn.role, seen + parts)


def _message(role: str, parts: Sequence[Part]) -> Iterator[Message]:
    if not parts:
        return
    if all(part["type"] == "text" for part in parts):
        # Some templates take no list.
        yield {"role": role, "content": BLOCK_SEPARATOR.join(part["text"] for part in parts)}
    else:
        yield {"role": role, "content": list(parts)}


def _result(block: ToolResultParam) -> tuple[str, list[Part]]:
    parts = [part for inner in inner_blocks(block) for part in _parts(inner)]
    text = BLOCK_SEPARATOR.join(part["text"] for part in parts if part["type"] == "text")
    mark = FAILED_RESULT if block.is_error else ""
    return mark + text, [part for part in parts if part["type"] != "text"]


def _parts(block: BlockParam) -> list[Part]:
    match block:
        case TextParam(text=text):
            return [_text(text)]
        case ImageParam():
            return [_image(block)]
    raise _unsupported(block)


def _image(block: ImageParam) -> Part:
    match block.source:
        case Base64ImageSource(media_type=kind, data=data):
            url = f"data:{kind};base64,{data}"
        case UrlSource(url=address):
            url = address
        case _:
            raise _unsupported(block)
    return {"type": "image_url", "image_url": {"url": url}}


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _unsupported(block: BlockParam) -> EngineError:
    kind = type(block).__struct_config__.tag
    message = f"This model does not take {kind} blocks of this kind in this place."
    return EngineError(EngineErrorKind.UNSUPPORTED, message)
