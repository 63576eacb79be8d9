from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.defined_tools import DEFINED_TOOLS
from antiphon.core.prompt import Capabilities, Tool, ToolChoice
from antiphon.schemas.allowed import check_schema
from antiphon.wire.tools import _MEMBERS, NamedToolParam
from support.requests import (
    ABLE,
    EPHEMERAL,
    able,
    assistant,
    call,
    prompt,
    refusal,
    result,
    schema,
    tool,
    user,
)

WHERE = "tools.0.custom"
COMBINED = "input_schema does not support oneOf, allOf, or anyOf at the top level"


def of(**fields: Any) -> dict[str, Any]:
    return {"name": "t", "input_schema": {"type": "object"}, **fields}


REFUSALS: list[tuple[list[dict[str, Any]], str]] = [
    ([of(input_schema={})], f"{WHERE}.input_schema.type: Field required"),
    ([of(input_schema={"type": "array"})], f"{WHERE}.input_schema.type: Input should be 'object'"),
    ([of(input_schema={"type": "object", "anyOf": []})], f"{WHERE}.input_schema: {COMBINED}"),
    (
        [tool(), of(input_schema={"type": "object", "oneOf": []})],
        f"tools.1.custom.input_schema: {COMBINED}",
    ),
    (
        [of(strict=True)],
        f"{WHERE}: For 'object' type, 'additionalProperties' must be explicitly set to false",
    ),
    ([of(), of()], "tools: Tool names must be unique."),
    (
        [{"type": "bash_20250124", "name": "bash"}, of(name="bash")],
        "tools: Tool names must be unique.",
    ),
    (
        [{"type": "bash_20250124", "name": "shell"}],
        "tools.0.bash_20250124.name: Input should be 'bash'",
    ),
    (
        [tool(f"t{number}", strict=True) for number in range(21)],
        "Too many strict tools (21). The maximum number of strict tools supported is 20.",
    ),
]


@pytest.mark.parametrize(("tools", "sentence"), REFUSALS)
def test_invalid_tools_are_refused_in_the_words_of_the_api(
    tools: list[dict[str, Any]], sentence: str
) -> None:
    assert refusal(tools=tools) == sentence


def test_limits_of_schemas_count_all_strict_tools_together() -> None:
    loose = schema(**{f"p{number}": {} for number in range(13)}) | {"required": ["p0"]}
    tools = [of(name=name, strict=True, input_schema=loose) for name in "ab"]
    assert len(able(tools=tools).tools) == 2
    assert refusal(tools=[*tools, of(name="c", strict=True, input_schema=loose)]).startswith(
        "Schemas contains too many optional parameters (36), which would make"
    )


def test_twenty_strict_tools_are_taken() -> None:
    assert len(able(tools=[tool(f"t{number}", strict=True) for number in range(20)]).tools) == 20


def test_tool_reaches_the_prompt_with_all_its_fields() -> None:
    whole = tool(
        type="custom",
        description="d",
        strict=True,
        eager_input_streaming=True,
        input_examples=[{"city": "Oslo"}],
        defer_loading=True,
        allowed_callers=["direct", "code_execution_20250825"],
        cache_control=None,
    )
    assert able(tools=[tool("other"), whole]).tools[1:] == (
        Tool(
            name="get_weather",
            input_schema=whole["input_schema"],
            description="d",
            strict=True,
            input_examples=({"city": "Oslo"},),
            eager_input_streaming=True,
        ),
    )


@pytest.mark.covers("tools: bash, text_editor, memory", "effect")
def test_tool_that_anthropic_defines_is_a_tool_like_any_other() -> None:
    defined = {
        "type": "text_editor_20250728",
        "name": "str_replace_based_edit_tool",
        "max_characters": 9,
    }
    (offered,) = able(tools=[defined]).tools
    assert offered.name == "str_replace_based_edit_tool"
    assert offered.input_schema["required"] == ["command", "path"]


