"""The rules of a conversation with tools."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.sdk.tools.definition import tool
from antiphon.sdk.tools.loop import ToolLoop
from antiphon.sdk.tools.results import ToolResult
from antiphon.sdk.types.base import as_json
from antiphon.sdk.types.decoding import decode_answer
from antiphon.sdk.types.message import Message
from support.examples import examples

ASKED = {"role": "user", "content": "Is it warm?"}
CALL = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
OTHER_CALL = {**CALL, "id": "t2", "name": "bash"}
TEXT = {"type": "text", "text": "Yes."}


@tool
def weather(city: str) -> str:
    return f"It is warm in {city}."


def answer(*content: dict[str, Any], stop_reason: str = "end_turn", **usage: Any) -> Message:
    """Return an answer as the server sends it."""
    return decode_answer(
        Message,
        msgspec.json.encode(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": content,
                "stop_reason": stop_reason,
                "usage": {"input_tokens": 1, "output_tokens": 2, **usage},
            }
        ),
    )


def loop_of(*tools: Any, max_iterations: int | None = None, **parameters: Any) -> ToolLoop:
    return ToolLoop(
        {"messages": [ASKED], "tools": tools or [weather], **parameters}, max_iterations
    )


def run(loop: ToolLoop, reply: Message, *, results: bool = True) -> dict[str, Any] | None:
    """Give an answer and the results of its calls, and return the next request."""
    loop.take(reply)
    if results and (calls := loop.calls()):
        loop.take_results([ToolResult(call=one, content=f"of {one.id}") for one in calls])
    return loop.request()


def plain(messages: Any) -> Any:
    return as_json(messages)


def result_of(call: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": f"of {call}"}


def test_call_is_run_and_its_result_is_sent() -> None:
    loop = loop_of(max_tokens=9)
    first = loop.request()
    assert first == {"max_tokens": 9, "messages": [ASKED], "tools": [weather.to_dict()]}
    second = run(loop, answer(TEXT, CALL, stop_reason="tool_use"))
    assert second is not None
    assert plain(second["messages"]) == [
        ASKED,
        {"role": "assistant", "content": [TEXT, CALL]},
        {"role": "user", "content": [result_of("t1")]},
    ]
    assert run(loop, answer(TEXT)) is None
    assert plain(loop.conversation())[3:] == [{"role": "assistant", "content": [TEXT]}]
    assert loop.iterations == 2


def test_results_keep_the_order_of_the_calls() -> None:
    loop = loop_of()
    loop.request()
    request = run(loop, answer(CALL, {**CALL, "id": "t2"}, stop_reason="tool_use"))
    assert request is not None
    assert request["messages"][-1]["content"] == [result_of("t1"), result_of("t2")]


def test_paused_turn_is_sent_back_and_calls_nothing() -> None:
    loop = loop_of()
    loop.request()
    loop.take(answer(TEXT, stop_reason="pause_turn"))
    assert loop.calls() == []
    request = loop.request()
    assert request is not None
    assert plain(request["messages"]) == [ASKED, {"role": "assistant", "content": [TEXT]}]


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("end_turn", [TEXT]),
        ("stop_sequence", [TEXT]),
        ("max_tokens", [TEXT]),
        ("model_context_window_exceeded", [TEXT]),
        ("refusal", None),
        ("something_new", [TEXT]),
    ],
)
def test_other_reasons_end_it_and_leave_a_conversation_to_go_on_with(
    reason: str, kept: list[Any] | None
) -> None:
    loop = loop_of()
    loop.request()
    assert run(loop, answer(TEXT, CALL, stop_reason=reason)) is None
    expected = [] if kept is None else [{"role": "assistant", "content": kept}]
    assert plain(loop.conversation()) == [ASKED, *expected]


def test_empty_answer_leaves_no_message() -> None:
    loop = loop_of()
    loop.request()
    assert run(loop, answer(CALL, stop_reason="max_tokens")) is None
    assert loop.conversation() == [ASKED]


def test_call_of_an_unknown_tool_tells_the_names() -> None:
    loop = loop_of()
    loop.request()
    loop.take(answer(OTHER_CALL, stop_reason="tool_use"))
    (call,) = loop.calls()
    assert call.tool is None
    result = loop.unknown(call)
    assert result.is_error
    assert result.content == "UnknownToolError: there is no tool 'bash'; there are: weather"


def test_call_of_a_tool_without_a_function_is_left_to_the_program() -> None:
    loop = loop_of(weather, {"type": "bash_20250124", "name": "bash"})
    loop.request()
    reply = answer(CALL, OTHER_CALL, stop_reason="tool_use")
    assert run(loop, reply) is None
    results = {"role": "user", "content": [result_of("t1"), result_of("t2")]}
    loop.append([results])
    request = loop.request()
    assert request is not None
    assert plain(request["messages"])[1:] == [
        {"role": "assistant", "content": [CALL, OTHER_CALL]},
        results,
    ]


def test_most_iterations_end_it_behind_the_results() -> None:
    loop = loop_of(max_iterations=1)
    loop.request()
    assert run(loop, answer(CALL, stop_reason="tool_use")) is None
    assert loop.conversation()[-1] == {"role": "user", "content": [result_of("t1")]}
    with pytest.raises(ValueError, match="at least 1"):
        loop_of(max_iterations=0)


def test_appended_message_comes_behind_the_results() -> None:
    loop = loop_of()
    loop.request()
    loop.take(answer(CALL, stop_reason="tool_use"))
    loop.append([{"role": "user", "content": "Hurry."}])
    assert len(loop.calls()) == 1
    loop.take_results([ToolResult(call=loop.calls()[0], content="of t1")])
    request = loop.request()
    assert request is not None
    assert plain(request["messages"])[1:] == [
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [result_of("t1")]},
        {"role": "user", "content": "Hurry."},
    ]


def test_whoever_appends_the_answer_has_answered_its_calls() -> None:
    loop = loop_of()
    loop.request()
    reply = answer(CALL, stop_reason="tool_use")
    loop.take(reply)
    own = {"role": "user", "content": [{**result_of("t1"), "content": "changed"}]}
    loop.append([reply, own])
    assert loop.calls() == []
    request = loop.request()
    assert request is not None
    assert plain(request["messages"])[1:] == [{"role": "assistant", "content": [CALL]}, own]


def test_appended_message_goes_on_with_what_was_over() -> None:
    loop = loop_of()
    loop.request()
    assert run(loop, answer(TEXT)) is None
    loop.append([{"role": "user", "content": "And tomorrow?"}])
    request = loop.request()
    assert request is not None
    assert len(request["messages"]) == 3


def test_message_before_the_first_request_is_a_part_of_it() -> None:
    loop = loop_of()
    loop.append([{"role": "user", "content": "Quick."}])
    request = loop.request()
    assert request is not None
    assert len(request["messages"]) == 2


def test_parameters_can_be_replaced() -> None:
    loop = loop_of(max_tokens=9)
    loop.request()
    loop.set_parameters(lambda now: {**now, "max_tokens": 20})
    request = run(loop, answer(CALL, stop_reason="tool_use"))
    assert request is not None
    assert request["max_tokens"] == 20
    assert request["tools"] == [weather.to_dict()]
    loop.set_parameters({"max_tokens": 30, "messages": [], "tools": None})
    assert loop.parameters == {"max_tokens": 30, "messages": []}


@pytest.mark.parametrize(
    ("choice", "after"),
    [
        ({"type": "any", "disable_parallel_tool_use": True}, "auto"),
        ({"type": "tool", "name": "weather", "disable_parallel_tool_use": True}, "auto"),
        ({"type": "none", "disable_parallel_tool_use": True}, "none"),
    ],
)
def test_forced_call_is_forced_once(choice: dict[str, Any], after: str) -> None:
    loop = loop_of(tool_choice=choice)
    first = loop.request()
    assert first is not None
    assert first["tool_choice"] == choice
    request = run(loop, answer(CALL, stop_reason="tool_use"))
    assert request is not None
    assert request["tool_choice"] == {"type": after, "disable_parallel_tool_use": True}


def test_usage_is_the_sum_of_all_answers() -> None:
    loop = loop_of()
    loop.request()
    details: dict[str, Any] = {
        "cache_creation": {"ephemeral_5m_input_tokens": 4},
        "service_tier": "standard",
    }
    run(loop, answer(CALL, stop_reason="tool_use", cache_read_input_tokens=None, **details))
    run(loop, answer(TEXT, cache_read_input_tokens=3, **details))
    assert loop.usage == {
        "input_tokens": 2,
        "output_tokens": 4,
        "cache_read_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 8},
        "service_tier": "standard",
    }


def test_plain_functions_are_tools() -> None:
    def look(city: str) -> str:
        """Look."""
        return city

    assert loop_of(look).parameters["tools"] == [tool(look).to_dict()]


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two tools have the name weather"):
        loop_of(weather, {"name": "weather", "input_schema": {"type": "object"}})


def test_async_tool_is_refused_where_nothing_awaits_it() -> None:
    @tool
    async def look(city: str) -> str:
        return city

    with pytest.raises(TypeError, match="tool 'look' is async: run it with an AsyncClient"):
        ToolLoop({"messages": [], "tools": [look]}, takes_async=False)
    assert ToolLoop({"messages": [], "tools": [look]}).parameters["tools"]


def test_nothing_is_final_before_something_was_asked() -> None:
    with pytest.raises(RuntimeError, match="nothing was asked"):
        loop_of().final()


REASONS = ("tool_use", "tool_use", "pause_turn", "end_turn", "max_tokens", "refusal", "new")
BLOCKS = st.sampled_from(["text", "weather", "unknown"])


@settings(max_examples=examples(4))
@given(
    st.lists(st.tuples(st.lists(BLOCKS, max_size=3), st.sampled_from(REASONS)), max_size=6),
    st.none() | st.integers(1, 4),
    st.sets(st.integers(0, 5)),
)
def test_conversation_can_be_sent_again_whatever_ended_it(
    replies: list[tuple[list[str], str]], most: int | None, appending: set[int]
) -> None:
    loop = loop_of(max_iterations=most)
    request = loop.request()
    for number, (blocks, reason) in enumerate(replies):
        if request is None:
            break
        content = [
            TEXT if kind == "text" else {**CALL, "id": f"t{number}_{at}", "name": kind}
            for at, kind in enumerate(blocks)
            # The server pauses its own calls only.
            if kind == "text" or reason != "pause_turn"
        ]
        if number in appending:
            loop.append([ASKED])
        request = run(loop, answer(*content, stop_reason=reason))
        messages = plain(loop.conversation() if request is None else request["messages"])
        for at, message in enumerate(messages):
            if message["role"] == "assistant":
                calls = [one["id"] for one in message["content"] if one["type"] == "tool_use"]
                results = messages[at + 1]["content"] if calls else []
                assert [one["tool_use_id"] for one in results] == calls
