"""Runners of both clients, from the request to the last answer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import antiphon
from support.sdk import (
    AsyncScriptedTransport,
    Reply,
    ScriptedTransport,
    events_of,
    frames,
    message_json,
)

ASKED: Any = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Is it warm in Oslo?"}],
}
CALL = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
CALLS = {"content": [CALL, {**CALL, "id": "t2"}], "stop_reason": "tool_use"}
RESULTS = {
    "role": "user",
    "content": [
        {"type": "tool_result", "tool_use_id": one, "content": "warm in Oslo"}
        for one in ("t1", "t2")
    ],
}


@antiphon.tool
def weather(city: str) -> str:
    return f"warm in {city}"


@antiphon.tool(name="weather")
async def slow_weather(city: str) -> str:
    await asyncio.sleep(0)
    return f"warm in {city}"


class Warmth(antiphon.types.Answered, frozen=True, kw_only=True):
    warm: bool


def whole() -> list[Reply]:
    return [
        Reply(json=message_json(**CALLS)),
        Reply(json=message_json(content=[{"type": "text", "text": '{"warm": true}'}])),
    ]


def streamed() -> list[Reply]:
    call = events_of(
        '{"city":',
        '"Oslo"}',
        block={**CALL, "input": {}},
        delta=lambda piece: {"type": "input_json_delta", "partial_json": piece},
        ending={"stop_reason": "tool_use"},
    )
    return [Reply(chunks=[frames(call)]), Reply(chunks=[frames(events_of('{"warm":', " true}"))])]


def blocking(*replies: Reply) -> tuple[antiphon.Client, ScriptedTransport]:
    transport = ScriptedTransport(*replies)
    return antiphon.Client(api_key="k", transport=transport), transport


def asynchronous(*replies: Reply) -> tuple[antiphon.AsyncClient, AsyncScriptedTransport]:
    transport = AsyncScriptedTransport(*replies)
    return antiphon.AsyncClient(api_key="k", transport=transport), transport


def test_answers_come_one_by_one_and_calls_run_in_between() -> None:
    client, transport = blocking(*whole())
    runner = client.messages.run_tools(**ASKED, tools=[weather])
    messages = list(runner)
    assert [one.stop_reason for one in messages] == ["tool_use", "end_turn"]
    assert transport.body(0)["tools"] == [weather.to_dict()]
    assert transport.body(1)["messages"][1:] == [
        {"role": "assistant", "content": CALLS["content"]},
        RESULTS,
    ]
    assert runner.messages[-1]["role"] == "assistant"
    assert runner.usage.output_tokens == 10
    assert runner.iterations == 2
    assert runner.until_done() is messages[-1]


async def drive_async(tools: list[Any]) -> None:
    client, transport = asynchronous(*whole())
    runner = client.messages.run_tools(**ASKED, tools=tools)
    messages = [one async for one in runner]
    assert [one.stop_reason for one in messages] == ["tool_use", "end_turn"]
    assert transport.body(1)["messages"][2] == RESULTS
    assert await runner.until_done() is messages[-1]


@pytest.mark.parametrize("tools", [[weather], [slow_weather]])
def test_answers_of_an_async_client_come_one_by_one(tools: list[Any]) -> None:
    asyncio.run(drive_async(tools))


def test_streams_come_one_by_one_and_need_not_be_read() -> None:
    replies = streamed()
    client, transport = blocking(*replies)
    runner = client.messages.run_tools(**ASKED, tools=[weather], stream=True)
    next(runner)
    texts = list(next(runner).text_stream)
    assert texts == ['{"warm":', " true}"]
    assert transport.body(1)["messages"][-1]["content"] == RESULTS["content"][:1]
    assert runner.until_done().text == '{"warm": true}'
    assert all(reply.closed for reply in replies)


def test_streams_of_an_async_client_come_one_by_one() -> None:
    async def drive() -> None:
        replies = streamed()
        client, transport = asynchronous(*replies)
        runner = client.messages.run_tools(**ASKED, tools=[slow_weather], stream=True)
        async for _ in runner:
            pass
        assert transport.body(1)["messages"][-1]["content"] == RESULTS["content"][:1]
        assert (await runner.until_done()).text == '{"warm": true}'
        assert all(reply.closed for reply in replies)

    asyncio.run(drive())


def test_stream_that_is_left_is_closed_with_its_runner() -> None:
    replies = streamed()
    client, _ = blocking(*replies)
    with client.messages.run_tools(**ASKED, tools=[weather], stream=True) as runner:
        next(runner)
    assert replies[0].closed

    async def leave() -> None:
        client, _ = asynchronous(*(others := streamed()))
        async with client.messages.run_tools(**ASKED, tools=[weather], stream=True) as runner:
            await anext(runner)
        assert others[0].closed

    asyncio.run(leave())


def test_last_answer_is_a_value_of_a_type() -> None:
    client, transport = blocking(*whole())
    runner = client.messages.run_tools(**ASKED, tools=[weather], output_format=Warmth)
    first = next(runner)
    assert first.parsed_output is None
    assert runner.until_done().output == Warmth(warm=True)
    assert transport.body(0)["output_config"]["format"]["type"] == "json_schema"

    async def drive() -> None:
        client, _ = asynchronous(*streamed())
        runner = client.messages.run_tools(
            **ASKED, tools=[weather], output_format=Warmth, stream=True
        )
        assert (await runner.until_done()).output == Warmth(warm=True)

    asyncio.run(drive())


def test_results_can_be_changed_before_they_are_sent() -> None:
    client, transport = blocking(*whole())
    ran: list[str] = []

    def look(city: str) -> str:
        ran.append(city)
        return "warm"

    runner = client.messages.run_tools(**ASKED, tools=[antiphon.tool(look, name="weather")])
    message = next(runner)
    response = runner.generate_tool_call_response()
    assert response is not None
    response["content"][0]["content"] = "changed"
    runner.append_messages(message, response)
    assert runner.until_done().stop_reason == "end_turn"
    assert ran == ["Oslo", "Oslo"]
    sent = transport.body(1)["messages"][-1]["content"]
    assert [one["content"] for one in sent] == ["changed", "warm"]
    assert runner.generate_tool_call_response() is None


def test_results_of_an_async_client_are_made_once() -> None:
    async def drive() -> None:
        client, transport = asynchronous(*streamed())
        runner = client.messages.run_tools(**ASKED, tools=[weather], stream=True)
        await anext(runner)
        response = await runner.generate_tool_call_response()
        assert response == {**RESULTS, "content": RESULTS["content"][:1]}
        await anext(runner)
        assert transport.body(1)["messages"][-1] == response
        await runner.close()

    asyncio.run(drive())


def test_conversation_survives_a_request_that_fails() -> None:
    failing = Reply(400, json={"type": "error", "error": {"type": "x", "message": "no"}})
    first, last = whole()
    client, transport = blocking(first, failing, last)
    runner = client.messages.run_tools(**ASKED, tools=[weather])
    next(runner)
    with pytest.raises(antiphon.BadRequestError):
        next(runner)
    assert runner.messages[-1] == RESULTS
    assert next(runner).stop_reason == "end_turn"
    assert transport.body(1) == transport.body(2)


@pytest.mark.parametrize("change", [{"max_tokens": 30}, lambda now: {**now, "max_tokens": 30}])
def test_parameters_change_on_the_way(change: Any) -> None:
    client, transport = blocking(*whole())
    runner = client.messages.tool_runner(**ASKED, tools=[weather])
    next(runner)
    wanted = change if callable(change) else {"model": "m", **change}
    runner.set_messages_params(wanted)
    next(runner)
    assert transport.body(1)["max_tokens"] == 30


def test_options_of_runs_are_not_sent() -> None:
    client, transport = blocking(*whole())
    asked: list[str] = []

    def approve(call: antiphon.ToolCall) -> bool:
        asked.append(call.id)
        return call.id == "t2"

    runner = client.messages.run_tools(
        **ASKED, tools=[weather], max_iterations=5, approve=approve, parallel_calls=False
    )
    runner.until_done()
    assert asked == ["t1", "t2"]
    assert transport.body(0).keys() == {"model", "max_tokens", "messages", "tools"}
    errors = [one.get("is_error") for one in transport.body(1)["messages"][-1]["content"]]
    assert errors == [True, None]


def test_wrong_parameters_are_told_before_anything_is_sent() -> None:
    client, transport = blocking(*whole())
    with pytest.raises(TypeError, match="tool 'weather' is async"):
        client.messages.run_tools(**ASKED, tools=[slow_weather])
    with pytest.raises(TypeError, match="has no parameter max_iteration"):
        next(client.messages.run_tools(**ASKED, tools=[weather], max_iteration=3))
    assert not transport.requests


@pytest.mark.parametrize("given", [weather, weather.func, weather.to_dict()])
def test_message_takes_functions_as_tools(given: Callable[..., Any]) -> None:
    client, transport = blocking(*whole())
    client.messages.create(**ASKED, tools=[given])
    assert transport.body()["tools"] == [weather.to_dict()]
