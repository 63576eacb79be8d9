"""Tools of a request, and the choice among them.

A tool without a `type` is a custom tool, so a tagged union cannot decode them: `ToolParam` is a
`Family`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from antiphon.wire.base import CacheControlParam, Family, NonEmptyStr, Param
from antiphon.wire.decoding import unexpected_tag

ToolName: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        pattern=r"^[a-zA-Z0-9_-]{1,128}\Z",
        extra={"pattern": "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"},
    ),
]
Caller: TypeAlias = Literal[
    "direct", "code_execution_20250825", "code_execution_20260120", "code_execution_20260521"
]


class ToolParam(Family):
    """Any tool of a request."""

    __slots__ = ()

    @classmethod
    def member(cls, value: dict[str, Any]) -> tuple[type[Struct], str] | str:
        kind = value.get("type")
        if kind is None:
            return CustomToolParam, "custom"
        # A list or an object is no tag, and cannot be looked up either.
        struct = _MEMBERS.get(kind) if isinstance(kind, str) else None
        return unexpected_tag(kind, list(_MEMBERS)) if struct is None else (struct, kind)


class CustomToolParam(Param, ToolParam, kw_only=True, frozen=True):
    """A tool that the caller defines.

    With `defer_loading` it is for a search to find: the caller's own, or a tool of this server.
    """

    type: Literal["custom"] | None = None
    name: ToolName
    input_schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None
    eager_input_streaming: bool | None = None
    input_examples: list[dict[str, Any]] | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Caller] | None = None
    cache_control: CacheControlParam | None = None


class NamedToolParam(Param, ToolParam, kw_only=True, frozen=True):
    """A tool whose input Anthropic defines.

    The name is part of the definition; `core.validation` knows it.
    """

    type: NonEmptyStr
    name: NonEmptyStr
    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Caller] | None = None
    cache_control: CacheControlParam | None = None


class DefinedToolParam(NamedToolParam, kw_only=True, frozen=True):
    """A tool that Anthropic defines and the caller runs: a shell, an editor, a memory."""

    input_examples: list[dict[str, Any]] | None = None


class EditorToolParam(DefinedToolParam, kw_only=True, frozen=True):
    """The text editor, in the versions that can limit the characters they show."""

    max_characters: Annotated[int, Meta(ge=1)] | None = None


class ToolSearchParam(NamedToolParam, kw_only=True, frozen=True):
    """A tool of this server: a search among the tools with `defer_loading`."""


AboveZero: TypeAlias = Annotated[int, Meta(ge=1, extra={"range": "Input should be greater than 0"})]


class UserLocation(Param, kw_only=True, frozen=True):
    """About where the user is, for results that suit."""

    type: Literal["approximate"]
    city: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    region: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    country: Annotated[str, Meta(min_length=2, max_length=2)] | None = None
    timezone: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class WebToolParam(NamedToolParam, kw_only=True, frozen=True):
    """What the tools that reach the web have in common."""

    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    max_uses: AboveZero | None = None


class WebSearchParam(WebToolParam, kw_only=True, frozen=True):
    """A tool of this server: a search of the web."""

    user_location: UserLocation | None = None


class LaterWebSearchParam(WebSearchParam, kw_only=True, frozen=True):
    """The same, in the version that says how results of code appear. No code runs here."""

    response_inclusion: Literal["full", "excluded"] | None = None


class FetchCitations(Param, kw_only=True, frozen=True):
    """Whether fetched documents are cited."""

    enabled: bool = False


class NamedTool(Param, kw_only=True, frozen=True):
    """A tool of the request."""

    type: Literal["tool_reference"]
    name: Annotated[str, Meta(min_length=1, max_length=256)]


class AllSources(Param, tag_field="type", tag="all", kw_only=True, frozen=True):
    """Everything counts."""


class NoSources(Param, tag_field="type", tag="none", kw_only=True, frozen=True):
    """Nothing counts."""


class OnlySources(Param, tag_field="type", tag="only", kw_only=True, frozen=True):
    """Results of these tools count."""

    tools: list[NamedTool]


class ExceptSources(Param, tag_field="type", tag="except", kw_only=True, frozen=True):
    """Results of all but these tools count."""

    tools: list[NamedTool]


ToolSources: TypeAlias = AllSources | NoSources | OnlySources | ExceptSources


class UrlSourcesParam(Param, kw_only=True, frozen=True):
    """Where a URL must stand to be fetched."""

    user_input: AllSources | NoSources = AllSources()
    client_tool_results: ToolSources = AllSources()
    server_tool_results: ToolSources = AllSources()


class WebFetchParam(WebToolParam, kw_only=True, frozen=True):
    """A tool of this server: it fetches a page of the web."""

    max_content_tokens: AboveZero | None = None
    citations: FetchCitations | None = None
    url_sources: UrlSourcesParam | None = None


class CachingWebFetchParam(WebFetchParam, kw_only=True, frozen=True):
    """The same, in the version that says whether a page may be from a cache. None is, here."""

    use_cache: bool | None = None


class LaterWebFetchParam(CachingWebFetchParam, kw_only=True, frozen=True):
    """The same, in the version that says how results of code appear. No code runs here."""

    response_inclusion: Literal["full", "excluded"] | None = None


class RefusedToolParam(Param, ToolParam, kw_only=True, frozen=True, forbid_unknown_fields=False):
    """A tool that is decoded as far as its type, for `core.validation` to refuse by name."""

    type: str


# Tools that only Anthropic's servers or models can run, by type, each with the reason of its
# refusal.
REFUSED_TOOLS: Mapping[str, str] = dict.fromkeys(
    (
        "computer_20241022",
        "computer_20250124",
        "computer_20251124",
        "computer_toolset_20260801",
        "browser_toolset_20260801",
        "code_execution_20250522",
        "code_execution_20250825",
        "code_execution_20260120",
        "code_execution_20260521",
        "advisor_20260301",
        "mcp_toolset",
    ),
    "this server cannot run this tool; it runs no code and offers no computer, browser or MCP "
    "toolsets",
)
_MEMBERS: Mapping[str, type[Struct]] = {
    "bash_20250124": DefinedToolParam,
    "custom": CustomToolParam,
    "text_editor_20250124": DefinedToolParam,
    "text_editor_20250429": DefinedToolParam,
    "text_editor_20250728": EditorToolParam,
    "memory_20250818": DefinedToolParam,
    "tool_search_tool_regex_20251119": ToolSearchParam,
    "tool_search_tool_regex": ToolSearchParam,
    "tool_search_tool_bm25_20251119": ToolSearchParam,
    "tool_search_tool_bm25": ToolSearchParam,
    "web_search_20250305": WebSearchParam,
    "web_search_20260209": WebSearchParam,
    "web_search_20260318": LaterWebSearchParam,
    "web_fetch_20250910": WebFetchParam,
    "web_fetch_20260209": WebFetchParam,
    "web_fetch_20260309": CachingWebFetchParam,
    "web_fetch_20260318": LaterWebFetchParam,
    **dict.fromkeys(REFUSED_TOOLS, RefusedToolParam),
}


class ToolChoiceBase(Param, tag_field="type", kw_only=True, frozen=True):
    """The base of the choices among tools."""


class AutoChoice(ToolChoiceBase, tag="auto", kw_only=True, frozen=True):
    """The model may call tools or answer."""

    disable_parallel_tool_use: bool = False


class AnyChoice(ToolChoiceBase, tag="any", kw_only=True, frozen=True):
    """The model must call a tool."""

    disable_parallel_tool_use: bool = False


class NamedChoice(ToolChoiceBase, tag="tool", kw_only=True, frozen=True):
    """The model must call the named tool."""

    name: str
    disable_parallel_tool_use: bool = False


class NoChoice(ToolChoiceBase, tag="none", kw_only=True, frozen=True):
    """The model must not call tools."""


ToolChoiceParam: TypeAlias = AutoChoice | AnyChoice | NamedChoice | NoChoice
