"""Rules of `tools` and `tool_choice`, and the tools of a prompt."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

from msgspec import UNSET

from antiphon.core.defined_tools import DEFINED_TOOLS, tool_of
from antiphon.core.errors import InvalidRequestError
from antiphon.core.late_tools import OfferedTools, at_once, with_deferred
from antiphon.core.prompt import Tool, ToolChoice
from antiphon.core.validation.schemas import refusing_schemas
from antiphon.core.validation.spots import Spot
from antiphon.schemas.allowed import check_complexity, check_schema
from antiphon.schemas.steps import Steps
from antiphon.schemas.well_formed import check_well_formed
from antiphon.wire.content import ToolReferenceParam
from antiphon.wire.decoding import REQUIRED
from antiphon.wire.errors import shortened
from antiphon.wire.messages import CountTokensParams, CreateMessageParams
from antiphon.wire.tools import (
    AnyChoice,
    CustomToolParam,
    DefinedToolParam,
    NamedChoice,
    NoChoice,
    ToolChoiceParam,
    ToolParam,
)

MOST_STRICT_TOOLS = 20


def check_tools(params: CreateMessageParams | CountTokensParams, steps: Steps) -> None:
    """Check each tool, then all together, then the choice among them.

    `steps` are for the schemas of all tools.
    """
    tools = () if params.tools is UNSET else params.tools
    for index, tool in enumerate(tools):
        if isinstance(tool, CustomToolParam):
            _check_custom(tool, f"tools.{index}.custom", steps)
        elif isinstance(tool, DefinedToolParam):
            name = DEFINED_TOOLS[tool.type].name
            if tool.name != name:
                raise InvalidRequestError(
                    f"tools.{index}.{tool.type}.name: Input should be '{name}'"
                )
        if _is_deferred(tool) and tool.cache_control is not None:
            raise InvalidRequestError(
                f"Tool '{shortened(tool.name)}' cannot have both defer_loading=true and "
                "cache_control set. Tools with defer_loading cannot use prompt caching."
            )
    if tools:
        _check_together(tools)
    if params.tool_choice is not UNSET:
        _check_choice(params.tool_choice, tools)


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
    names = [tool.name for tool in tools if isinstance(tool, CustomToolParam | DefinedToolParam)]
    if len(set(names)) < len(names):
        raise InvalidRequestError("tools: Tool names must be unique.")
    strict = [tool for tool in tools if isinstance(tool, CustomToolParam) and tool.strict]
    if len(strict) > MOST_STRICT_TOOLS:
        raise InvalidRequestError(
            f"Too many strict tools ({len(strict)}). The maximum number of strict tools supported "
            f"is {MOST_STRICT_TOOLS}."
        )
    with refusing_schemas():
        check_complexity(tool.input_schema for tool in strict)


def _check_choice(choice: ToolChoiceParam, tools: Sequence[ToolParam]) -> None:
    if isinstance(choice, AnyChoice) and not tools:
        raise InvalidRequestError("tool_choice.any may only be specified while providing tools")
    # Tools that only Anthropic can run are refused later, under their own name.
    if isinstance(choice, NamedChoice) and not any(
        getattr(tool, "name", choice.name) == choice.name for tool in tools
    ):
        raise InvalidRequestError(f"Tool '{shortened(choice.name)}' not found in provided tools")


def check_references(
    params: CreateMessageParams | CountTokensParams, spots: Iterable[Spot]
) -> None:
    """Check that the tools which the caller's own search has found are among the tools."""
    tools = () if params.tools is UNSET else params.tools
    for spot in spots:
        block = spot.block
        if isinstance(block, ToolReferenceParam) and not _is_among(block.tool_name, tools):
            name = shortened(block.tool_name)
            sentence = f"Tool reference '{name}' has no corresponding tool definition"
            raise InvalidRequestError(sentence)


def _is_among(name: str, tools: Sequence[ToolParam]) -> bool:
    return any(getattr(tool, "name", None) == name for tool in tools)


def _is_deferred(tool: ToolParam) -> TypeGuard[CustomToolParam | DefinedToolParam]:
    return isinstance(tool, CustomToolParam | DefinedToolParam) and bool(tool.defer_loading)


def declared_tools(params: CreateMessageParams | CountTokensParams) -> tuple[Tool, ...]:
    """Return the tools of a request as engines know them."""
    return tuple(
        tool_of(tool)
        for tool in params.tools or ()
        if isinstance(tool, CustomToolParam | DefinedToolParam)
    )


def settings_of_tools(
    params: CreateMessageParams | CountTokensParams, spots: Iterable[Spot], *, loads_tools: bool
) -> dict[str, Any]:
    """Return the fields of a prompt that say which tools there are, those that are not the default.

    With `loads_tools`, tools that the caller defers are deferred, until a reference names them.
    """
    settings: dict[str, Any] = {}
    choice = ToolChoice()
    if params.tool_choice is not UNSET:
        choice = settings["tool_choice"] = tool_choice_of(params.tool_choice)
    declared = declared_tools(params)
    if not declared:
        return settings
    tools = settings["tools"] = with_deferred(declared) if loads_tools else at_once(declared)
    if any(tool.deferred for tool in tools):
        offered = OfferedTools(tools)
        for spot in spots:
            offered.read(spot.block)
        may_be_called = offered.with_forced(choice.name)
        if may_be_called != tuple(tool for tool in tools if not tool.deferred):
            settings["offered"] = may_be_called
    return settings


def tool_choice_of(choice: ToolChoiceParam) -> ToolChoice:
    """Return the choice as engines know it. With `none` the tools stay in the prompt."""
    if isinstance(choice, NoChoice):
        return ToolChoice(mode="none")
    parallel = not choice.disable_parallel_tool_use
    if isinstance(choice, NamedChoice):
        return ToolChoice(mode="tool", name=choice.name, parallel=parallel)
    return ToolChoice(mode="any" if isinstance(choice, AnyChoice) else "auto", parallel=parallel)
