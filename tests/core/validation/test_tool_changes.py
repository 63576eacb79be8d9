from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Breakpoint, Capabilities, Prompt
from antiphon.core.validation import prompt_for
from antiphon.wire.messages import MessageParam
from antiphon.wire.tools import REFUSED_TOOLS
from support.requests import (
    ABLE,
    EPHEMERAL,
    OLD,
    PLAIN,
    assistant,
    call,
    params,
    prompt,
    refusal,
    result,
    schema,
    system,
    text,
    tool,
    user,
)
from support.tool_changes import addition, define, defining, definition, removal

LOADING = replace(ABLE, loads_tools=True)
TOOLS = [tool("a"), tool("late", defer_loading=True), tool("c")]
AT = "messages.1.content.0.tool_addition"
INSIDE = f"{AT}.tool.tool_definition.definition"
CLOSED = "For 'object' type, 'additionalProperties' must be explicitly set to false"
NO_CODE = "this server runs no code that could call tools; 'direct' must be allowed"
BASH = {"type": "bash_20250124", "name": "bash"}


def changed(*blocks: dict[str, Any], capabilities: Capabilities = LOADING, **fields: Any) -> Prompt:
    messages = [user(), system([*blocks])]
    return prompt(*messages, capabilities=capabilities, **{"tools": TOOLS, **fields})


def refused(*blocks: dict[str, Any], **fields: Any) -> str:
    return refusal(user(), system([*blocks]), **{"tools": TOOLS, **fields})


def names(asked: Prompt) -> list[str]:
    return [one.name for one in asked.callable_tools]


@pytest.mark.covers("blocks of a request: tool_addition", "effect")
@pytest.mark.covers("blocks of a request: tool_removal", "effect")
def test_engine_that_loads_tools_gets_the_blocks_and_the_tools_on_offer() -> None:
    blocks = [text("Now:"), addition("late"), removal("a"), definition("new")]
    asked = changed(*blocks)
    assert [one.name for one in asked.tools] == ["a", "late", "c"]
    assert [one.deferred for one in asked.tools] == [False, True, False]
    assert names(asked) == ["late", "c", "new"]
    assert len(asked.turns[1].content) == 4
    # Nothing is left of it in the end, but the model reads that there was a change.
    assert changed(removal("a"), addition("a")).offered == changed(text("Now")).callable_tools
    assert changed(text("Now")).offered is None


def test_other_engines_get_the_tools_of_the_end_in_front() -> None:
    blocks = [addition("late"), removal("a"), definition("new"), definition("c", "another")]
    asked = changed(*blocks, definition("later", defer_loading=True), capabilities=ABLE)
    assert asked.offered is None
    assert [one.name for one in asked.tools] == ["late", "c", "new", "later"]
    assert [one.description for one in asked.tools] == [None, "another", "d", "d"]
    assert not any(one.deferred for one in asked.tools)
    assert changed(removal("a"), capabilities=ABLE, tools=[tool("a")]).tools == ()


def test_breakpoints_of_tools_move_to_those_that_are_left() -> None:
    tools = [tool("a", cache_control=EPHEMERAL), tool("b"), tool("c", cache_control=EPHEMERAL)]

    def breakpoints(*blocks: dict[str, Any], **fields: Any) -> list[tuple[int | None, int]]:
        asked = changed(*blocks, tools=tools, capabilities=ABLE, **fields)
        return [(one.turn, one.path[0]) for one in asked.breakpoints]

    assert breakpoints(text("Now")) == [(None, 0), (None, 2)]
    assert breakpoints(removal("b")) == [(None, 0), (None, 1)]
    assert breakpoints(removal("a")) == [(None, 1)]
    assert breakpoints(removal("c")) == [(None, 0), (None, 1)]
    assert breakpoints(removal("b"), removal("c")) == [(None, 0)]
    assert breakpoints(removal("a"), cache_control=EPHEMERAL) == [(None, 1), (1, 0)]


def test_breakpoint_stands_on_the_block_or_in_its_definition() -> None:
    marked = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    on, inside = definition("new"), definition("new", **marked)
    for block in ({**on, **marked}, inside):
        asked = changed(block, text("Now."))
        assert asked.breakpoints == (Breakpoint(1, (0,), "1h"),)
        assert asked.turns == changed(on, text("Now.")).turns
    assert changed(removal("a"), cache_control=EPHEMERAL).breakpoints == (Breakpoint(1, (0,)),)
    assert refused({**inside, **marked}) == (
        f"{AT}.cache_control: cache_control is allowed on the block or in its definition, not on "
        "both"
    )
    assert refused(definition("new", defer_loading=True, **marked)) == (
        "Tool 'new' cannot have both defer_loading=true and cache_control set. Tools with "
        "defer_loading cannot use prompt caching."
    )
    five = [*[text("a", "5m")] * 3, definition("x", **marked), definition("y", **marked)]
    assert refused(*five).endswith("Found 5.")


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (definition("n", input_schema={}), f"{INSIDE}.custom.input_schema.type: Field required"),
        (
            definition("n", strict=True),
            f"{INSIDE}.custom: {CLOSED}",
        ),
        (
            defining({"type": "bash_20250124", "name": "shell"}),
            f"{INSIDE}.bash_20250124.name: Input should be 'bash'",
        ),
        (
            defining({"type": "code_execution_20250825", "name": "code_execution"}),
            f"{INSIDE}.code_execution_20250825: {REFUSED_TOOLS['code_execution_20250825']}",
        ),
        (
            definition("n", allowed_callers=["code_execution_20250825"]),
            f"{INSIDE}.custom.allowed_callers: {NO_CODE}",
        ),
        (
            {
                "type": "tool_addition",
                "tool": {"type": "mcp_toolset_reference", "server_name": "s"},
            },
            f"{AT}.tool.mcp_toolset_reference: this server connects to no MCP servers",
        ),
    ],
)
def test_definition_follows_the_rules_of_tools(block: dict[str, Any], sentence: str) -> None:
    assert refused(block) == sentence


