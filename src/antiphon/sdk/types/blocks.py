"""Content blocks of an answer. They may be sent back as they are.

`type` is a fact of the class: `match` on the class, or compare `block.type`.
"""

from typing import Any, ClassVar, Literal, TypeAlias

from antiphon.sdk.types.base import Answered, Unknown
from antiphon.sdk.types.citations import TextCitation


class UnknownBlock(Unknown, tag_field="type", tag="\0block", kw_only=True, frozen=True):
    """A block, or the content of one, of a type that this SDK does not know."""


class TextBlock(Answered, tag_field="type", tag="text", kw_only=True, frozen=True):
    """Text, with citations if it repeats a document."""

    nested = ("citations",)
    relied = ("text", "citations")

    type: ClassVar[Literal["text"]] = "text"
    text: str
    citations: list[TextCitation] | None = None


class ThinkingBlock(Answered, tag_field="type", tag="thinking", kw_only=True, frozen=True):
    """Thinking of the model; the signature proves that the server made it."""

    relied = ("thinking",)

    type: ClassVar[Literal["thinking"]] = "thinking"
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(
    Answered, tag_field="type", tag="redacted_thinking", kw_only=True, frozen=True
):
    """Thinking that cannot be read, to be sent back unchanged."""

    type: ClassVar[Literal["redacted_thinking"]] = "redacted_thinking"
    data: str


class ToolCaller(Answered, kw_only=True, frozen=True):
    """Who called a tool: the model itself (`direct`), or code that it wrote (`tool_id`)."""

    type: str
    tool_id: str | None = None


class ToolUseBlock(Answered, tag_field="type", tag="tool_use", kw_only=True, frozen=True):
    """A call of a tool; whoever asked runs it, and sends a `tool_result` block back.

    Input that the model did not write as JSON is `{"INVALID_JSON": "<what it wrote>"}`; of input
    that was cut off at `max_tokens` there is the part that is certain.
    """

    nested = ("caller",)
    relied = ("id", "name", "input")

    type: ClassVar[Literal["tool_use"]] = "tool_use"
    id: str
    name: str
    input: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it
    caller: ToolCaller | None = None


class ServerToolUseBlock(
    Answered, tag_field="type", tag="server_tool_use", kw_only=True, frozen=True
):
    """A call of a tool that the server runs. Nobody returns a result for it."""

    nested = ("caller",)
    relied = ("id", "name", "input")

    type: ClassVar[Literal["server_tool_use"]] = "server_tool_use"
    id: str
    name: str
    input: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it
    caller: ToolCaller | None = None


class ToolReferenceBlock(
    Answered, tag_field="type", tag="tool_reference", kw_only=True, frozen=True
):
    """A tool that a search has found."""

    type: ClassVar[Literal["tool_reference"]] = "tool_reference"
    tool_name: str


class ToolSearchToolSearchResultBlock(
    Answered, tag_field="type", tag="tool_search_tool_search_result", kw_only=True, frozen=True
):
    """What a search of tools has found; nothing is no error."""

    nested = ("tool_references",)

    type: ClassVar[Literal["tool_search_tool_search_result"]] = "tool_search_tool_search_result"
    tool_references: list[ToolReferenceBlock]


class ToolSearchToolResultError(
    Answered, tag_field="type", tag="tool_search_tool_result_error", kw_only=True, frozen=True
):
    """Why a search of tools did not run."""

    type: ClassVar[Literal["tool_search_tool_result_error"]] = "tool_search_tool_result_error"
    error_code: str
    error_message: str | None = None


class ToolSearchToolResultBlock(
    Answered, tag_field="type", tag="tool_search_tool_result", kw_only=True, frozen=True
):
    """The result of a search of tools."""

    nested = ("content",)

    type: ClassVar[Literal["tool_search_tool_result"]] = "tool_search_tool_result"
    tool_use_id: str
    content: ToolSearchToolSearchResultBlock | ToolSearchToolResultError | UnknownBlock


class WebSearchResultBlock(
    Answered, tag_field="type", tag="web_search_result", kw_only=True, frozen=True
):
    """One result of a web search. Its text is sealed: only the server opens it."""

    type: ClassVar[Literal["web_search_result"]] = "web_search_result"
    url: str
    title: str
    encrypted_content: str
    page_age: str | None = None


class WebSearchToolResultError(
    Answered, tag_field="type", tag="web_search_tool_result_error", kw_only=True, frozen=True
):
    """Why the web was not searched."""

    type: ClassVar[Literal["web_search_tool_result_error"]] = "web_search_tool_result_error"
    error_code: str


class WebSearchToolResultBlock(
    Answered, tag_field="type", tag="web_search_tool_result", kw_only=True, frozen=True
):
    """The result of a web search."""

    nested = ("content", "caller")

    type: ClassVar[Literal["web_search_tool_result"]] = "web_search_tool_result"
    tool_use_id: str
    content: list[WebSearchResultBlock | UnknownBlock] | WebSearchToolResultError | UnknownBlock
    caller: ToolCaller | None = None


class PlainTextSource(Answered, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A fetched page as text."""

    type: ClassVar[Literal["text"]] = "text"
    media_type: str = "text/plain"
    data: str


class Base64PDFSource(Answered, tag_field="type", tag="base64", kw_only=True, frozen=True):
    """A fetched PDF."""

    type: ClassVar[Literal["base64"]] = "base64"
    media_type: str = "application/pdf"
    data: str


class CitationsConfig(Answered, kw_only=True, frozen=True):
    """Whether a fetched document is cited."""

    enabled: bool = False


class DocumentBlock(Answered, tag_field="type", tag="document", kw_only=True, frozen=True):
    """A fetched document."""

    nested = ("source", "citations")

    type: ClassVar[Literal["document"]] = "document"
    source: PlainTextSource | Base64PDFSource | UnknownBlock
    title: str | None = None
    citations: CitationsConfig | None = None


class WebFetchBlock(Answered, tag_field="type", tag="web_fetch_result", kw_only=True, frozen=True):
    """A page that was fetched, and when."""

    nested = ("content",)

    type: ClassVar[Literal["web_fetch_result"]] = "web_fetch_result"
    url: str
    content: DocumentBlock
    retrieved_at: str | None = None


class WebFetchToolResultErrorBlock(
    Answered, tag_field="type", tag="web_fetch_tool_result_error", kw_only=True, frozen=True
):
    """Why nothing was fetched."""

    type: ClassVar[Literal["web_fetch_tool_result_error"]] = "web_fetch_tool_result_error"
    error_code: str


class WebFetchToolResultBlock(
    Answered, tag_field="type", tag="web_fetch_tool_result", kw_only=True, frozen=True
):
    """The result of a fetch."""

    nested = ("content", "caller")

    type: ClassVar[Literal["web_fetch_tool_result"]] = "web_fetch_tool_result"
    tool_use_id: str
    content: WebFetchBlock | WebFetchToolResultErrorBlock | UnknownBlock
    caller: ToolCaller | None = None


ContentBlock: TypeAlias = (
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ServerToolUseBlock
    | ToolSearchToolResultBlock
    | WebSearchToolResultBlock
    | WebFetchToolResultBlock
    | UnknownBlock
)
