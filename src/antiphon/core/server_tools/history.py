"""Earlier calls of tools of the server, as calls and results that every engine knows.

On the wire the call and its result stand in one message of the assistant. Models know a result only
as what somebody else says, so the turn is cut there:

    assistant: text, server_tool_use, tool_search_tool_result, text
    ──► assistant: text, tool_use · user: tool_result · assistant: text

The server lets a model go on behind a result in the same way, so what was read then begins the
prompt in which the whole message comes back.
"""

from itertools import groupby
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from antiphon.core.prompt import Breakpoint, Prompt, Role, Turn
from antiphon.core.server_tools.searched import SearchedParam
from antiphon.wire.content import (
    SERVER_RESULTS,
    ContentParam,
    ServerToolUseParam,
    TextParam,
    ToolResultContent,
    ToolResultParam,
    ToolSearchErrorParam,
    ToolSearchResultParam,
    ToolSearchToolResultParam,
    ToolUseParam,
    WebFetchErrorParam,
    WebFetchResultParam,
    WebFetchToolResultParam,
    WebSearchErrorParam,
    WebSearchToolResultParam,
)

NOTHING_FOUND: Final = "No tools were found."
NO_RESULTS: Final = "Nothing was found."

_Place: TypeAlias = tuple[int, int]


def with_calls(prompt: Prompt) -> Prompt:
    """Return a prompt without blocks of tools of the server; breakpoints move with their blocks."""
    kinds = (ServerToolUseParam, *SERVER_RESULTS)
    if not any(isinstance(block, kinds) for turn in prompt.turns for block in turn.content):
        return prompt
    said: list[tuple[Role, ContentParam, _Place]] = []
    for number, turn in enumerate(prompt.turns):
        for index, block in enumerate(turn.content):
            role: Role = "user" if isinstance(block, SERVER_RESULTS) else turn.role
            said.append((role, as_call(block), (number, index)))
    turns: list[Turn] = []
    places: dict[_Place, _Place] = {}
    for role, run in groupby(said, key=lambda one: one[0]):
        blocks = list(run)
        places |= {place: (len(turns), index) for index, (_, _, place) in enumerate(blocks)}
        turns.append(Turn(role, tuple(block for _, block, _ in blocks)))
    moved = tuple(_moved(mark, places) for mark in prompt.breakpoints)
    sealed = any(
        isinstance(block, WebSearchToolResultParam)
        for turn in prompt.turns
        for block in turn.content
    )
    return replace(prompt, turns=tuple(turns), breakpoints=moved, sealed=sealed)


def as_call(block: ContentParam) -> ContentParam:
    """Return a block of a tool of the server as the call, or the result, that it is for a model."""
    match block:
        case ServerToolUseParam(id=call, name=name, input=given):
            return ToolUseParam(id=call, name=name, input=given)
        case ToolSearchToolResultParam(tool_use_id=call, content=ToolSearchErrorParam() as error):
            why = error.error_message or error.error_code
            return ToolResultParam(tool_use_id=call, content=why, is_error=True)
        case ToolSearchToolResultParam(
            tool_use_id=call, content=ToolSearchResultParam(tool_references=found)
        ):
            named: list[ToolResultContent] = [*found]
            content = named or [TextParam(text=NOTHING_FOUND)]
            return ToolResultParam(tool_use_id=call, content=content)
        case WebSearchToolResultParam() | WebFetchToolResultParam():
            return _of_web(block)
    return block


def _of_web(block: WebSearchToolResultParam | WebFetchToolResultParam) -> ToolResultParam:
    content: Any
    match block.content:
        case WebSearchErrorParam(error_code=code) | WebFetchErrorParam(error_code=code):
            return ToolResultParam(tool_use_id=block.tool_use_id, content=code, is_error=True)
        case WebFetchResultParam(url=url, content=document):
            content = [TextParam(text=f"URL: {url}"), document]
        case results:
            content = [
                SearchedParam(
                    source=one.url,
                    title=one.title,
                    content=[],
                    sealed=one.encrypted_content,
                    age=one.page_age,
                )
                for one in results
            ] or [TextParam(text=NO_RESULTS)]
    return ToolResultParam(tool_use_id=block.tool_use_id, content=content)


def _moved(mark: Breakpoint, places: dict[_Place, _Place]) -> Breakpoint:
    if mark.turn is None:
        return mark
    turn, index = places[mark.turn, mark.path[0]]
    return replace(mark, turn=turn, path=(index, *mark.path[1:]))