def test_change_on_a_model_without_tools_is_refused() -> None:
    assert refused(definition("n"), tools=[], capabilities=PLAIN) == (
        f"{AT}: this model does not support tools"
    )
    strict = definition("n", strict=True, input_schema=schema())
    assert refused(strict, capabilities=replace(ABLE, forced_tools=False)) == (
        f"{INSIDE}.custom.strict: this model does not support strict tools"
    )


def error_of(*messages: dict[str, Any], **fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        prompt(*messages, capabilities=LOADING, **{"tools": TOOLS, **fields})
    return caught.value


@pytest.mark.parametrize(
    "blocks",
    [
        [addition("new")],
        [removal("new")],
        [addition("new"), definition("new")],
        [definition("other"), removal("new"), definition("new")],
    ],
)
def test_tool_that_is_not_defined_so_far_is_refused(blocks: list[dict[str, Any]]) -> None:
    error = error_of(user(), system(blocks))
    assert str(error) == "Tool reference 'new' has no corresponding tool definition"
    assert error.error_code == "tool_reference_unresolved"


def test_result_may_refer_to_a_tool_that_an_earlier_message_defines() -> None:
    found = user([result("x", [{"type": "tool_reference", "tool_name": "new"}])])
    defined = system([definition("new", defer_loading=True)])
    asked = [user(), defined, assistant([call("x")]), found]
    assert names(prompt(*asked, tools=TOOLS, capabilities=LOADING)) == ["a", "c", "new"]
    error = error_of(user(), assistant([call("x")]), found, defined)
    assert str(error) == "Tool reference 'new' has no corresponding tool definition"
    assert error.error_code is None


@pytest.mark.parametrize(
    ("tools", "blocks", "conflicts"),
    [
        ([BASH], [definition("bash")], True),
        ([tool("bash")], [defining(BASH)], True),
        ([], [definition("bash"), defining(BASH)], True),
        ([BASH], [defining(BASH)], False),
        ([BASH], [removal("bash"), definition("bash"), definition("bash", "other")], False),
        (
            [{"type": "text_editor_20250429", "name": "str_replace_based_edit_tool"}],
            [defining({"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"})],
            False,
        ),
    ],
)
def test_name_of_an_available_tool_of_another_type_is_refused(
    tools: list[dict[str, Any]], blocks: list[dict[str, Any]], conflicts: bool
) -> None:
    if not conflicts:
        assert len(changed(*blocks, tools=tools).callable_tools) == 1
        return
    error = error_of(user(), system(blocks), tools=tools)
    assert error.error_code == "tool_name_conflict"
    assert str(error).endswith(
        ".definition: 'bash' is the name of an available tool of another type"
    )


def test_limits_of_strict_tools_count_those_that_are_not_removed() -> None:
    strict = [tool(f"t{number}", strict=True) for number in range(20)]
    new = definition("new", strict=True, input_schema=schema())
    assert refused(new, tools=strict) == (
        "Too many strict tools (21). The maximum number of strict tools supported is 20."
    )
    assert len(changed(removal("t0"), new, tools=strict).callable_tools) == 20
    again = definition("t0", strict=True, input_schema=schema())
    assert len(changed(*[again] * 3, tools=strict).callable_tools) == 20
    # Those of Anthropic do not count.
    bash = defining({**BASH, "strict": True})
    assert len(changed(bash, tools=strict).callable_tools) == 21
    form = {"format": {"type": "json_schema", "schema": schema()}}
    assert changed(removal("t0"), new, tools=strict, output_config=form).output_schema


def test_schema_of_the_answer_counts_together_with_defined_tools() -> None:
    loose = schema(**{f"p{number}": {} for number in range(13)}) | {"required": ["p0"]}
    form = {"format": {"type": "json_schema", "schema": loose}}
    new = definition("new", strict=True, input_schema=loose)
    assert changed(new, output_config=form)
    more = definition("more", strict=True, input_schema=loose)
    assert refused(new, more, output_config=form).startswith("Schemas contains too many optional")
    assert changed(new, more, removal("more"), output_config=form)


@pytest.mark.parametrize("capabilities", [LOADING, ABLE])
def test_choice_is_one_among_the_tools_of_the_end(capabilities: Capabilities) -> None:
    def chosen(name: str) -> dict[str, Any]:
        return {"tool_choice": {"type": "tool", "name": name}, "capabilities": capabilities}

    for name, blocks in {
        "a": [removal("a"), addition("a")],
        "new": [definition("new")],
        "later": [definition("later", defer_loading=True)],
        "late": [removal("a")],
    }.items():
        assert name in names(changed(*blocks, **chosen(name)))
    sentence = "Tool 'a' not found in provided tools"
    assert refused(removal("a"), **chosen("a")) == sentence
    assert refused(removal("late"), **chosen("late")) == sentence.replace("'a'", "'late'")
    assert refused(removal("a"), **chosen("nobody")) == sentence.replace("'a'", "'nobody'")
    code = {"type": "code_execution_20250825", "name": "code_execution"}
    assert refused(removal("a"), tools=[tool("a"), code], **chosen("a")).startswith("tools.1.code_")


def test_any_needs_a_tool_on_offer() -> None:
    sentence = "tool_choice.any may only be specified while providing tools"
    chosen = {"tool_choice": {"type": "any"}, "capabilities": LOADING}
    assert refused(removal("a"), removal("c"), **chosen) == sentence
    assert names(changed(removal("a"), **chosen)) == ["c"]
    assert names(changed(definition("new"), tools=[], **chosen)) == ["new"]
    auto = {"type": "auto"}
    assert names(changed(removal("a"), removal("c"), tool_choice=auto)) == []


def test_tools_that_are_all_deferred_stay_in_front_when_one_is_added() -> None:
    tools = [tool("a", defer_loading=True), tool("b", defer_loading=True)]
    before = changed(text("Now"), tools=tools)
    after = changed(addition("a"), removal("b"), tools=tools)
    assert before.tools == after.tools
    assert names(before) == ["a", "b"]
    assert names(after) == ["a"]


@pytest.mark.parametrize("role", [user, assistant])
def test_change_in_another_role_is_refused(role: Any) -> None:
    assert refusal(user(), role([addition("a")]), user(), tools=TOOLS) == (
        "messages.1.content.0: `tool_addition` blocks can only be in `system` messages"
    )
    assert refusal(user(), system=[addition("a")], tools=TOOLS) == (
        "system.0: Input does not match the expected shape."
    )


def test_change_follows_the_order_of_system_messages() -> None:
    precede = "role 'system' must precede an 'assistant' message or end the array;"
    assert refusal(user(), system([addition("a")]), user(), tools=TOOLS).startswith(
        f"messages.1: {precede}"
    )
    between = [user(), assistant([call("x")]), system([addition("a")]), user([result("x")])]
    assert refusal(*between, tools=TOOLS).startswith(f"messages.2: {precede}")
    assert refusal(system([addition("a")]), user(), tools=TOOLS).startswith("messages.0: use the")


def test_call_of_a_removed_tool_stays_in_the_conversation() -> None:
    called = [user(), assistant([call("x", name="a")]), user([result("x")]), system([removal("a")])]
    asked = prompt(*called, tools=TOOLS, capabilities=LOADING)
    assert names(asked) == ["c"]
    assert len(asked.turns) == 4


def limit_error(*blocks: dict[str, Any], **fields: Any) -> str:
    error = error_of(user(), system([*blocks]), **fields)
    assert error.error_code == "available_tools_limit_exceeded"
    return str(error)


def test_limits_of_available_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "antiphon.core.validation.tool_changes"
    monkeypatch.setattr(f"{module}.MOST_TOOLS", 2)
    two = [definition("x"), definition("y")]
    assert changed(*two, definition("x"), definition("x", "other"))
    assert changed(*two, removal("x"), removal("x"), definition("z"))
    sentence = "tools: More than 2 tools that messages define are available."
    assert limit_error(*two, definition("z")) == sentence
    assert limit_error(*two, removal("x"), definition("z"), addition("x")) == sentence
    deferred = [definition(name, defer_loading=True) for name in "xy"]
    assert changed(deferred[0], removal("late"), deferred[1])
    sentence = "tools: More than 2 deferred tools are available."
    assert limit_error(*deferred) == sentence
    monkeypatch.setattr(f"{module}.MOST_BYTES", 200)
    assert changed(definition("x", "d" * 100), removal("x"), definition("y", "d" * 100))
    assert limit_error(definition("x", "d" * 100), definition("y", "d" * 100)) == (
        "tools: The tools that messages define have more than 200 bytes."
    )


def test_definition_that_is_nested_too_deeply_is_refused() -> None:
    nested: Any = {}
    for _ in range(2000):
        nested = {"x": nested}
    deep = define("n")
    deep.tool.definition.input_schema["x"] = nested
    message = MessageParam(role="system", content=[deep])
    asked = replace(params(), messages=[MessageParam(role="user", content="Hi"), message])
    with pytest.raises(InvalidRequestError, match=r"^An input or a schema is nested too deeply$"):
        prompt_for(asked, LOADING, OLD)
