"""Rules of `tools` and `tool_choice`, and the tools of a prompt."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec import UNSET

from antiphon.core.defined_tools import DEFINED_TOOLS, tool_of
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Tool, ToolChoice
from antiphon.core.validation.schemas import refusing_schemas
from antiphon.schemas.allowed import check_complexity, check_schema
from antiphon.schemas.steps import Steps
from antiphon.schemas.well_formed import check_well_formed
from antiphon.wire.decoding import REQUIRED
from antiphon.wire.errors import shortened
from antiphon.wire.messages import CountTokensParams, CreateMessageParams
from antiphon.wire.tools import (
    AnyChoice,
    CustomToolParam,
    NamedChoice,
    NamedToolParam,
    NoChoice,
    RefusedToolParam,
    ToolChoiceParam,
    ToolParam,
    ToolSearchParam,
    WebFetchParam,
    WebToolParam,
)

MOST_STRICT_TOOLS = 20


def check_tools(params: CreateMessageParams | CountTokensParams, steps: Steps) -> None:
    """Check each tool, then all together. `steps` are for the schemas of all tools."""
    tools = () if params.tools is UNSET else params.tools
    for index, tool in enumerate(tools):
        if isinstance(tool, CustomToolParam | NamedToolParam):
            check_tool(tool, f"tools.{index}", steps)
    if tools:
        _check_together(tools)
        if isinstance(params, CreateMessageParams):
            _check_some_stay(tools)


def check_tool(tool: CustomToolParam | NamedToolParam, where: str, steps: Steps) -> None:
    """Check one tool by itself; `where` is its path, without its type."""
    if isinstance(tool, CustomToolParam):
        _check_custom(tool, f"{where}.custom", steps)
    else:
        name = DEFINED_TOOLS[tool.type].name
        if tool.name != name:
            raise InvalidRequestError(f"{where}.{tool.type}.name: Input should be '{name}'")
    if isinstance(tool, WebToolParam) and tool.allowed_domains and tool.blocked_domains:
        raise InvalidRequestError(
            f"{where}.{tool.type}: allowed_domains and blocked_domains cannot be used together"
        )
    if tool.defer_loading and tool.cache_control is not None:
        raise InvalidRequestError(
            f"Tool '{shortened(tool.name)}' cannot have both defer_loading=true and "
            "cache_control set. Tools with defer_loading cannot use prompt caching."
        )


def _check_custom(tool: CustomToolParam, where: str, steps: Steps) -> None:
    schema = tool.input_schema
    if "type" not in schema:
        raise InvalidRequestError(f"{where}.input_schema.type: {REQUIRED}")
    if schema["type"] != "object":
        raise InvalidRequestError(f"{where}.input_schema.type: Input should be 'object'")
    if schema.keys() & {"oneOf", "allOf", "anyOf"}:
        raise InvalidRequestError(
            f"{where}.input_schema: input_schema does not support oneOf, allOf, or anyOf at the "
            "top level"
        )
    with refusing_schemas():
        check_well_formed(schema, f"{where}.input_schema")
        if tool.strict:
            check_schema(schema, where, steps)


def _check_together(tools: Sequence[ToolParam]) -> None:
    names = [tool.name for tool in tools if isinstance(tool, CustomToolParam | NamedToolParam)]
    if len(set(names)) < len(names):
        raise InvalidRequestError("tools: Tool names must be unique.")
    _check_url_sources(tools, names)
    check_strict_schemas(strict_schemas(tools))


def _check_url_sources(tools: Sequence[ToolParam], names: Collection[str]) -> None:
    """Refuse sources of URLs that are results of tools that the request does not have."""
    for index, tool in enumerate(tools):
        if not isinstance(tool, WebFetchParam) or tool.url_sources is None:
            continue
        sources = tool.url_sources
        for key in ("client_tool_results", "server_tool_results"):
            for one in getattr(getattr(sources, key), "tools", ()):
                if one.name not in names:
                    raise InvalidRequestError(
                        f"tools.{index}.{tool.type}.url_sources.{key}: Tool "
                        f"'{shortened(one.name)}' not found in provided tools"
                    )


def _check_some_stay(tools: Iterable[ToolParam]) -> None:
    """Refuse tools that are all deferred, if a search of this server is one of them.

    Without one they are offered at once, for clients whose own search is yet to come.
    """
    known = [tool for tool in tools if isinstance(tool, CustomToolParam | NamedToolParam)]
    searched = any(isinstance(tool, ToolSearchParam) for tool in known)
    if searched and all(tool.defer_loading for tool in known):
        raise InvalidRequestError(
            "All tools have defer_loading set. At least one tool must be non-deferred."
        )


def strict_schemas(tools: Iterable[ToolParam]) -> list[dict[str, Any]]:
    """Return the schemas of the strict tools that the caller defines."""
    return [
        tool.input_schema for tool in tools if isinstance(tool, CustomToolParam) and tool.strict
    ]


def check_strict_schemas(strict: Sequence[dict[str, Any]]) -> None:
    """Check that there are not too many strict tools, and that their schemas are not too large."""
    if len(strict) > MOST_STRICT_TOOLS:
        raise InvalidRequestError(
            f"Too many strict tools ({len(strict)}). The maximum number of strict tools supported "
            f"is {MOST_STRICT_TOOLS}."
        )
    with refusing_schemas():
        check_complexity(strict)


def kind_of(tool: CustomToolParam | NamedToolParam) -> str:
    """Return the type of a tool without its version."""
    if isinstance(tool, CustomToolParam):
        return "custom"
    kind, _, version = tool.type.rpartition("_")
    return kind if version.isdigit() else tool.type


def check_choice(
    choice: ToolChoiceParam, offered: Sequence[object], declared: Sequence[ToolParam]
) -> None:
    """Check that the tools on offer allow the choice. `declared` are those of the request."""
    if isinstance(choice, AnyChoice) and not offered:
        raise InvalidRequestError("tool_choice.any may only be specified while providing tools")
    # Tools that only Anthropic can run are refused later, under their own name.
    if (
        isinstance(choice, NamedChoice)
        and not any(getattr(tool, "name", None) == choice.name for tool in offered)
        and not any(isinstance(tool, RefusedToolParam) for tool in declared)
    ):
        raise InvalidRequestError(f"Tool '{shortened(choice.name)}' not found in provided tools")


def declared_tools(params: CreateMessageParams | CountTokensParams) -> tuple[Tool, ...]:
    """Return the tools of a request as engines know them."""
    return tuple(
        tool_of(tool)
        for tool in params.tools or ()
        if isinstance(tool, CustomToolParam | NamedToolParam)
    )


def tool_choice_of(choice: ToolChoiceParam) -> ToolChoice:
    """Return the choice as engines know it. With `none` the tools stay in the prompt."""
    if isinstance(choice, NoChoice):
        return ToolChoice(mode="none")
    parallel = not choice.disable_parallel_tool_use
    if isinstance(choice, NamedChoice):
        return ToolChoice(mode="tool", name=choice.name, parallel=parallel)
    return ToolChoice(mode="any" if isinstance(choice, AnyChoice) else "auto", parallel=parallel)
