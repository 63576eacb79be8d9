"""Blocks of an answer about tools that this server runs: the model's call, and what came of it.

A result is complete in the event that starts it; no delta follows. What callers send back has
classes of its own in `content`.
"""

from typing import Any, Literal, TypeAlias

from antiphon.wire.base import AnswerStruct

ToolSearchErrorCode: TypeAlias = Literal[
    "invalid_tool_input", "unavailable", "too_many_requests", "execution_time_exceeded"
]


class DirectCaller(AnswerStruct, kw_only=True, frozen=True):
    """The caller of a tool: the model itself."""

    type: Literal["direct"] = "direct"


class ServerToolUseBlock(
    AnswerStruct, tag_field="type", tag="server_tool_use", kw_only=True, frozen=True
):
    """A call of a tool that this server runs. Nobody returns a result for it."""

    id: str
    name: str
    input: dict[str, Any]
    caller: DirectCaller = DirectCaller()


class ToolReferenceBlock(
    AnswerStruct, tag_field="type", tag="tool_reference", kw_only=True, frozen=True
):
    """A tool that a search has found."""

    tool_name: str


class ToolSearchResultBlock(
    AnswerStruct,
    tag_field="type",
    tag="tool_search_tool_search_result",
    kw_only=True,
    frozen=True,
):
    """What a search of tools has found; nothing is no error."""

    tool_references: tuple[ToolReferenceBlock, ...]


class ToolSearchErrorBlock(
    AnswerStruct,
    tag_field="type",
    tag="tool_search_tool_result_error",
    kw_only=True,
    frozen=True,
):
    """Why a search of tools did not run. The request is answered all the same."""

    error_code: ToolSearchErrorCode
    error_message: str | None = None


class ToolSearchToolResultBlock(
    AnswerStruct, tag_field="type", tag="tool_search_tool_result", kw_only=True, frozen=True
):
    """The result of a search of tools."""

    tool_use_id: str
    content: ToolSearchResultBlock | ToolSearchErrorBlock


ServerResultBlock: TypeAlias = ToolSearchToolResultBlock
