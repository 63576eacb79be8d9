"""Rules of `tools` and `tool_choice`, and the tools of a prompt."""

from collections.abc import Iterable, Sequence
from typing import TypeGuard

from msgspec import UNSET

from antiphon.core.errors import InvalidRequestError
from antiphon.core.late_tools import with_loading
from antiphon.core.prompt import Tool, ToolChoice
from antiphon.core.validation.defined_tools import DEFINED_TOOLS
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


def tools_of(
    tools: Sequence[ToolParam], *, spots: Iterable[Spot] | None = None
) -> tuple[Tool, ...]:
    """Return the tools of a prompt; a tool that Anthropic defines becomes one like any other.

    With the `spots` of the messages, tools that the caller defers are deferred, until a reference
    names them.
    """
    offered = tuple(
        _custom(tool) if isinstance(tool, CustomToolParam) else _defined(tool)
        for tool in tools
        if isinstance(tool, CustomToolParam | DefinedToolParam)
    )
    deferred = {tool.name for tool in tools if _is_deferred(tool)}
    if spots is None or not deferred:
        return offered
    blocks = (spot.block for spot in spots)
    referenced = {block.tool_name for block in blocks if isinstance(block, ToolReferenceParam)}
    return with_loading(offered, deferred, referenced)


def _custom(tool: CustomToolParam) -> Tool:
    return Tool(
        name=tool.name,
        input_schema=tool.input_schema,
        description=tool.description,
        strict=bool(tool.strict),
        input_examples=tuple(tool.input_examples or ()),
        eager_input_streaming=bool(tool.eager_input_streaming),
    )


def _defined(tool: DefinedToolParam) -> Tool:
    defined = DEFINED_TOOLS[tool.type]
    return Tool(
        name=defined.name,
        input_schema=defined.input_schema,
        description=defined.description,
        strict=bool(tool.strict),
        input_examples=tuple(tool.input_examples or ()),
    )


def tool_choice_of(choice: ToolChoiceParam) -> ToolChoice:
    """Return the choice as engines know it. With `none` the tools stay in the prompt."""
    if isinstance(choice, NoChoice):
        return ToolChoice(mode="none")
    parallel = not choice.disable_parallel_tool_use
    if isinstance(choice, NamedChoice):
        return ToolChoice(mode="tool", name=choice.name, parallel=parallel)
    return ToolChoice(mode="any" if isinstance(choice, AnyChoice) else "auto", parallel=parallel)
