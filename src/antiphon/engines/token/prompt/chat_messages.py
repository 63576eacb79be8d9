"""Turns as the messages that templates take: roles, texts, reasoning, and calls and results."""

from collections.abc import Iterator, Sequence

import msgspec

from antiphon.core.blocks import BLOCK_SEPARATOR, UnknownBlockError
from antiphon.core.prompt import Turn
from antiphon.engines.token.prompt.text_parts import BlockPosition, TextPart, appended
from antiphon.engines.token.prompt.tool_prompt import block_parts, result_parts
from antiphon.wire.content import (
    ContentParam,
    RedactedThinkingParam,
    TextParam,
    ThinkingParam,
    ToolResultParam,
    ToolUseParam,
)

NOTHING = (TextPart(""),)


class PlacedCall(msgspec.Struct, frozen=True):
    """A call of a tool, and the position of its block."""

    call: ToolUseParam
    position: BlockPosition


class ChatMessage(msgspec.Struct, frozen=True):
    """A turn, or a part of one. It has at least one text part, which may be empty.

    A result has the identifier of its call, and the name of the tool, if the call is known.
    """

    role: str
    parts: tuple[TextPart, ...]
    calls: tuple[PlacedCall, ...] = ()
    reasoning: str = ""
    call_id: str = ""
    tool: str = ""


class _PlacedBlock(msgspec.Struct, frozen=True):
    block: ContentParam
    position: BlockPosition


def chat_messages(
    turns: Sequence[Turn], tool_prompt: Sequence[TextPart] = (), *, native: bool
) -> list[ChatMessage]:
    """Return turns as messages, with `tool_prompt` before the caller's system prompt.

    `native` keeps calls and results apart, for the template to write; else they are text. Raises
    `UnknownBlockError` for a block that has no form for a token machine.
    """
    messages = [
        message
        for index, turn in enumerate(turns)
        for reasoning, blocks in _split_at_reasoning(index, turn.content)
        for message in _messages(turn.role, blocks, reasoning, native=native)
    ]
    if native:
        messages = _with_names(messages)
    if not tool_prompt:
        return messages
    if messages and messages[0].role == "system":
        parts = appended(tuple(tool_prompt), messages[0].parts)
        return [msgspec.structs.replace(messages[0], parts=parts), *messages[1:]]
    return [ChatMessage("system", tuple(tool_prompt)), *messages]


def _with_names(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return messages with the name of the tool in each result."""
    names: dict[str, str] = {}
    named: list[ChatMessage] = []
    for message in messages:
        names.update((placed.call.id, placed.call.name) for placed in message.calls)
        name = names.get(message.call_id, "")
        named.append(msgspec.structs.replace(message, tool=name) if name else message)
    return named


def _split_at_reasoning(
    turn: int, blocks: Sequence[ContentParam]
) -> Iterator[tuple[str, list[_PlacedBlock]]]:
    """Cut a turn wherever reasoning begins; yield each reasoning with the blocks behind it."""
    reasoning: list[str] = []
    content: list[_PlacedBlock] = []
    for index, block in enumerate(blocks):
        if not isinstance(block, ThinkingParam | RedactedThinkingParam):
            content.append(_PlacedBlock(block, (turn, (index,))))
        elif isinstance(block, ThinkingParam) and block.thinking:
            if content:
                yield BLOCK_SEPARATOR.join(reasoning), content
                reasoning, content = [], []
            reasoning.append(block.thinking)
    yield BLOCK_SEPARATOR.join(reasoning), content


def _messages(
    role: str, blocks: Sequence[_PlacedBlock], reasoning: str, *, native: bool
) -> Iterator[ChatMessage]:
    known = ToolUseParam | ToolResultParam
    if not native or not any(isinstance(placed.block, known) for placed in blocks):
        parts = [part for placed in blocks for part in block_parts(placed.block, placed.position)]
        yield ChatMessage(role, tuple(parts) or NOTHING, reasoning=reasoning)
        return
    for message in _native_messages(role, blocks):
        yield msgspec.structs.replace(message, reasoning=reasoning)
        reasoning = ""


def _native_messages(role: str, blocks: Sequence[_PlacedBlock]) -> Iterator[ChatMessage]:
    texts: list[TextPart] = []
    calls: list[PlacedCall] = []
    for placed in blocks:
        match placed.block:
            case ToolUseParam() as call:
                calls.append(PlacedCall(call, placed.position))
                continue
            # To keep the order, a block behind a call or a result begins another message.
            case _ if calls or (texts and isinstance(placed.block, ToolResultParam)):
                yield ChatMessage(role, tuple(texts) or NOTHING, tuple(calls))
                texts, calls = [], []
        match placed.block:
            case ToolResultParam() as result:
                parts = tuple(result_parts(result, placed.position))
                yield ChatMessage("tool", parts, call_id=result.tool_use_id)
            case TextParam(text=text):
                texts.append(TextPart(text, (placed.position,)))
            case unknown:
                raise UnknownBlockError(unknown)
    if texts or calls:
        yield ChatMessage(role, tuple(texts) or NOTHING, tuple(calls))
