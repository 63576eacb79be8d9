"""What a model says in one round, and the prompt of the next one."""

from typing import Any

from antiphon.core.late_tools import NAMED
from antiphon.core.prompt import (
    EngineEvent,
    Prompt,
    RedactedThought,
    Started,
    TextChunk,
    ThinkingChunk,
    ThinkingSignature,
    Tool,
    ToolCallJson,
    ToolCallStart,
    ToolChoice,
    Turn,
)
from antiphon.core.server_tools.rounds import Round, ServerCall, next_round, results_turn
from antiphon.wire.content import (
    RedactedThinkingParam,
    TextParam,
    ThinkingParam,
    ToolReferenceParam,
    ToolResultParam,
    ToolUseParam,
)
from antiphon.wire.server_blocks import (
    ToolReferenceBlock,
    ToolSearchErrorBlock,
    ToolSearchResultBlock,
    ToolSearchToolResultBlock,
)

CALL = ToolCallStart("search", 1)
LATE = Tool(name="late", input_schema={}, deferred=True)
HERE = Tool(name="here", input_schema={})


def said(*events: EngineEvent | tuple[EngineEvent, str]) -> Round:
    round_ = Round()
    for event in events:
        round_.add(*(event if isinstance(event, tuple) else (event,)))
    return round_


def found(*names: str) -> ToolSearchToolResultBlock:
    references = tuple(ToolReferenceBlock(tool_name=name) for name in names)
    content = ToolSearchResultBlock(tool_references=references)
    return ToolSearchToolResultBlock(tool_use_id="srvtoolu_1", content=content)


def prompt(*turns: Turn, **fields: Any) -> Prompt:
    asked = Turn("user", (TextParam(text="Hi"),))
    given = {"max_tokens": 10, "tools": (HERE, LATE), "searchable": (LATE,), **fields}
    return Prompt((asked, *turns), **given)


def going_on(
    before: Prompt, blocks: list[Any], results: list[Any], *, spent: int, loads_tools: bool
) -> Prompt:
    came = results_turn(results, loads_tools=loads_tools)
    return next_round(before, blocks, results, came, spent=spent, loads_tools=loads_tools)


def test_pieces_become_the_blocks_that_come_back() -> None:
    one = said(
        ThinkingChunk("Hm", 1),
        ThinkingChunk(".", 1),
        ThinkingSignature("proof"),
        RedactedThought("hidden"),
        TextChunk("I ", 1),
        TextChunk("look.", 1),
        (CALL, "srvtoolu_1"),
        ToolCallJson('{"a"', 1),
        ToolCallJson(":1}", 1),
        ToolCallStart("here", 1),
        TextChunk("And.", 1),
    )
    assert one.end() == [
        ThinkingParam(thinking="Hm.", signature="proof"),
        RedactedThinkingParam(data="hidden"),
        TextParam(text="I look."),
        ToolUseParam(id="srvtoolu_1", name="search", input={"a": 1}),
        ToolUseParam(id="", name="here", input={}),
        TextParam(text="And."),
    ]
    assert one.calls == [ServerCall("srvtoolu_1", "search", {"a": 1})]
    assert one.calls_client


def test_thought_that_nobody_may_read_is_kept_by_its_proof() -> None:
    assert said(ThinkingSignature("proof"), TextChunk("", 1)).end() == [
        ThinkingParam(thinking="", signature="proof")
    ]
    assert said(ThinkingChunk("", 1)).end() == []
    assert said(ThinkingChunk("So.", 1)).end() == [ThinkingParam(thinking="So.", signature="")]


def test_other_events_say_nothing() -> None:
    assert said(Started(input_tokens=1)).end() == []


def test_call_that_was_cut_has_no_input() -> None:
    one = said((CALL, "a"), ToolCallJson('{"x": "y", "z": "', 1))
    assert one.end() == [ToolUseParam(id="a", name="search", input={"x": "y"})]
    assert one.calls == [ServerCall("a", "search", None)]
    assert not one.calls_client
    nested = said((CALL, "a"), ToolCallJson('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", 1))
    assert nested.end() == [ToolUseParam(id="a", name="search", input={})]
    assert nested.calls == [ServerCall("a", "search", None)]
    listed = said((CALL, "a"), ToolCallJson("[]", 1))
    assert listed.end() == [ToolUseParam(id="a", name="search", input={})]
    assert listed.calls == [ServerCall("a", "search", None)]


def test_model_goes_on_behind_what_it_said_and_what_came_of_it() -> None:
    call = ToolUseParam(id="srvtoolu_1", name="search", input={})
    choice = ToolChoice(mode="any", parallel=False)
    following = going_on(
        prompt(tool_choice=choice), [call], [found("late")], spent=4, loads_tools=True
    )
    assert following.turns[1:] == (
        Turn("assistant", (call,)),
        Turn(
            "user",
            (
                ToolResultParam(
                    tool_use_id="srvtoolu_1", content=[ToolReferenceParam(tool_name="late")]
                ),
            ),
        ),
    )
    assert following.max_tokens == 6
    assert following.tool_choice == ToolChoice(parallel=False)
    assert [tool.name for tool in following.callable_tools] == ["here", "late"]
    assert following.tools == (HERE, LATE)
    none = prompt(tool_choice=ToolChoice(mode="none"), searchable=())
    following = going_on(none, [call], [], spent=0, loads_tools=True)
    assert following.tool_choice is none.tool_choice
    assert following.offered is None


def test_engine_that_loads_no_tools_gets_what_was_found_in_front_once() -> None:
    call = ToolUseParam(id="srvtoolu_1", name="search", input={})
    first = going_on(prompt(tools=(HERE,)), [call], [found("late")], spent=0, loads_tools=False)
    second = going_on(first, [call], [found("late")], spent=0, loads_tools=False)
    assert [(tool.name, tool.deferred) for tool in second.tools] == [
        ("here", False),
        ("late", False),
    ]
    (result,) = first.turns[-1].content
    assert isinstance(result, ToolResultParam)
    assert result.content == [TextParam(text=NAMED.format(name="late"))]


def test_failure_is_a_result_too() -> None:
    error = ToolSearchErrorBlock(error_code="unavailable")
    block = ToolSearchToolResultBlock(tool_use_id="srvtoolu_1", content=error)
    for loads in (True, False):
        following = going_on(prompt(), [TextParam(text="a")], [block], spent=0, loads_tools=loads)
        assert following.turns[-1].content == (
            ToolResultParam(tool_use_id="srvtoolu_1", content="unavailable", is_error=True),
        )


def test_prefill_and_what_follows_are_one_turn_and_one_text() -> None:
    call = ToolUseParam(id="srvtoolu_1", name="search", input={})
    prefill = Turn("assistant", (TextParam(text="One, "),))
    text = TextParam(text="two.")
    following = going_on(prompt(prefill), [text, call], [found()], spent=0, loads_tools=True)
    assert following.turns[1].content == (TextParam(text="One, two."), call)
    following = going_on(prompt(prefill), [call], [found()], spent=0, loads_tools=True)
    assert following.turns[1].content == (TextParam(text="One, "), call)
