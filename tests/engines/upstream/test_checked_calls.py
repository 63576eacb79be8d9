from typing import Any

import pytest

from antiphon.engines.base import (
    EngineError,
    EngineErrorKind,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    TextChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
    ToolChoice,
)
from antiphon.engines.upstream.checked_calls import CheckedCalls
from support.conversation import turn

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NESTED = {"anyOf": [{"required": ["a"], "properties": {"a": {"$ref": "#"}}}, {"maxProperties": 0}]}
DEEP = '{"a":' * 300 + "{}" + "}" * 300
"""An input that takes too long to be checked."""

OSLO = [ToolCallStart("weather", 1), ToolCallJson('{"city":', 1), ToolCallJson('"Oslo"}', 1)]
END = Finished(FinishReason.END_TURN)


def checked(
    *events: EngineEvent, choice: ToolChoice | None = None, **tool: Any
) -> list[list[EngineEvent]]:
    tools = (
        Tool(**{"name": "weather", "input_schema": CITY, **tool}),
        Tool(name="now", input_schema={}),
    )
    turns = (turn("user", "Hi"),)
    calls = CheckedCalls(Prompt(turns, 9, tools=tools, tool_choice=choice or ToolChoice()))
    said: list[list[EngineEvent]] = []
    for event in events:
        said.append(calls.feed(event))
        if calls.closed:
            break
    return said


def test_call_is_passed_on_when_it_is_complete() -> None:
    text = TextChunk("There", 1)
    assert checked(TextChunk("Hm", 1), *OSLO, text, END) == [
        [TextChunk("Hm", 1)], [], [], [], [*OSLO, text], [END],
    ]  # fmt: skip


def test_pieces_of_an_eager_call_are_passed_on_at_once() -> None:
    assert checked(*OSLO, END, eager_input_streaming=True) == [[one] for one in (*OSLO, END)]


def test_call_without_input_is_checked_as_an_empty_object() -> None:
    assert checked(ToolCallStart("now", 1), END)[-1] == [ToolCallStart("now", 1), END]


def test_a_second_call_ends_an_answer_that_may_have_only_one() -> None:
    choice = ToolChoice(parallel=False)
    said = checked(*OSLO, ToolCallStart("now", 1), TextChunk("more", 1), END, choice=choice)
    assert said == [[], [], [], [*OSLO, END]]


@pytest.mark.parametrize("reason", [FinishReason.MAX_TOKENS, FinishReason.CONTEXT_WINDOW])
def test_cut_call_is_passed_on_unchecked(reason: FinishReason) -> None:
    cut = Finished(reason)
    assert checked(*OSLO[:2], cut, strict=True)[-1] == [*OSLO[:2], cut]


@pytest.mark.parametrize(
    ("events", "more"),
    [
        ([ToolCallStart("made up", 1)], {}),
        ([ToolCallStart("weather", 1), ToolCallJson('{"city"', 1), END], {}),
        ([ToolCallStart("weather", 1), ToolCallJson("[1]", 1), END], {}),
        ([ToolCallStart("weather", 1), ToolCallJson("[" * 9999, 1), END], {}),
        ([ToolCallStart("weather", 1), ToolCallJson('{"town":"Oslo"}', 1), END], {"strict": True}),
        (
            [ToolCallStart("weather", 1), ToolCallJson(DEEP, 1), END],
            {"strict": True, "input_schema": NESTED},
        ),
        ([ToolCallStart("now", 1)], {"choice": ToolChoice(mode="tool", name="weather")}),
        ([ToolCallStart("now", 1)], {"choice": ToolChoice(mode="none")}),
        ([TextChunk("No.", 1), END], {"choice": ToolChoice(mode="any")}),
        ([TextChunk("No.", 1), END], {"choice": ToolChoice(mode="tool", name="weather")}),
    ],
)
def test_invalid_or_missing_call_is_a_failure_of_the_upstream(
    events: list[EngineEvent], more: dict[str, Any]
) -> None:
    with pytest.raises(EngineError) as caught:
        checked(*events, **more)
    assert caught.value.kind is EngineErrorKind.FAILED


def test_refusal_without_a_forced_call_is_passed_on() -> None:
    refused = Finished(FinishReason.REFUSAL)
    assert checked(refused, choice=ToolChoice(mode="any")) == [[refused]]


def test_call_of_a_tool_that_was_removed_fails() -> None:
    now, weather = (Tool(name=name, input_schema={}) for name in ("now", "weather"))
    prompt = Prompt((turn("user", "Hi"),), 9, tools=(now, weather), offered=(now,))
    assert CheckedCalls(prompt).feed(ToolCallStart("now", 1)) == []
    with pytest.raises(EngineError, match="not on offer"):
        CheckedCalls(prompt).feed(ToolCallStart("weather", 1))
