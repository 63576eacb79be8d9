"""Turns as templates know them: roles, texts, thoughts, and where there are, calls and results."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from antiphon.core.prompt import Turn
from antiphon.engines.token.prompt.tool_prompt import BLOCK_SEPARATOR, result_text, spoken
from antiphon.wire.content import (
    ContentParam,
    RedactedThinkingParam,
    TextParam,
    ThinkingParam,
    ToolResultParam,
    ToolUseParam,
)


class ChatMessage(msgspec.Struct, frozen=True):
    """A turn, or a part of one: a role, and what it says, after what it thought."""

    role: str
    texts: tuple[str, ...]
    calls: tuple[ToolUseParam, ...] = ()
    thought: str = ""


def chat_messages(
    turns: Sequence[Turn], preface: Sequence[str], *, native: bool
) -> list[ChatMessage]:
    """Have turns spoken, with `preface` before the caller's system prompt.

    `native` keeps calls and results apart, for the template to write; else they are text.
    """
    said = [
        voice
        for turn in turns
        for thought, content in _thoughts(turn.content)
        for voice in _said(turn.role, content, thought, native=native)
    ]
    if not preface:
        return said
    if said and said[0].role == "system":
        return [ChatMessage("system", (*preface, *said[0].texts)), *said[1:]]
    return [ChatMessage("system", tuple(preface)), *said]


def _thoughts(blocks: Sequence[ContentParam]) -> Iterator[tuple[str, list[ContentParam]]]:
    """Cut a turn where it begins to think anew: what it thought, and what it said then."""
    thoughts: list[str] = []
    content: list[ContentParam] = []
    for block in blocks:
        if not isinstance(block, ThinkingParam | RedactedThinkingParam):
            content.append(block)
        elif isinstance(block, ThinkingParam) and block.thinking:
            if content:
                yield BLOCK_SEPARATOR.join(thoughts), content
                thoughts, content = [], []
            thoughts.append(block.thinking)
    yield BLOCK_SEPARATOR.join(thoughts), content


def _said(
    role: str, blocks: Sequence[ContentParam], thought: str, *, native: bool
) -> Iterator[ChatMessage]:
    known = ToolUseParam | ToolResultParam
    if not native or not any(isinstance(block, known) for block in blocks):
        yield ChatMessage(role, (spoken(blocks),), thought=thought)
        return
    for voice in _parts(role, blocks):
        yield msgspec.structs.replace(voice, thought=thought)
        thought = ""


def _parts(role: str, blocks: Sequence[ContentParam]) -> Iterator[ChatMessage]:
    texts: list[str] = []
    calls: list[ToolUseParam] = []
    for block in blocks:
        if isinstance(block, ToolUseParam):
            calls.append(block)
        # The order is kept: what stands behind a call or a result is another message.
        elif calls or (texts and isinstance(block, ToolResultParam)):
            yield ChatMessage(role, (BLOCK_SEPARATOR.join(texts),), tuple(calls))
            texts, calls = [], []
        if isinstance(block, ToolResultParam):
            yield ChatMessage("tool", (result_text(block),))
        elif isinstance(block, TextParam):
            texts.append(block.text)
    if texts or calls:
        yield ChatMessage(role, (BLOCK_SEPARATOR.join(texts),), tuple(calls))


def expressions(said: Sequence[ChatMessage]) -> Iterator[list[ChatMessage]]:
    """Say the same in the same order in other ways, the truest first, none twice.

    Some templates take one call in a message, and nothing beside it; some take no thoughts.
    """
    seen: list[list[ChatMessage]] = []
    alone = [part for voice in said for part in _alone(voice)]
    thoughtless = [msgspec.structs.replace(voice, thought="") for voice in said]
    for voices_ in (said, alone, thoughtless):
        for system_until in (len(voices_), 1, 0):
            way = _system_until(voices_, system_until)
            if way not in seen:
                seen.append(way)
                yield way


def _system_until(said: Sequence[ChatMessage], place: int) -> list[ChatMessage]:
    # As they stand, turns are left apart; turns whose role was changed join their neighbours.
    if place == len(said):
        return list(said)
    rest = (ChatMessage("user", v.texts) if v.role == "system" else v for v in said[place:])
    return _joined([*said[:place], *rest])


def _alone(voice: ChatMessage) -> Iterator[ChatMessage]:
    if not voice.calls:
        yield voice
        return
    thought = voice.thought
    if any(voice.texts):
        yield ChatMessage(voice.role, voice.texts, thought=thought)
        thought = ""
    for call in voice.calls:
        yield ChatMessage(voice.role, ("",), (call,), thought)
        thought = ""


def _joined(said: Iterable[ChatMessage]) -> list[ChatMessage]:
    joined: list[ChatMessage] = []
    for voice in said:
        before = joined[-1] if joined else None
        alike = before is not None and before.role == voice.role != "tool" and not voice.thought
        if before is not None and alike and not (before.calls or voice.calls):
            joined[-1] = msgspec.structs.replace(before, texts=before.texts + voice.texts)
        else:
            joined.append(voice)
    return joined
