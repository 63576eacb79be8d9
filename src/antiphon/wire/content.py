"""Content blocks: the ones callers send (`…Param`) and the ones an answer holds.

Blocks of an answer may be sent back unchanged, so requests take `null` where answers have it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias, Union

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from antiphon.wire.base import AnswerStruct, CacheControlParam, NonEmptyStr, Param
from antiphon.wire.citations import Citation, TextCitationParam
from antiphon.wire.server_blocks import (
    DirectCaller,
    ServerResultBlock,
    ServerToolUseBlock,
    ToolSearchErrorCode,
    WebFetchErrorCode,
    WebSearchErrorCode,
)
from antiphon.wire.tools import ToolParam

# In Python `$` also matches before a newline at the end.
ToolId: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[a-zA-Z0-9_-]+\Z",
        extra={"pattern": "String should match pattern '^[a-zA-Z0-9_-]+$'"},
    ),
]


class BlockParam(Param, tag_field="type", kw_only=True, frozen=True):
    """The base of all content blocks of a request."""


class CacheableParam(BlockParam, kw_only=True, frozen=True):
    """A block that may end a prompt cache entry."""

    cache_control: CacheControlParam | None = None


class TextParam(CacheableParam, tag="text", kw_only=True, frozen=True):
    """A text block of a request."""

    text: str
    citations: list[TextCitationParam] | None = None


class Base64ImageSource(Param, tag_field="type", tag="base64", kw_only=True, frozen=True):
    """An image inside the request."""

    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class Base64PdfSource(Param, tag_field="type", tag="base64", kw_only=True, frozen=True):
    """A PDF inside the request."""

    media_type: Literal["application/pdf"]
    data: str


class PlainTextSource(Param, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A plain text inside the request."""

    media_type: Literal["text/plain"]
    data: str


class UrlSource(Param, tag_field="type", tag="url", kw_only=True, frozen=True):
    """Bytes behind a URL."""

    url: str


class FileSource(Param, tag_field="type", tag="file", kw_only=True, frozen=True):
    """An uploaded file."""

    file_id: str


class ImageTransformations(Param, kw_only=True, frozen=True):
    """The allowed changes of an image before the model sees it."""

    oversized_image: Literal["downsize", "error"] | None = None


class ImageParam(CacheableParam, tag="image", kw_only=True, frozen=True):
    """An image block of a request."""

    source: Base64ImageSource | UrlSource | FileSource
    transformations: ImageTransformations | None = None


class ContentSource(Param, tag_field="type", tag="content", kw_only=True, frozen=True):
    """A document that is made of blocks."""

    content: str | list[TextParam | ImageParam]


class CitationsParam(Param, kw_only=True, frozen=True):
    """Whether the answer cites the document."""

    enabled: bool = False


class DocumentParam(CacheableParam, tag="document", kw_only=True, frozen=True):
    """A document block of a request."""

    source: Base64PdfSource | PlainTextSource | ContentSource | UrlSource | FileSource
    title: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    context: NonEmptyStr | None = None
    citations: CitationsParam | None = None


class SearchResultParam(CacheableParam, tag="search_result", kw_only=True, frozen=True):
    """A search result that the answer may cite."""

    source: str
    title: str
    content: list[TextParam | ImageParam]
    citations: CitationsParam | None = None


class ThinkingParam(BlockParam, tag="thinking", kw_only=True, frozen=True):
    """Thinking of an earlier turn, sent back unchanged."""

    thinking: str
    signature: str


class RedactedThinkingParam(BlockParam, tag="redacted_thinking", kw_only=True, frozen=True):
    """Thinking that the caller cannot read, sent back unchanged."""

    data: str


THINKING_PARAMS: Final = (ThinkingParam, RedactedThinkingParam)
"""The classes of blocks that are thinking, shown or not."""


class ToolUseParam(CacheableParam, tag="tool_use", kw_only=True, frozen=True):
    """A call that the model made in an earlier turn."""

    id: ToolId
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    input: dict[str, Any]
    caller: dict[str, Any] | None = None
    toolset_name: str | None = None


