import json

from antiphon.core.blocks import inner_blocks
from antiphon.core.late_tools import (
    OfferedTools,
    at_once,
    description_of,
    with_deferred,
    with_described_tools,
)
from antiphon.core.prompt import Breakpoint, Prompt, Tool, Turn
from antiphon.wire.content import TextParam, ToolReferenceParam, ToolResultParam


def tool(name: str, *, deferred: bool = False) -> Tool:
    return Tool(name=name, input_schema={"type": "object"}, deferred=deferred)


def reference(name: str) -> ToolReferenceParam:
    return ToolReferenceParam(tool_name=name)


A, B, LATE, OTHER = (
    tool("a"),
    tool("b"),
    tool("late", deferred=True),
    tool("other", deferred=True),
)


def names(tools: tuple[Tool, ...]) -> list[str]:
    return [one.name for one in tools]


def test_tools_of_which_all_are_deferred_are_offered_at_once() -> None:
    assert with_deferred((A, LATE)) == (A, LATE)
    assert with_deferred((LATE, OTHER)) == at_once((LATE, OTHER)) == (tool("late"), tool("other"))
    assert with_deferred(()) == ()


def test_deferred_tool_is_offered_from_its_first_reference_on() -> None:
    offered = OfferedTools((OTHER, A, LATE, B))
    assert names(offered.offered) == ["a", "b"]
    assert offered.read(reference("late")) == LATE
    assert names(offered.offered) == ["a", "late", "b"]
    assert [offered.read(reference(name)) for name in ("late", "a", "nobody")] == [None] * 3
    assert offered.read(TextParam(text="late")) is None
    assert names(offered.with_forced("other")) == ["other", "a", "late", "b"]
    assert names(offered.with_forced("nobody")) == ["a", "late", "b"]


def test_first_reference_to_a_deferred_tool_describes_it() -> None:
    late = Tool(
        name="late",
        description="Come « late ».",
        input_schema={"type": "object", "properties": {"at": {"type": "string"}}},
        input_examples=({"at": "ten"},),
        deferred=True,
    )
    offered = OfferedTools((A, late, OTHER))
    texts = [offered.text(reference(name)) or "" for name in ("late", "late", "a")]
    start, line, end = texts[0].partition("<tools>\n")[0], *texts[0].splitlines()[2:]
    assert start == "You can call this tool now, like the others:\n"
    assert json.loads(line) == description_of(late)
    assert "« late »" in line
    assert end == "</tools>"
    assert texts[1:] == ["Tool: late", "Tool: a"]
    assert offered.text(TextParam(text="late")) is None


def test_description_leaves_out_what_a_tool_does_not_have() -> None:
    assert description_of(A) == {"name": "a", "parameters": {"type": "object"}}


def references(*names: str) -> ToolResultParam:
    return ToolResultParam(tool_use_id="t", content=[reference(name) for name in names])


def test_references_become_texts_and_breakpoints_stay() -> None:
    tools = (A, LATE)
    turns = (Turn("user", (references("late", "a"),)), Turn("user", (references("late"),)))
    breakpoints = (Breakpoint(0, (0, 0)), Breakpoint(1, (0,)))
    prompt = Prompt(turns, 1, tools=tools, offered=tools, breakpoints=breakpoints)
    described = with_described_tools(prompt)
    first, second = (inner_blocks(one.content[0]) for one in described.turns)
    text = OfferedTools(tools).text(reference("late")) or ""
    assert first == [TextParam(text=text), TextParam(text="Tool: a")]
    assert second == [TextParam(text="Tool: late")]
    assert described.breakpoints == breakpoints


def test_prompt_without_a_loaded_tool_stays_as_it_is() -> None:
    prompt = Prompt((Turn("user", (references("a"),)),), 1, tools=(A, LATE))
    assert with_described_tools(prompt) is prompt
    assert prompt.callable_tools == (A,)
