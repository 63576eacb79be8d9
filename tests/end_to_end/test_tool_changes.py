"""Tools that change in the middle of a conversation, with the beta client of the official SDK."""

from collections.abc import Iterator
from typing import Any, Literal

import anthropic
import pytest
from anthropic import beta_tool

from support.processes import KEY, Program
from support.tool_changes import addition, definition, removal

INLINE = "inline-tools-2026-09-15"
CHANGES = "mid-conversation-tool-changes-2026-07-01"
CLEARING = "mid-conversation-system-clear-at-2026-08-21"
CLOCK: dict[str, Any] = {
    "name": "get_time",
    "description": "Get the time in a zone.",
    "input_schema": {
        "type": "object",
        "properties": {"zone": {"enum": ["UTC", "CET"]}},
        "required": ["zone"],
    },
}
QUESTION = {"role": "user", "content": "What is the weather in Paris, and how late is it?"}
ASK: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 90,
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
}


# A tiny model may not end a free text within `max_tokens`.
@beta_tool
def get_weather(city: Literal["Paris", "Rome"]) -> str:
    """Get the weather of a city."""
    return f"It rains in {city}."


@beta_tool
def get_time() -> str:
    """Get the time."""
    return "It is ten."


WEATHER: Any = get_weather.to_dict()


@pytest.fixture(params=["scripted", "tiny"])
def sdk(request: pytest.FixtureRequest) -> Iterator[anthropic.Anthropic]:
    program: Program = request.getfixturevalue(request.param)
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        yield client


def called(message: Any) -> list[str]:
    return [block.name for block in message.content if block.type == "tool_use"]


def test_added_tool_is_called_and_a_removed_one_is_not(sdk: anthropic.Anthropic) -> None:
    tools: Any = [WEATHER, {**CLOCK, "defer_loading": True}]
    changes: Any = [addition("get_time"), removal("get_weather")]
    asked: Any = [QUESTION, {"role": "system", "content": changes}]
    message = sdk.beta.messages.create(**ASK, tools=tools, messages=asked, betas=[CHANGES])
    assert called(message) == ["get_time"]
    counted = sdk.beta.messages.count_tokens(
        model=ASK["model"],
        tool_choice=ASK["tool_choice"],
        tools=tools,
        messages=asked,
        betas=[CHANGES],
    )
    assert counted.input_tokens == message.usage.input_tokens
    before = sdk.beta.messages.create(**ASK, tools=tools, messages=asked[:1], betas=[CHANGES])
    assert called(before) == ["get_weather"]


def test_tool_of_a_message_is_called_without_any_other(sdk: anthropic.Anthropic) -> None:
    changes = [definition("get_time", "Get the time."), {"type": "text", "text": "Be exact."}]
    asked: Any = [QUESTION, {"role": "system", "content": changes}]
    with sdk.beta.messages.stream(**ASK, messages=asked, betas=[INLINE]) as stream:
        message = stream.get_final_message()
    assert called(message) == ["get_time"]


def test_tool_runner_changes_its_tools_while_it_runs(sdk: anthropic.Anthropic) -> None:
    runner = sdk.beta.messages.tool_runner(
        **ASK, tools=[get_weather], messages=[QUESTION], max_iterations=3, betas=[INLINE]
    )
    rounds = []
    for message in runner:
        rounds.append(called(message))
        if len(rounds) == 1:
            # A tool that is removed is not run any more.
            assert runner.generate_tool_call_response() is not None
            runner.add_tools(get_time)
            runner.remove_tools("get_weather")
    assert rounds == [["get_weather"], ["get_time"], ["get_time"]]


def test_tool_that_is_not_defined_is_named_for_programs(sdk: anthropic.Anthropic) -> None:
    asked: Any = [QUESTION, {"role": "system", "content": [removal("nobody")]}]
    with pytest.raises(anthropic.BadRequestError) as caught:
        sdk.beta.messages.create(**ASK, tools=[WEATHER], messages=asked, betas=[CHANGES])
    body: Any = caught.value.body
    assert body["error"]["details"] == {"error_code": "tool_reference_unresolved"}


def test_turn_scoped_message_costs_nothing_once_it_is_cleared(sdk: anthropic.Anthropic) -> None:
    reminder = {"role": "system", "content": "Be brief.", "clear_at": "next_user_message"}

    def count(*messages: Any) -> int:
        return sdk.beta.messages.count_tokens(
            model=ASK["model"], messages=messages, betas=[CLEARING]
        ).input_tokens

    answer = {"role": "assistant", "content": "It rains."}
    assert count(QUESTION, reminder) > count(QUESTION)
    assert count(QUESTION, reminder, answer, QUESTION) == count(QUESTION, answer, QUESTION)
