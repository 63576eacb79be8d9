"""Earlier calls of tools of the server, as an engine gets them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.prompt import Prompt
from antiphon.core.server_tools.history import NOTHING_FOUND
from antiphon.wire.content import TextParam, ToolReferenceParam, ToolResultParam, ToolUseParam
from support.requests import (
    ABLE,
    EPHEMERAL,
    PLAIN,
    assistant,
    call,
    prompt,
    refusal,
    result,
    system,
    text,
    tool,
    user,
)

LOADING = replace(ABLE, loads_tools=True)
SEARCH = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
TOOLS = [SEARCH, tool("near"), tool("late", defer_loading=True)]


def asked(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a call of the search."""
    given_ = {"pattern": "late"}
    name = "tool_search_tool_regex"
    kind = "server_tool_use"
    return {"type": kind, "id": f"srvtoolu_{number}", "name": name, "input": given_, **fields}


def found(*names: str, number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return the result of a call of the search."""
    references = [{"type": "tool_reference", "tool_name": name} for name in names]
    content = {"type": "tool_search_tool_search_result", "tool_references": references}
    return {
        "type": "tool_search_tool_result",
        "tool_use_id": f"srvtoolu_{number}",
        "content": content,
        **fields,
    }


def failed(number: int = 1, **why: str) -> dict[str, Any]:
    error = {
        "type": "tool_search_tool_result_error",
        "error_code": "invalid_tool_input",
        **why,
    }
    return {**found(number=number), "content": error}


def read(*messages: dict[str, Any], **fields: Any) -> Prompt:
    return prompt(*messages, capabilities=LOADING, **{"tools": TOOLS, **fields})


def shape(made: Prompt) -> list[tuple[str, list[str]]]:
    """Return the role of each turn, and what its blocks are."""
    return [(turn.role, [kind(block) for block in turn.content]) for turn in made.turns]


def kind(block: Any) -> str:
    match block:
        case TextParam(text=words):
            return words
        case ToolUseParam(id=one):
            return f"call {one}"
        case ToolResultParam(tool_use_id=one):
            return f"result {one}"
    raise AssertionError(block)


def test_turn_is_cut_where_the_server_answered() -> None:
    said = [text("I look."), asked(), found("late"), text("There.")]
    assert shape(read(user(), assistant(said), user("Go on."))) == [
        ("user", ["Hi"]),
        ("assistant", ["I look.", "call srvtoolu_1"]),
        ("user", ["result srvtoolu_1"]),
        ("assistant", ["There."]),
        ("user", ["Go on."]),
    ]


def test_results_of_the_server_come_before_those_of_the_caller() -> None:
    said = [asked(), call("a"), found()]
    assert shape(read(user(), assistant(said), user([result("a"), text("So?")])))[1:] == [
        ("assistant", ["call srvtoolu_1", "call a"]),
        ("user", ["result srvtoolu_1", "result a", "So?"]),
    ]


def test_message_that_paused_is_gone_on_with() -> None:
    made = read(user(), assistant([asked(1), found(number=1), asked(2), found(number=2)]))
    assert shape(made) == [
        ("user", ["Hi"]),
        ("assistant", ["call srvtoolu_1"]),
        ("user", ["result srvtoolu_1"]),
        ("assistant", ["call srvtoolu_2"]),
        ("user", ["result srvtoolu_2"]),
    ]


def test_system_message_follows_a_result_of_the_server() -> None:
    made = read(user(), assistant([asked(), found()]), system("Be brief."))
    assert shape(made)[2:] == [("user", ["result srvtoolu_1"]), ("system", ["Be brief."])]
    assert "must follow a 'user' message" in refusal(
        *[user(), assistant([asked(), found(), text("There.")]), system("Be brief.")],
        capabilities=LOADING,
        tools=TOOLS,
    )


def test_what_was_found_is_on_offer_from_then_on() -> None:
    made = read(user(), assistant([asked(), found("late")]), user())
    (reference,) = made.turns[2].content[0].content  # type: ignore[union-attr]
    assert reference == ToolReferenceParam(tool_name="late")
    assert [one.name for one in made.callable_tools] == [SEARCH["name"], "near", "late"]
    assert [one.name for one in read().callable_tools] == [SEARCH["name"], "near"]
    assert [one.name for one in made.searchable] == ["late"]


def test_engine_that_loads_no_tools_has_those_that_were_found_in_front() -> None:
    after = [user(), assistant([asked(), found("late")]), user()]
    mark = {"cache_control": EPHEMERAL}
    tools = [tool("x", defer_loading=True), *TOOLS[1:], {**SEARCH, **mark}]
    before = prompt(*after[:1], capabilities=ABLE, tools=tools)
    assert [one.name for one in before.tools] == ["near", SEARCH["name"]]
    assert before.breakpoints[0].path == (1,)
    made = prompt(*after, capabilities=ABLE, tools=tools)
    assert [one.name for one in made.tools] == ["near", "late", SEARCH["name"]]
    assert not any(one.deferred for one in made.tools)
    assert [one.name for one in made.searchable] == ["x", "late"]
    # Without a search of the server nobody could find them.
    assert len(prompt(*after[:1], capabilities=ABLE, tools=tools[:3]).tools) == 3


def test_other_tools_of_the_server_search_no_tools() -> None:
    web = {"type": "web_search_20250305", "name": "web_search"}
    made = prompt(capabilities=ABLE, tools=[web, tool("late", defer_loading=True)])
    assert [one.name for one in made.tools] == ["web_search", "late"]
    assert made.searchable == ()


def test_nothing_found_and_a_failure_are_read_as_such() -> None:
    why = {"error_message": "Invalid pattern."}
    said = [asked(1), found(number=1), asked(2), failed(2, **why), asked(3), failed(3)]
    results = [turn.content[0] for turn in read(user(), assistant(said)).turns[2::2]]
    assert results == [
        ToolResultParam(tool_use_id="srvtoolu_1", content=[TextParam(text=NOTHING_FOUND)]),
        ToolResultParam(tool_use_id="srvtoolu_2", content="Invalid pattern.", is_error=True),
        ToolResultParam(tool_use_id="srvtoolu_3", content="invalid_tool_input", is_error=True),
    ]


def test_breakpoints_stay_behind_their_blocks() -> None:
    mark = {"cache_control": EPHEMERAL}
    inside = found("late", number=2)
    inside["content"]["tool_references"][0].update(mark)
    said = [asked(1, **mark), found(number=1), asked(2), inside]
    made = read(user([text("Hi") | mark]), assistant(said), user([text("So?") | mark]))
    assert [(one.turn, one.path) for one in made.breakpoints] == [
        (0, (0,)),
        (1, (0,)),
        (4, (0, 0)),
        (4, (1,)),
    ]
    assert made.turns[4].content[1] == TextParam(text="So?")
    tools = [{**SEARCH, **mark}, *TOOLS[1:]]
    at_tool = read(user(), assistant([asked(), found()]), user(), tools=tools)
    assert [(one.turn, one.path) for one in at_tool.breakpoints] == [(None, (0,))]


@given(st.lists(st.sampled_from(["text", "round", "pair"]), max_size=5))
def test_longer_conversation_begins_with_the_shorter_one(parts: list[str]) -> None:
    """What the server let the model go on with is what comes back with the whole message."""
    said: list[dict[str, Any]] = [text("So.")]
    before: list[Any] = []
    for number, part in enumerate(parts):
        one, two = 2 * number, 2 * number + 1
        said += {
            "text": [text(f"{number}.")],
            "round": [asked(one), found("late", number=one)],
            "pair": [asked(one), asked(two), found(number=one), found(number=two)],
        }[part]
        turns = read(user(), assistant(said)).turns
        blocks = [(turn.role, block) for turn in turns for block in turn.content]
        assert blocks[: len(before)] == before
        before = blocks


NO_RESULT = (
    "messages.1: `{}` tool use with id `srvtoolu_1` was found without a corresponding `{}` block"
)
REFUSED = [
    (
        [user([asked()])],
        "messages.0.content.0: `server_tool_use` blocks can only be in `assistant` messages",
    ),
    (
        [user(), assistant([asked()])],
        NO_RESULT.format("tool_search_tool_regex", "tool_search_tool_result"),
    ),
    (
        [user(), assistant([asked(name="tool_search_tool_bm25")]), user()],
        NO_RESULT.format("tool_search_tool_bm25", "tool_search_tool_result"),
    ),
    (
        [user(), assistant([asked(name="code_execution"), {"type": "code_execution_tool_result"}])],
        "messages.1.content.0.server_tool_use: this server does not run 'code_execution'",
    ),
    (
        [user(), assistant([found()])],
        (
            "messages.1.content.0: unexpected `tool_use_id` found in `tool_search_tool_result` "
            "blocks: srvtoolu_1. Each `tool_search_tool_result` block must have a corresponding "
            "`server_tool_use` block before it."
        ),
    ),
    (
        [user(), assistant([asked(), found(), asked(), found()])],
        "messages.1.content.2: `server_tool_use` ids must be unique",
    ),
    (
        [user(), assistant([asked(), found("nothing")])],
        "Tool reference 'nothing' has no corresponding tool definition",
    ),
]


@pytest.mark.parametrize(("messages", "sentence"), REFUSED)
def test_call_and_result_that_do_not_fit_are_refused(
    messages: list[dict[str, Any]], sentence: str
) -> None:
    assert refusal(*messages, capabilities=LOADING, tools=TOOLS) == sentence


def test_result_for_a_call_of_the_server_is_refused() -> None:
    said = [user(), assistant([asked(), found()]), user([result("srvtoolu_1")])]
    assert "unexpected `tool_use_id` found" in refusal(*said, capabilities=LOADING, tools=TOOLS)


def test_model_without_tools_takes_none_of_their_blocks() -> None:
    messages = [user(), assistant([asked(), found()]), user()]
    assert refusal(*messages, capabilities=PLAIN) == (
        "messages.1.content.0.server_tool_use: this model does not support tools"
    )