_SERVER_TOOLS = "this server does not run this tool and takes no blocks of it"
_MCP = "this server connects to no MCP servers"
# Blocks that only Anthropic's servers can take, by type, each with the reason of its refusal.
REFUSED_BLOCKS: Mapping[str, str] = {
    "code_execution_tool_result": _SERVER_TOOLS,
    "bash_code_execution_tool_result": _SERVER_TOOLS,
    "text_editor_code_execution_tool_result": _SERVER_TOOLS,
    "container_upload": "this server has no containers",
    "mcp_tool_use": _MCP,
    "mcp_tool_result": _MCP,
}
# The same inside of the result of a tool: the tabs of a browser.
REFUSED_RESULT_BLOCKS: Mapping[str, str] = {
    "browser_state": "this server offers no browser toolset",
}


class RefusedBlockParam(BlockParam, kw_only=True, frozen=True):
    """A block that is decoded as far as its type, for `core.validation` to refuse by name.

    A message may hold other faults, which the API reports first, so decoding accepts the block.
    """

    why: ClassVar[str]


def _refused(
    reasons: Mapping[str, str], base: type[Struct] = RefusedBlockParam
) -> tuple[type[Struct], ...]:
    """Make a struct for each type of the table: msgspec finds the member of a union by its tag."""
    return tuple(
        defstruct(
            f"Refused_{tag}",
            (),
            bases=(base,),
            namespace={"why": why, "__doc__": base.__doc__},
            module=__name__,
            tag=tag,
            frozen=True,
            forbid_unknown_fields=False,
        )
        for tag, why in reasons.items()
    )


if TYPE_CHECKING:
    _RefusedInContent: TypeAlias = RefusedBlockParam
    _RefusedInResult: TypeAlias = RefusedBlockParam
else:
    _RefusedInContent = Union[_refused(REFUSED_BLOCKS)]  # noqa: UP007 - made of a table
    _RefusedInResult = Union[_refused(REFUSED_RESULT_BLOCKS)]  # noqa: UP007 - made of a table


class ToolReferenceParam(CacheableParam, tag="tool_reference", kw_only=True, frozen=True):
    """A tool that a search has found, of this server or the caller's own."""

    tool_name: Annotated[str, Meta(min_length=1, max_length=256)]


ToolResultContent: TypeAlias = (
    TextParam
    | ImageParam
    | SearchResultParam
    | DocumentParam
    | ToolReferenceParam
    | _RefusedInResult
)


class ToolResultParam(CacheableParam, tag="tool_result", kw_only=True, frozen=True):
    """The result of a call."""

    tool_use_id: ToolId
    content: str | list[ToolResultContent] | UnsetType | None = UNSET
    is_error: bool | None = None
    toolset_name: str | None = None


ServerToolId: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^srvtoolu_[a-zA-Z0-9_]+\Z",
        extra={"pattern": "String should match pattern '^srvtoolu_[a-zA-Z0-9_]+$'"},
    ),
]


class ServerToolUseParam(CacheableParam, tag="server_tool_use", kw_only=True, frozen=True):
    """A call of a tool of the server in an earlier turn. `core.validation` knows the names."""

    id: ServerToolId
    name: Literal[
        "web_search",
        "web_fetch",
        "code_execution",
        "bash_code_execution",
        "text_editor_code_execution",
        "tool_search_tool_regex",
        "tool_search_tool_bm25",
    ]
    input: dict[str, Any]
    caller: dict[str, Any] | None = None


class ToolSearchResultParam(
    Param, tag_field="type", tag="tool_search_tool_search_result", kw_only=True, frozen=True
):
    """What a search of tools found in an earlier turn."""

    tool_references: list[ToolReferenceParam]


class ToolSearchErrorParam(
    Param, tag_field="type", tag="tool_search_tool_result_error", kw_only=True, frozen=True
):
    """Why a search of tools did not run in an earlier turn."""

    error_code: ToolSearchErrorCode
    error_message: str | None = None


class ToolSearchToolResultParam(
    CacheableParam, tag="tool_search_tool_result", kw_only=True, frozen=True
):
    """The result of a search of tools by the server."""

    tool_use_id: ServerToolId
    content: ToolSearchResultParam | ToolSearchErrorParam
    caller: dict[str, Any] | None = None


class WebSearchResultParam(Param, kw_only=True, frozen=True):
    """One result of a web search of an earlier turn, with its sealed text."""

    type: Literal["web_search_result"]
    url: str
    title: str
    encrypted_content: str
    page_age: str | None = None


class WebSearchErrorParam(Param, kw_only=True, frozen=True):
    """Why the web was not searched in an earlier turn."""

    type: Literal["web_search_tool_result_error"]
    error_code: WebSearchErrorCode