def test_every_defined_tool_of_the_wire_has_a_definition_that_can_be_guaranteed() -> None:
    own = {kind for kind, struct in _MEMBERS.items() if issubclass(struct, NamedToolParam)}
    assert own == set(DEFINED_TOOLS)
    for kind, defined in DEFINED_TOOLS.items():
        check_schema(defined.input_schema, kind)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ToolChoice()),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice(parallel=False)),
        ({"type": "any"}, ToolChoice(mode="any")),
        (
            {"type": "any", "disable_parallel_tool_use": True},
            ToolChoice(mode="any", parallel=False),
        ),
        ({"type": "tool", "name": "get_weather"}, ToolChoice(mode="tool", name="get_weather")),
        ({"type": "none"}, ToolChoice(mode="none")),
    ],
    ids=str,
)
def test_choice_reaches_the_prompt_beside_the_tools(
    choice: dict[str, Any], expected: ToolChoice
) -> None:
    asked = able(tools=[tool()], tool_choice=choice)
    assert asked.tool_choice == expected
    assert len(asked.tools) == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"tool_choice": {"type": "any"}},
            "tool_choice.any may only be specified while providing tools",
        ),
        (
            {"tool_choice": {"type": "any"}, "tools": []},
            "tool_choice.any may only be specified while providing tools",
        ),
        ({"tool_choice": {"type": "tool", "name": "x"}}, "Tool 'x' not found in provided tools"),
        (
            {"tool_choice": {"type": "tool", "name": "x"}, "tools": [tool()]},
            "Tool 'x' not found in provided tools",
        ),
    ],
)
def test_choice_of_a_tool_that_is_not_there_is_refused(
    fields: dict[str, Any], sentence: str
) -> None:
    assert refusal(user(), **fields) == sentence


@pytest.mark.parametrize("kind", ["auto", "none"])
def test_choice_auto_or_none_without_tools_is_accepted(kind: str) -> None:
    assert able(tool_choice={"type": kind}).tool_choice.mode == kind


BASH = {"type": "bash_20250124", "name": "bash"}


def test_tools_that_are_all_deferred_are_offered_at_once() -> None:
    # Claude Code counts its tools one by one, the deferred ones as well.
    tools = [tool("a", defer_loading=True), BASH | {"defer_loading": True}]
    for capabilities in (ABLE, LOADING):
        offered = prompt(tools=tools, capabilities=capabilities).tools
        assert [one.deferred for one in offered] == [False, False]


LOADING = replace(ABLE, loads_tools=True)


@pytest.mark.covers("tools: defer_loading", "effect")
def test_deferred_tool_is_out_of_the_prompt_until_it_is_referenced() -> None:
    tools = [tool("get_weather"), tool("a", defer_loading=True), BASH | {"defer_loading": True}]

    def callable_tools(
        *messages: dict[str, Any], capabilities: Capabilities = LOADING, **fields: Any
    ) -> list[str]:
        asked = prompt(*messages, tools=tools, capabilities=capabilities, **fields)
        deferred = [one.name for one in asked.tools if one.deferred]
        assert deferred == (["a", "bash"] if capabilities is LOADING else [])
        return [one.name for one in asked.callable_tools]

    assert callable_tools() == ["get_weather"]
    assert callable_tools(*referring("bash")) == ["get_weather", "bash"]
    assert callable_tools(*referring("get_weather")) == ["get_weather"]
    assert callable_tools(capabilities=ABLE) == ["get_weather", "a", "bash"]
    # The model must call it, though its description may be missing.
    forced = {"type": "tool", "name": "a"}
    assert callable_tools(tool_choice=forced) == ["get_weather", "a"]
    assert prompt(tools=tools, capabilities=LOADING).offered is None


@pytest.mark.parametrize("deferred", [tool("late"), {"type": "bash_20250124", "name": "bash"}])
def test_deferred_tool_with_a_breakpoint_is_refused(deferred: dict[str, Any]) -> None:
    marked = {**deferred, "cache_control": EPHEMERAL}
    assert able(tools=[tool(), {**marked, "defer_loading": False}])
    sentence = (
        f"Tool '{deferred['name']}' cannot have both defer_loading=true and cache_control set. "
        "Tools with defer_loading cannot use prompt caching."
    )
    assert refusal(tools=[tool(), {**marked, "defer_loading": True}]) == sentence


def referring(name: str) -> list[dict[str, Any]]:
    found = result("x", [{"type": "tool_reference", "tool_name": name}])
    return [user(), assistant([call("x")]), user([found])]


def test_tool_reference_without_a_definition_is_refused() -> None:
    sentence = "Tool reference 'nobody' has no corresponding tool definition"
    assert able(*referring("get_weather"), tools=[tool()])
    assert able(*referring("bash"), tools=[tool(), BASH])
    assert refusal(*referring("nobody"), tools=[tool()]) == sentence
    assert refusal(*referring("nobody")) == sentence
