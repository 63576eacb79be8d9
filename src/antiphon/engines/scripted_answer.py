"""What a scripted model says, as events: its thought, its text and its calls."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from antiphon.core.prompt import (
    EngineEvent,
    Prompt,
    TextChunk,
    ThinkingChunk,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.engines.images import without_images
from antiphon.schemas.example import example
from antiphon.wire.content import ToolResultParam, ToolUseParam


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A call of a tool, and its input."""

    name: Annotated[str, Meta(min_length=1)]
    input: dict[str, Any] = {}


def said_or_required(
    prompt: Prompt, said: str, calls: tuple[ScriptedCall, ...]
) -> tuple[str, tuple[ScriptedCall, ...]]:
    """Say what the script says, unless the caller may count on something else."""
    if not prompt.tools and prompt.output_schema is None:
        return said, ()
    choice = prompt.tool_choice
    known = {tool.name: tool for tool in prompt.tools}
    if choice.mode == "none":
        calls = ()
    calls = tuple(call for call in calls if call.name in known)
    if choice.mode in ("any", "tool") and known:
        calls = tuple(call for call in calls if choice.name in (None, call.name))
        tool = known.get(choice.name or "") or prompt.tools[0]
        made = ScriptedCall(name=tool.name, input=example(tool.input_schema) or {})
        said, calls = "", calls or (made,)
    if not choice.parallel or choice.mode == "tool":
        calls = calls[:1]
    if prompt.output_schema is not None and not calls:
        said = msgspec.json.encode(example(prompt.output_schema)).decode()
    return said, calls


def events_of(
    thought: tuple[str, ...], pieces: tuple[str, ...], calls: tuple[ScriptedCall, ...]
) -> Iterator[EngineEvent]:
    """Make an event of every token."""
    for piece in thought:
        yield ThinkingChunk(piece, 1)
    for piece in pieces:
        yield TextChunk(piece, 1)
    for call in calls:
        yield ToolCallStart(call.name, 1)
        text = msgspec.json.encode(call.input).decode()
        for start in range(0, len(text), 12):
            yield ToolCallJson(text[start : start + 12], 1)


def beside_text(prompt: Prompt) -> str:
    """Spell out what is read beside the texts of turns: tools, a schema, calls and results."""
    blocks = [
        block
        for turn in prompt.turns
        for block in turn.content
        if isinstance(block, ToolUseParam | ToolResultParam)
    ]
    if not blocks and not prompt.tools and prompt.output_schema is None:
        return ""
    blocks = without_images(blocks)
    told = [part for part in (*prompt.tools, prompt.output_schema, *blocks) if part is not None]
    return msgspec.json.encode(told).decode()
