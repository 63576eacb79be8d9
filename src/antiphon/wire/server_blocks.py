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


WebSearchErrorCode: TypeAlias = Literal[
    "invalid_tool_input",
    "unavailable",
    "max_uses_exceeded",
    "too_many_requests",
    "query_too_long",
    "request_too_large",
]
WebFetchErrorCode: TypeAlias = Literal[
    "invalid_tool_input",
    "url_too_long",
    "url_not_allowed",
    "url_not_in_prior_context",
    "url_not_accessible",
    "unsupported_content_type",
    "too_many_requests",
    "max_uses_exceeded",
    "unavailable",
    "content_too_large",
]


class WebSearchResultBlock(
    AnswerStruct, tag_field="type", tag="web_search_result", kw_only=True, frozen=True
):
    """One result of a web search. Its text is sealed: only this server opens it."""

    url: str
    title: str
    encrypted_content: str
    page_age: str | None = None


class WebSearchErrorBlock(
    AnswerStruct, tag_field="type", tag="web_search_tool_result_error", kw_only=True, frozen=True
):
    """Why the web was not searched."""

    error_code: WebSearchErrorCode


class WebSearchToolResultBlock(
    AnswerStruct, tag_field="type", tag="web_search_tool_result", kw_only=True, frozen=True
):
    """The result of a web search."""

    tool_use_id: str
    content: tuple[WebSearchResultBlock, ...] | WebSearchErrorBlock
    caller: DirectCaller = DirectCaller()


class TextSourceBlock(AnswerStruct, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A fetched page as text."""

    media_type: Literal["text/plain"] = "text/plain"
    data: str


class PdfSourceBlock(AnswerStruct, tag_field="type", tag="base64", kw_only=True, frozen=True):
    """A fetched PDF."""

    media_type: Literal["application/pdf"] = "application/pdf"
    data: str


class CitationsBlock(AnswerStruct, kw_only=True, frozen=True):
    """Whether a fetched document is cited."""

    enabled: bool


class DocumentBlock(AnswerStruct, tag_field="type", tag="document", kw_only=True, frozen=True):
    """A fetched document."""

    source: TextSourceBlock | PdfSourceBlock
    title: str | None = None
    citations: CitationsBlock | None = None


class WebFetchResultBlock(
    AnswerStruct, tag_field="type", tag="web_fetch_result", kw_only=True, frozen=True
):
    """A page that was fetched, and when."""

    url: str
    content: DocumentBlock
    retrieved_at: str | None = None


class WebFetchErrorBlock(
    AnswerStruct, tag_field="type", tag="web_fetch_tool_result_error", kw_only=True, frozen=True
):
    """Why nothing was fetched."""

    error_code: WebFetchErrorCode


class WebFetchToolResultBlock(
    AnswerStruct, tag_field="type", tag="web_fetch_tool_result", kw_only=True, frozen=True
):
    """The result of a fetch."""

    tool_use_id: str
    content: WebFetchResultBlock | WebFetchErrorBlock
    caller: DirectCaller = DirectCaller()


ServerResultBlock: TypeAlias = (
    ToolSearchToolResultBlock | WebSearchToolResultBlock | WebFetchToolResultBlock
)
