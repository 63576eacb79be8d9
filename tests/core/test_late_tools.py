import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.blocks import inner_blocks
from antiphon.core.late_tools import (
    OfferedTools,
    at_once,
    definition_in,
    description_of,
    name_in,
    named_text,
    with_deferred,
    with_described_tools,
)
from antiphon.core.prompt import Breakpoint, Prompt, Tool, Turn
from antiphon.wire.content import (
    BlockParam,
    TextParam,
    ToolAdditionParam,
    ToolReferenceParam,
    ToolRemovalParam,
    ToolResultParam,
)
from support.tool_changes import add, decoded, define, defining, remove


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
    assert names(offered.offered()) == ["a", "b"]
    assert offered.read(reference("late")) == LATE
    assert names(offered.offered()) == ["a", "late", "b"]
    assert [offered.read(reference(name)) for name in ("late", "a", "nobody")] == [None] * 3
    assert offered.read(TextParam(text="late")) is None
    assert names(offered.offered("other")) == ["other", "a", "late", "b"]
    assert names(offered.offered("nobody")) == ["a", "late", "b"]


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


def test_description_leaves_out_what_a_tool_does_not_have() -> None:
    assert description_of(A) == {"name": "a", "parameters": {"type": "object"}}


def references(*names: str) -> ToolResultParam:
    return ToolResultParam(tool_use_id="t", content=[reference(name) for name in names])


def test_references_become_texts_and_breakpoints_stay() -> None:
    tools = (A, LATE)
    turns = (
        Turn("user", (references("late", "a"),)),
        Turn("assistant", (TextParam(text="I see."),)),
        Turn("user", (references("late"),)),
    )
    breakpoints = (Breakpoint(0, (0, 0)), Breakpoint(2, (0,)))
    prompt = Prompt(turns, 1, tools=tools, offered=tools, breakpoints=breakpoints)
    described = with_described_tools(prompt)
    first, _, second = (inner_blocks(one.content[0]) for one in described.turns)
    text = OfferedTools(tools).text(reference("late")) or ""
    assert first == [TextParam(text=text), TextParam(text="Tool: a")]
    assert second == [TextParam(text="Tool: late")]
    assert described.breakpoints == breakpoints


def test_prompt_without_a_loaded_tool_stays_as_it_is() -> None:
    prompt = Prompt((Turn("user", (references("a"),)),), 1, tools=(A, LATE))
    assert with_described_tools(prompt) is prompt
    assert prompt.callable_tools == (A,)


MCP = decoded(
    {"type": "tool_addition", "tool": {"type": "mcp_toolset_reference", "server_name": "s"}}
)
CODE = decoded(defining({"type": "code_execution_20250825", "name": "a"}))


def test_name_and_definition_are_read_from_every_block_about_a_tool() -> None:
    blocks = [reference("a"), add("b"), remove("c"), define("d"), MCP, CODE, TextParam(text="e")]
    assert [name_in(block) for block in blocks] == ["a", "b", "c", "d", None, None, None]
    assert [definition_in(block) is not None for block in blocks] == [False] * 3 + [True] + (
        [False] * 3
    )


def reading(*tools: Tool) -> tuple[OfferedTools, Any]:
    """Return the tools on offer, and a function that reads a block.

    It returns the beginning of the text and the names on offer then.
    """
    offered = OfferedTools(tools)

    def read(block: Any) -> tuple[str | None, str]:
        text = offered.text(block)
        return text and text.splitlines()[0], " ".join(names(offered.offered()))

    return offered, read


NOW = "You can call this tool now, like the others:"
NEW_FORM = "This tool has changed. Call it only in this way from now on:"


def test_removed_tool_is_offered_again_only_by_an_addition() -> None:
    offered, read = reading(A, LATE, B)
    assert read(remove("a")) == ("You can no longer call this tool: a", "b")
    assert offered.is_withdrawn("a")
    # The description is still where it was.
    assert read(reference("a")) == ("Tool: a", "b")
    assert read(remove("a")) == ("You can no longer call this tool: a", "b")
    assert names(offered.offered("a")) == ["b"]
    assert names(offered.kept) == ["late", "b"]
    assert read(add("a")) == ("You can call this tool: a", "a b")
    assert read(add("a")) == ("You can call this tool: a", "a b")
    assert not offered.is_withdrawn("a")
    assert not offered.is_withdrawn("nobody")


def test_addition_describes_a_deferred_tool_once() -> None:
    _, read = reading(A, LATE)
    assert read(remove("late")) == ("You can no longer call this tool: late", "a")
    assert read(reference("late")) == ("Tool: late", "a")
    assert read(add("late")) == (NOW, "a late")
    assert read(reference("late")) == ("Tool: late", "a late")
    assert read(add("late")) == ("You can call this tool: late", "a late")


def test_definition_adds_a_tool_or_replaces_one() -> None:
    offered, read = reading(A)
    assert "new" not in offered
    assert read(define("new")) == (NOW, "a new")
    assert "new" in offered
    # A client may send it again.
    assert read(define("new")) == ("You can call this tool: new", "a new")
    assert read(define("new", "other")) == (NEW_FORM, "a new")
    assert read(define("a", strict=True)) == (NEW_FORM, "a new")
    assert offered.offered()[0].strict
    # What the model reads of it stays the same.
    assert read(define("a")) == ("You can call this tool: a", "a new")
    assert not offered.offered()[0].strict


def test_values_that_are_equal_only_in_python_are_another_definition() -> None:
    _, read = reading()
    one, true = ({"type": "object", "properties": {"x": {"const": x}}} for x in (1, True))
    assert read(define("a", input_schema=one))[0] == NOW
    assert read(define("a", input_schema=true))[0] == NEW_FORM


