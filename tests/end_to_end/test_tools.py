"""Tools and structured outputs with the official SDK, on the scripted engine and the tiny model."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from support.processes import KEY, Program

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Paris", "London"]},
            "unit": {"type": "string", "enum": ["C", "F"]},
        },
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}
ONE = {"type": "any", "disable_parallel_tool_use": True}
ASK: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 120,
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    "tools": [WEATHER],
}


@pytest.fixture(params=["scripted", "tiny"])
def sdk(request: pytest.FixtureRequest) -> Iterator[anthropic.Anthropic]:
    program: Program = request.getfixturevalue(request.param)
    with anthropic.Anthropic(base_url=program.url, api_key=KEY, max_retries=0) as client:
        yield client


def call_of(message: Any) -> Any:
    (call,) = [block for block in message.content if block.type == "tool_use"]
    return call


@pytest.mark.covers("parameters: tool_choice", "effect")
@pytest.mark.covers("tools: custom", "effect")
def test_a_forced_call_fits_its_schema_and_its_result_is_taken(sdk: anthropic.Anthropic) -> None:
    choice = {"type": "tool", "name": "get_weather"}
    message = sdk.messages.create(**ASK, tool_choice=choice)
    call = call_of(message)
    assert message.stop_reason == "tool_use"
    assert call.id.startswith("toolu_01")
    assert call.input["city"] in {"Paris", "London"}
    assert call.input["unit"] in {"C", "F"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny, 21 degrees."}
    turns = [
        *ASK["messages"],
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    answer = sdk.messages.create(**{**ASK, "messages": turns}, tool_choice={"type": "none"})
    assert {block.type for block in answer.content} <= {"text"}


def test_a_streamed_call_parses_at_the_end(sdk: anthropic.Anthropic) -> None:
    with sdk.messages.stream(**ASK, tool_choice=ONE) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    assert json.loads("".join(pieces)) == call_of(message).input


def test_tools_are_counted_as_they_are_billed(sdk: anthropic.Anthropic) -> None:
    asked = {key: ASK[key] for key in ("model", "messages", "tools")}
    counted = sdk.messages.count_tokens(**asked, tool_choice={"type": "any"})
    message = sdk.messages.create(**ASK, tool_choice={"type": "any"})
    assert counted.input_tokens == message.usage.input_tokens


def test_one_question_with_tool_choice_any_gets_one_call(sdk: anthropic.Anthropic) -> None:
    for city in ("Rome", "Oslo"):
        question = {"role": "user", "content": f"How is the weather in {city}?"}
        message = sdk.messages.create(
            **{**ASK, "max_tokens": 200, "messages": [question]}, tool_choice={"type": "any"}
        )
        assert message.stop_reason == "tool_use"
        assert len(message.content) == 1


@pytest.mark.covers("parameters: output_config.format", "effect")
def test_a_structured_output_fits_its_schema(sdk: anthropic.Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string", "enum": ["Paris", "Lyon"]}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    message = sdk.messages.create(
        model=ASK["model"],
        max_tokens=60,
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    (block,) = message.content
    assert block.type == "text"
    assert json.loads(block.text)["capital"] in {"Paris", "Lyon"}
