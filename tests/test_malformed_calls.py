"""What the benchmark of malformed calls counts, and what it does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.malformed_calls import (
    CITIES,
    CUT,
    HARMLESS,
    QUESTIONS,
    TOOLS,
    TURNS,
    Answer,
    _kept,
    answers,
    faults,
    holds,
    requests,
)

WEATHER, ROUTE, REMINDER, CONVERT, CODE = (one["input_schema"] for one in TOOLS)
GOOD = {"city": "Paris", "unit": "C"}


def call(given: Any, name: str = "get_weather") -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": given}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def counted(*blocks: Any, choice: str = "auto", stop: str = "end_turn", status: int = 200) -> Any:
    body = {"tools": [TOOLS[0], TOOLS[1]], "tool_choice": {"type": choice}}
    return faults(body, status, json.dumps({"content": blocks, "stop_reason": stop}).encode())


def test_good_answers_have_no_fault() -> None:
    assert counted(call(GOOD), choice="any", stop="tool_use") == set()
    assert counted(text("I look."), call(GOOD), call(GOOD), stop="tool_use") == set()
    assert counted(text("It rains.")) == set()
    assert counted(text("It rains and"), stop="max_tokens") == set()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (call(GOOD, "set_reminder"), "unknown tool"),
        (call({"city": "Paris"}), "not of the schema"),
        (call({**GOOD, "unit": "K"}), "not of the schema"),
        (call({**GOOD, "more": 1}), "not of the schema"),
        (call('{"city": "Pa'), "no object"),
        (text('<tool_call>\n{"name": "get_weather"'), "marks of calls in a text"),
        (text("It rains.<|im_end|>"), TURNS),
    ],
)
def test_each_fault_is_found(given: Any, fault: str) -> None:
    assert counted(given) == {fault}


def test_mark_of_a_turn_breaks_no_agent() -> None:
    assert counted(text("It rains.<|im_end|>"), call(GOOD), stop="tool_use") <= HARMLESS
    assert not counted(text("<|im_end|>"), choice="any") <= HARMLESS


def test_column_asks_all_and_keeps_what_was_answered_in_its_time() -> None:
    def ask(body: dict[str, Any]) -> Answer:
        return {body["messages"][0]["content"]}, body["tool_choice"]["type"] == "any"

    asked = list(answers(ask, 11, seconds=60))
    assert asked == [ask(body) for body in requests(11)]
    assert list(answers(ask, 11, seconds=0)) == []


def test_call_that_was_demanded_is_missed() -> None:
    assert counted(text("It rains."), choice="any") == {"no call"}
    assert counted(text("It"), choice="any", stop="max_tokens") == {"no call"}


def test_only_the_last_call_may_be_cut_off_where_the_answer_says_so() -> None:
    assert counted(call({}), stop="max_tokens") == {CUT}
    assert {CUT} <= HARMLESS
    assert counted(call({}), call(GOOD), stop="max_tokens") == {CUT, "not of the schema"}
    assert counted(call(GOOD), call({}), stop="max_tokens") == {CUT}
    assert counted(call({}), stop="tool_use") == {"not of the schema"}
    assert counted(call({}), text("and"), stop="max_tokens") == {"not of the schema"}
    assert counted(call('{"ci'), stop="max_tokens") == {CUT, "no object"}
    assert counted(call({}, "set_reminder"), stop="max_tokens") == {CUT, "unknown tool"}


def test_malformed_answer_is_kept_with_its_request(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    for number in range(2):
        _kept(file, "a column", {"n": number}, {"no call", "an error"}, b"<html>")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["request"] for line in lines] == [{"n": 0}, {"n": 1}]
    assert lines[0]["wrong"] == ["an error", "no call"]
    assert lines[0]["answer"] == "<html>"
    _kept(None, "a column", {}, {"no call"}, b"")


def test_error_is_a_fault() -> None:
    assert counted(status=500) == {"an error"}
    assert faults({"tools": [], "tool_choice": {"type": "auto"}}, 200, b"<html>") == {"an error"}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (ROUTE, {"start": {"city": "A"}, "destination": {"city": "B"}, "by": "car"}, {}),
        (
            ROUTE,
            {"start": {"city": "A"}, "destination": {"city": "B"}, "by": "car", "stops": ["C"]},
            {"start": "A", "destination": {"city": "B"}, "by": "car"},
        ),
        (
            ROUTE,
            {"start": {"city": "A", "country": "D"}, "destination": {"city": "B"}, "by": "train"},
            {"start": {"city": "A"}, "destination": {"city": "B"}, "by": "car", "stops": [1]},
        ),
        (REMINDER, {"text": "", "minutes": 1}, {"text": "", "minutes": 0}),
        (REMINDER, {"text": "", "minutes": 1440}, {"text": "", "minutes": 1.5}),
        (REMINDER, {"text": "", "minutes": 2, "urgent": True}, {"text": "", "minutes": True}),
        (CONVERT, {"amount": 0.5, "source": "a", "target": "b"}, {"amount": -1, "source": "a"}),
        (CODE, {"code": "x", "timeout": -3}, {"code": 7}),
    ],
)
def test_values_are_held_to_their_schemas(schema: Any, good: Any, bad: Any) -> None:
    assert holds(good, schema)
    assert not holds(bad, schema)


def test_requests_ask_for_every_tool_and_demand_every_second_call() -> None:
    bodies = list(requests(60))
    assert {body["tool_choice"]["type"] for body in bodies[::2]} == {"auto"}
    assert {body["tool_choice"]["type"] for body in bodies[1::2]} == {"any"}
    assert {len(body["tools"]) for body in bodies} == {2, 3, 4}
    for place, question in enumerate(QUESTIONS):
        body = bodies[2 * place]
        assert body["tools"][0] == TOOLS[place]
        assert body["messages"][0]["content"] == question.format(CITIES[place])