class WebSearchToolResultParam(
    CacheableParam, tag="web_search_tool_result", kw_only=True, frozen=True
):
    """The result of a web search by the server."""

    tool_use_id: ServerToolId
    content: list[WebSearchResultParam] | WebSearchErrorParam
    caller: dict[str, Any] | None = None


class WebFetchResultParam(
    Param, tag_field="type", tag="web_fetch_result", kw_only=True, frozen=True
):
    """A page that was fetched in an earlier turn."""

    url: str
    content: DocumentParam
    retrieved_at: str | None = None


class WebFetchErrorParam(
    Param, tag_field="type", tag="web_fetch_tool_result_error", kw_only=True, frozen=True
):
    """Why nothing was fetched in an earlier turn."""

    error_code: WebFetchErrorCode


class WebFetchToolResultParam(
    CacheableParam, tag="web_fetch_tool_result", kw_only=True, frozen=True
):
    """The result of a fetch by the server."""

    tool_use_id: ServerToolId
    content: WebFetchResultParam | WebFetchErrorParam
    caller: dict[str, Any] | None = None


SERVER_RESULTS: Final = (
    ToolSearchToolResultParam,
    WebSearchToolResultParam,
    WebFetchToolResultParam,
)
"""The classes of the results of tools that this server runs."""


class ToolNameParam(Param, tag_field="type", tag="tool_reference", kw_only=True, frozen=True):
    """The tool of a change: one of `tools`, or one that an earlier message defines."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]


class ToolDefinitionParam(
    Param, tag_field="type", tag="tool_definition", kw_only=True, frozen=True
):
    """The tool of an addition, defined there as in `tools`."""

    definition: ToolParam


class RefusedChangeParam(Param, tag_field="type", kw_only=True, frozen=True):
    """The tool of a change that is decoded as far as its type, for `core.validation` to refuse."""

    why: ClassVar[str]


# The tools of changes that need a connection to an MCP server.
REFUSED_CHANGES: Mapping[str, str] = {"mcp_tool_reference": _MCP, "mcp_toolset_reference": _MCP}

if TYPE_CHECKING:
    _RefusedChange: TypeAlias = RefusedChangeParam
else:
    _RefusedChange = Union[_refused(REFUSED_CHANGES, RefusedChangeParam)]  # noqa: UP007 - made of a table


class ToolAdditionParam(CacheableParam, tag="tool_addition", kw_only=True, frozen=True):
    """From here on the model may call the tool; a definition replaces the one of its name."""

    tool: ToolNameParam | ToolDefinitionParam | _RefusedChange


class ToolRemovalParam(CacheableParam, tag="tool_removal", kw_only=True, frozen=True):
    """From here on the model may not call the tool."""

    tool: ToolNameParam | _RefusedChange


ToolChangeParam: TypeAlias = ToolAdditionParam | ToolRemovalParam
TOOL_CHANGES: Final = (ToolAdditionParam, ToolRemovalParam)

ContentParam: TypeAlias = (
    TextParam
    | ImageParam
    | DocumentParam
    | SearchResultParam
    | ThinkingParam
    | RedactedThinkingParam
    | ToolUseParam
    | ToolResultParam
    | ToolAdditionParam
    | ToolRemovalParam
    | ServerToolUseParam
    | ToolSearchToolResultParam
    | WebSearchToolResultParam
    | WebFetchToolResultParam
    | _RefusedInContent
)


class TextBlock(AnswerStruct, tag_field="type", tag="text", kw_only=True, frozen=True):
    """A text block of an answer, with citations if it repeats a document.

    Without any, the list is empty: the API sends `null`, which one client refuses, and an absent
    key does not fit its published schema. Every client reads an empty list.
    """

    text: str
    citations: tuple[Citation, ...] = ()


class ThinkingBlock(AnswerStruct, tag_field="type", tag="thinking", kw_only=True, frozen=True):
    """Thinking of the model; the signature proves that this server made it."""

    thinking: str
    signature: str


class RedactedThinkingBlock(
    AnswerStruct, tag_field="type", tag="redacted_thinking", kw_only=True, frozen=True
):
    """Thinking that the caller cannot read, to be sent back unchanged."""

    data: str


class ToolUseBlock(AnswerStruct, tag_field="type", tag="tool_use", kw_only=True, frozen=True):
    """A call of a tool; the caller runs it."""

    id: str
    name: str
    input: dict[str, Any]
    caller: DirectCaller = DirectCaller()


ContentBlock: TypeAlias = (
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ServerToolUseBlock
    | ServerResultBlock
)