def test_definition_offers_a_removed_tool_again() -> None:
    _, read = reading()
    assert read(define("new")) == (NOW, "new")
    assert read(remove("new")) == ("You can no longer call this tool: new", "")
    assert read(define("new")) == ("You can call this tool: new", "new")
    assert read(remove("new"))[1] == ""
    assert read(define("new", "other")) == (NEW_FORM, "new")
    assert read(remove("new"))[1] == ""
    assert read(define("new", "other", defer_loading=True)) == (None, "")
    assert read(reference("new")) == ("Tool: new", "new")


def test_deferred_definition_waits_for_a_reference() -> None:
    offered, read = reading(A)
    later = define("new", defer_loading=True)
    assert read(later) == (None, "a")
    assert names(offered.offered("new")) == ["a", "new"]
    assert read(reference("new")) == (NOW, "a new")
    assert read(later) == ("You can call this tool: new", "a new")
    # It is the same tool, but it is no longer on offer.
    assert read(define("a", defer_loading=True))[1] == "new"
    assert read(define("new", "other", defer_loading=True)) == (
        "You can no longer call this tool: new",
        "",
    )
    assert read(add("new")) == (NEW_FORM, "new")


def test_definition_without_deferral_offers_a_deferred_tool() -> None:
    late = Tool(name="late", description="d", input_schema={"type": "object"}, deferred=True)
    _, read = reading(A, late)
    assert read(define("late")) == (NOW, "a late")
    _, read = reading(A, late)
    assert read(reference("late")) == (NOW, "a late")
    assert read(define("late")) == ("You can call this tool: late", "a late")


def test_tools_that_only_anthropic_can_offer_change_nothing() -> None:
    offered = OfferedTools((A,))
    assert [offered.read(block) for block in (MCP, CODE, add("nobody"))] == [None] * 3
    assert names(offered.offered()) == ["a"]


def test_texts_of_an_engine_that_has_all_tools_in_front_say_their_names() -> None:
    assert named_text(add("a")) == named_text(define("a")) == "You can call this tool: a"
    assert named_text(remove("a")) == "You can no longer call this tool: a"


USER, ANSWER = Turn("user", (TextParam(text="Go."),)), Turn("assistant", (TextParam(text="I go."),))


def described(*turns: Turn, tools: tuple[Tool, ...] = (A,), **fields: Any) -> Prompt:
    return with_described_tools(
        Prompt(turns, 1, tools=tools, offered=(), **fields), "So tools are called."
    )


def test_changes_become_texts_of_their_system_turn() -> None:
    turn = Turn("system", (TextParam(text="Now:"), add("late"), remove("a")))
    mark = Breakpoint(1, (1,))
    prompt = described(USER, turn, tools=(A, LATE), breakpoints=(mark,))
    texts = prompt.turns[1].texts
    assert [text.splitlines()[0] for text in texts] == [
        "Now:",
        NOW,
        "You can no longer call this tool: a",
    ]
    assert prompt.breakpoints == (mark,)


def test_turn_of_a_deferred_definition_alone_disappears() -> None:
    later = Turn("system", (define("new", defer_loading=True),))
    mark = Breakpoint(1, (0,))
    prompt = described(USER, later, ANSWER, USER, breakpoints=(mark,))
    assert prompt.turns == (USER, ANSWER, USER)
    assert prompt.breakpoints == (Breakpoint(0, (0,)),)


def test_first_tool_of_a_prompt_without_tools_says_how_tools_are_called() -> None:
    system = Turn("system", (remove("new"), define("new"), define("other")))
    texts = described(USER, system, tools=()).turns[1].texts
    assert [text.splitlines()[0] for text in texts] == [
        "You can no longer call this tool: new",
        "So tools are called.",
        NOW,
    ]
    assert "So tools" not in described(USER, system).turns[1].texts[1]


BLOCKS = st.builds(
    lambda make, name: make(name),
    st.sampled_from(
        [
            reference,
            add,
            remove,
            define,
            lambda name: define(name, "other"),
            lambda name: define(name, defer_loading=True),
        ]
    ),
    st.sampled_from(["a", "late", "new"]),
)


@given(st.lists(BLOCKS), st.lists(BLOCKS))
def test_what_is_read_of_blocks_does_not_depend_on_later_ones(
    blocks: list[BlockParam], more: list[BlockParam]
) -> None:
    def texts(blocks: list[Any]) -> list[str | None]:
        offered = OfferedTools((A, LATE))
        return [offered.text(block) for block in blocks]

    assert texts([*blocks, *more])[: len(blocks)] == texts(blocks)


@given(st.lists(BLOCKS))
def test_tool_on_offer_is_described_in_its_present_form(blocks: list[Any]) -> None:
    """The last description that the prompt has of a tool is that of the tool on offer."""
    offered = OfferedTools((A, LATE))
    last = {"a": description_of(A)}
    for block in blocks:
        text = offered.text(block)
        if offered.describes:
            last[name_in(block) or ""] = json.loads((text or "").splitlines()[2])
        for tool in offered.offered():
            assert last[tool.name] == description_of(tool)
            assert not offered.is_withdrawn(tool.name)
        on_offer = names(offered.offered())
        if isinstance(block, ToolRemovalParam):
            assert name_in(block) not in on_offer
        definition = definition_in(block)
        if isinstance(block, ToolAdditionParam) and not (definition and definition.defer_loading):
            assert (name_in(block) in on_offer) == (name_in(block) in offered)
