"""Tools as engines know them, also those whose input Anthropic defines.

Callers run a shell, an editor, a memory; this server runs searches of tools and of the web. Claude
models were trained on them. For other models they are described like any tool.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from antiphon.core.prompt import ServerTool, Tool, WebFetchTool, WebSearchTool
from antiphon.core.server_tools.domains import domains_of
from antiphon.core.server_tools.url_filters import ToolFilter, UrlSourceFilter
from antiphon.wire.tools import (
    AllSources,
    CustomToolParam,
    DefinedToolParam,
    ExceptSources,
    NamedToolParam,
    OnlySources,
    ToolSources,
    UrlSourcesParam,
    WebFetchParam,
    WebSearchParam,
    WebToolParam,
)

PATH = {"type": "string", "description": "An absolute path."}
TEXT = {"type": "string"}
LINE = {"type": "integer", "description": "Insert after this line; 0 is the start of the file."}
RANGE = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "First and last line to view; -1 is the end of the file.",
}


def _object(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _command(*names: str) -> dict[str, Any]:
    return {"type": "string", "enum": [*names]}


def _editor(name: str, commands: tuple[str, ...], inserted: str) -> Tool:
    return Tool(
        name=name,
        description="View, create and edit text files.",
        input_schema=_object(
            ["command", "path"],
            command=_command(*commands),
            path=PATH,
            view_range=RANGE,
            file_text=TEXT,
            old_str=TEXT,
            new_str=TEXT,
            insert_line=LINE,
            **({} if inserted == "new_str" else {inserted: TEXT}),
        ),
    )


BASH = Tool(
    name="bash",
    description="Run a command in a shell that keeps its state between calls.",
    input_schema=_object(
        [],
        command={"type": "string", "description": "The command to run."},
        restart={"type": "boolean", "description": "Start the shell anew instead."},
    ),
)
MEMORY = Tool(
    name="memory",
    description="Keep files below /memories from one conversation to the next.",
    input_schema=_object(
        ["command"],
        command=_command("view", "create", "str_replace", "insert", "delete", "rename"),
        path=PATH,
        view_range=RANGE,
        file_text=TEXT,
        old_str=TEXT,
        new_str=TEXT,
        insert_line=LINE,
        insert_text=TEXT,
        old_path=PATH,
        new_path=PATH,
    ),
)
REGEX_SEARCH = ServerTool(
    name="tool_search_tool_regex",
    kind="tool_search_tool_regex",
    description=(
        "There are more tools than you see. Find those that you need by a regular expression, which"
        " is searched in the names and descriptions of tools and of their arguments; case does not"
        " matter. What is found can be called from then on, and stays. Write short patterns, such"
        " as `weather`, `get_.*_data` or `database.*query|query.*database`, without look-around and"
        " back references."
    ),
    input_schema=_object(
        ["pattern"],
        pattern={"type": "string", "description": "A pattern of at most 200 characters."},
    ),
)
BM25_SEARCH = ServerTool(
    name="tool_search_tool_bm25",
    kind="tool_search_tool_bm25",
    description=(
        "There are more tools than you see. Find those that you need by words that say what they"
        " do; the names and descriptions of tools and of their arguments are searched. What is"
        " found can be called from then on, and stays."
    ),
    input_schema=_object(
        ["query"],
        query={"type": "string", "description": "Words, in at most 500 characters."},
    ),
)
WEB_SEARCH = WebSearchTool(
    name="web_search",
    kind="web_search",
    description=(
        "Search the web for what is newer than what you know, or that you are not sure of. The"
        " results are titles, addresses and short texts."
    ),
    input_schema=_object(
        ["query"],
        query={"type": "string", "description": "What to search, in a few words."},
    ),
)
WEB_FETCH = WebFetchTool(
    name="web_fetch",
    kind="web_fetch",
    description=(
        "Fetch a page or a PDF of the web and read its text. The address must stand in what the"
        " user has said, or in a result of a tool."
    ),
    input_schema=_object(["url"], url={"type": "string", "description": "The whole address."}),
)
EDITING = ("view", "create", "str_replace", "insert")
DEFINED_TOOLS: Mapping[str, Tool] = {
    "bash_20250124": BASH,
    "text_editor_20250124": _editor("str_replace_editor", (*EDITING, "undo_edit"), "new_str"),
    "text_editor_20250429": _editor("str_replace_based_edit_tool", EDITING, "new_str"),
    "text_editor_20250728": _editor("str_replace_based_edit_tool", EDITING, "insert_text"),
    "memory_20250818": MEMORY,
    "tool_search_tool_regex_20251119": REGEX_SEARCH,
    "tool_search_tool_regex": REGEX_SEARCH,
    "tool_search_tool_bm25_20251119": BM25_SEARCH,
    "tool_search_tool_bm25": BM25_SEARCH,
    "web_search_20250305": WEB_SEARCH,
    "web_search_20260209": WEB_SEARCH,
    "web_search_20260318": WEB_SEARCH,
    "web_fetch_20250910": WEB_FETCH,
    "web_fetch_20260209": WEB_FETCH,
    "web_fetch_20260309": WEB_FETCH,
    "web_fetch_20260318": WEB_FETCH,
}
RUN_HERE: Final = frozenset(
    tool.name for tool in DEFINED_TOOLS.values() if isinstance(tool, ServerTool)
)
"""The names of the tools that this server runs."""


def tool_of(param: CustomToolParam | NamedToolParam) -> Tool:
    """Return a tool of a request; one that Anthropic defines becomes one like any other."""
    if isinstance(param, CustomToolParam):
        return Tool(
            name=param.name,
            input_schema=param.input_schema,
            description=param.description,
            strict=bool(param.strict),
            input_examples=tuple(param.input_examples or ()),
            eager_input_streaming=bool(param.eager_input_streaming),
            deferred=bool(param.defer_loading),
        )
    examples = param.input_examples if isinstance(param, DefinedToolParam) else None
    return replace(
        DEFINED_TOOLS[param.type],
        strict=bool(param.strict),
        input_examples=tuple(examples or ()),
        deferred=bool(param.defer_loading),
        **_web_options(param),
    )


def _web_options(param: NamedToolParam) -> dict[str, Any]:
    """Return what the caller says of a tool that reaches the web."""
    match param:
        case WebSearchParam(user_location=location):
            return {**_web_limits(param), "location": location}
        case WebFetchParam(max_content_tokens=most, citations=citations, url_sources=sources):
            return {
                **_web_limits(param),
                "max_content_tokens": most,
                "cited": citations is not None and citations.enabled,
                "sources": _filter(sources or UrlSourcesParam()),
            }
    return {}


def _web_limits(param: WebToolParam) -> dict[str, Any]:
    domains = domains_of(param.allowed_domains, param.blocked_domains)
    return {"domains": domains, "max_uses": param.max_uses}


def _filter(sources: UrlSourcesParam) -> UrlSourceFilter:
    return UrlSourceFilter(
        user_input=isinstance(sources.user_input, AllSources),
        client_results=_tools(sources.client_tool_results),
        server_results=_tools(sources.server_tool_results),
    )


def _tools(sources: ToolSources) -> ToolFilter:
    match sources:
        case OnlySources(tools=tools):
            return ToolFilter("only", tuple(tool.name for tool in tools))
        case ExceptSources(tools=tools):
            return ToolFilter("except", tuple(tool.name for tool in tools))
    return ToolFilter("all" if isinstance(sources, AllSources) else "none")
