import json

import pytest

from antiphon.core.late_tools import ToolReferences, description_of, with_loading
from antiphon.core.prompt import Loading, Prompt, Tool, ToolChoice, Turn
from antiphon.wire.content import TextParam


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
