"""The rounds of one answer with tools of the server.

A model says something until it waits for such tools; a prompt with all that and with what came of
them lets it go on.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from antiphon.core.late_tools import NAMED, at_once, offered_at_end
from antiphon.core.prompt import (
    EngineEvent,
    Prompt,
    RedactedThought,
    TextChunk,
    ThinkingChunk,
    ThinkingSignature,
    Tool,
    ToolCallJson,
    ToolCallStart,
    ToolChoice,
    Turn,
)
from antiphon.core.server_tools.history import as_call
from antiphon.wire.content import (
    ContentParam,
    RedactedThinkingParam,
    TextParam,
    ThinkingParam,
    ToolReferenceParam,
    ToolResultParam,
    ToolSearchToolResultParam,
    ToolUseParam,
    WebFetchToolResultParam,
    WebSearchToolResultParam,
)
from antiphon.wire.partial_json import completed
from antiphon.wire.server_blocks import ServerResultBlock, ToolSearchResultBlock

_SentBack: TypeAlias = (
    ToolSearchToolResultParam | WebSearchToolResultParam | WebFetchToolResultParam
)


class ServerCall(msgspec.Struct, frozen=True):
    """A call of a tool of the server. `input` is `None` if it was cut off, or is no object."""

    id: str
    name: str
    input: dict[str, Any] | None


class Round:
    """What a model says in one round, event by event."""

    def __init__(self) -> None:
        self.calls_client = False
        """Whether it has called a tool of the caller."""
        self.calls: list[ServerCall] = []
        self._blocks: list[ContentParam] = []
        self._pieces: list[str] = []
        self._open: type[EngineEvent] | None = None
        self._call = ("", "")
        self._is_servers = False

    def add(self, event: EngineEvent, server_id: str | None = None) -> None:
        """Take the next event. `server_id` is the id of a call of a tool of the server."""
        match event:
            case TextChunk(text=text) | ThinkingChunk(text=text):
                if self._open is not type(event):
                    self._close()
                    self._open = type(event)
                self._pieces.append(text)
            case ToolCallJson(text=text):
                self._pieces.append(text)
            case ToolCallStart(name=name):
                self._close()
                self._open = ToolCallStart
                self._call = (server_id or "", name)
                self._is_servers = server_id is not None
                self.calls_client = self.calls_client or not self._is_servers
            case ThinkingSignature(proof=proof):
                self._close(proof)
            case RedactedThought(proof=proof):
                self._close()
                self._blocks.append(RedactedThinkingParam(data=proof))

    def end(self) -> Sequence[ContentParam]:
        """Return all that was said, as it comes back in a prompt; no event may follow."""
        self._close()
        return self._blocks

    def _close(self, proof: str = "") -> None:
        text = "".join(self._pieces)
        self._pieces.clear()
        opened, self._open = self._open, None
        if opened is ToolCallStart:
            self._end_call(text)
        elif opened is ThinkingChunk and (text or proof):
            self._blocks.append(ThinkingParam(thinking=text, signature=proof))
        elif opened is TextChunk and text:
            self._blocks.append(TextParam(text=text))
        elif proof:
            self._blocks.append(ThinkingParam(thinking="", signature=proof))

    def _end_call(self, text: str) -> None:
        call, name = self._call
        given = _object(text)
        if self._is_servers:
            self.calls.append(ServerCall(call, name, given))
        shown = given if given is not None else _object(completed(text))
        self._blocks.append(ToolUseParam(id=call, name=name, input=shown or {}))


def results_turn(results: Sequence[ServerResultBlock], *, loads_tools: bool) -> Turn:
    """Return the turn that results are in a prompt, before its documents become text."""
    return Turn("user", tuple(_as_result(one, loads_tools=loads_tools) for one in results))


def next_round(  # noqa: PLR0913 - what was said, what came of it, and how it goes on
    prompt: Prompt,
    said: Sequence[ContentParam],
    results: Sequence[ServerResultBlock],
    came: Turn,
    *,
    spent: int,
    loads_tools: bool,
) -> Prompt:
    """Return the prompt by which a model goes on behind results of tools of the server.

    `came` is the turn of the results, as engines read it, and `spent` are the tokens of this round.
    An engine with `loads_tools` describes a tool where it was found; others get it in front of all
    turns. A choice that forces a call was met.
    """
    turns = (*_continued(prompt.turns, said), came)
    choice = prompt.tool_choice
    if choice.mode in ("any", "tool"):
        choice = ToolChoice(parallel=choice.parallel)
    following = replace(
        prompt, turns=turns, max_tokens=prompt.max_tokens - spent, tool_choice=choice
    )
    if not prompt.searchable:
        return following
    if loads_tools:
        return replace(following, offered=offered_at_end(following))
    return replace(following, tools=(*prompt.tools, *_found(prompt, results)))


def _continued(turns: Sequence[Turn], said: Sequence[ContentParam]) -> tuple[Turn, ...]:
    """Add what a model has said; behind a prefill it is a part of the same turn."""
    last = turns[-1]
    if last.role != "assistant":
        return (*turns, Turn("assistant", tuple(said)))
    before, first = last.content[-1], said[0]
    content = [*last.content, *said]
    if isinstance(before, TextParam) and isinstance(first, TextParam):
        # One text, of which the caller wrote the beginning.
        whole = TextParam(text=before.text + first.text)
        content = [*last.content[:-1], whole, *said[1:]]
    return (*turns[:-1], Turn("assistant", tuple(content)))


def _as_result(result: ServerResultBlock, *, loads_tools: bool) -> ContentParam:
    """Return a result as it comes back in a prompt."""
    block = as_call(msgspec.convert(msgspec.to_builtins(result), _SentBack))
    if loads_tools or not isinstance(block, ToolResultParam) or isinstance(block.content, str):
        return block
    content = [
        TextParam(text=NAMED.format(name=one.tool_name))
        if isinstance(one, ToolReferenceParam)
        else one
        for one in block.content or ()
    ]
    return replace(block, content=content)


def _found(prompt: Prompt, results: Sequence[ServerResultBlock]) -> list[Tool]:
    """Return the tools that results name and that the prompt does not have in front yet."""
    there = {tool.name for tool in prompt.tools}
    names = {
        one.tool_name
        for result in results
        if isinstance(result.content, ToolSearchResultBlock)
        for one in result.content.tool_references
    }
    found = [tool for tool in prompt.searchable if tool.name in names - there]
    return list(at_once(found))


def _object(text: str) -> dict[str, Any] | None:
    """Return the object that JSON is, `None` for anything else; no text is an empty one."""
    try:
        value = msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError):
        # A model, or a server that answers for one, may nest what nobody could walk.
        return None
    return value if isinstance(value, dict) else None
