import json

import pytest

from antiphon.core.blocks import inner_blocks
from antiphon.core.late_tools import (
    ToolReferences,
    description_of,
    with_described_tools,
    with_loading,
)
from antiphon.core.prompt import Breakpoint, Loading, Prompt, Tool, ToolChoice, Turn
from antiphon.wire.content import TextParam, ToolReferenceParam, ToolResultParam


def tool(name: str, loading: Loading = "front") -> Tool:
    return Tool(name=name, input_schema={"type": "object"}, loading=loading)


def loadings(tools: tuple[Tool, ...]) -> list[str]:
    return [one.loading for one in tools]


TOOLS = (tool("a"), tool("b"), tool("c"))


@pytest.mark.parametrize(
    ("deferred", "referenced", "expected"),
    [
        ("", "", ["front", "front", "front"]),
        ("", "b", ["front", "front", "front"]),
        ("b", "", ["front", "deferred", "front"]),
        ("bc", "ac", ["front", "deferred", "loaded"]),
        ("abc", "", ["front", "front", "front"]),
        ("abc", "b", ["front", "front", "front"]),
    ],
)
def test_deferred_tool_is_loaded_by_a_reference(
    deferred: str, referenced: str, expected: list[str]
) -> None:
    assert loadings(with_loading(TOOLS, set(deferred), set(referenced))) == expected


def test_first_reference_to_a_loaded_tool_describes_it() -> None:
    late = Tool(
        name="late",
        description="Come « late ».",
        input_schema={"type": "object", "properties": {"at": {"type": "string"}}},
        input_examples=({"at": "ten"},),
        loading="loaded",
    )
    references = ToolReferences((tool("a"), late, tool("c", "deferred")))
    first, second, other = references.text("late"), references.text("late"), references.text("a")
    start, line, end = first.partition("<tools>\n")[0], *first.splitlines()[2:]
    assert start == "You can call this tool now, like the others:\n"
    assert json.loads(line) == description_of(late)
    assert "« late »" in line
    assert end == "</tools>"
    assert (second, other) == ("Tool: late", "Tool: a")


def test_model_may_call_what_is_in_the_prompt_and_what_it_must_call() -> None:
    tools = (tool("a"), tool("b", "deferred"), tool("c", "loaded"), tool("d", "deferred"))
    prompt = Prompt((Turn("user", (TextParam(text="Go."),)),), 1, tools=tools)
    assert [one.name for one in prompt.callable_tools] == ["a", "c"]
    forced = ToolChoice(mode="tool", name="d")
    prompt = Prompt(prompt.turns, 1, tools=tools, tool_choice=forced)
    assert [one.name for one in prompt.callable_tools] == ["a", "c", "d"]


def test_description_leaves_out_what_a_tool_does_not_have() -> None:
    assert description_of(tool("a")) == {"name": "a", "parameters": {"type": "object"}}


def references(*names: str) -> ToolResultParam:
    found = [ToolReferenceParam(tool_name=name) for name in names]
    return ToolResultParam(tool_use_id="t", content=[*found])


def test_references_become_texts_and_breakpoints_stay() -> None:
    tools = (tool("a"), tool("late", "loaded"))
    turns = (Turn("user", (references("late", "a"),)), Turn("user", (references("late"),)))
    breakpoints = (Breakpoint(0, (0, 0)), Breakpoint(1, (0,)))
    prompt = Prompt(turns, 1, tools=tools, breakpoints=breakpoints)
    described = with_described_tools(prompt)
    first, second = (inner_blocks(one.content[0]) for one in described.turns)
    assert first == [TextParam(text=ToolReferences(tools).text("late")), TextParam(text="Tool: a")]
    assert second == [TextParam(text="Tool: late")]
    assert described.breakpoints == breakpoints


def test_prompt_without_a_loaded_tool_stays_as_it_is() -> None:
    prompt = Prompt(
        (Turn("user", (references("a"),)),), 1, tools=(tool("a"), tool("b", "deferred"))
    )
    assert with_described_tools(prompt) is prompt
