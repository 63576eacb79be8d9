"""Calls that a model writes as plain JSON, without the mark at which its calls begin."""

import pytest

from antiphon.core.prompt import (
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
from antiphon.engines.token.answer.constraint_cache import ConstraintCache
from antiphon.engines.token.answer.generation import GenerationInput, generate
from antiphon.engines.token.answer.unmarked import LONGEST, UnmarkedCalls
from antiphon.engines.token.prompt.call_syntax import TAGGED
from support.conversation import turn
from support.scripted_machine import ScriptedMachine

ADD = Tool(name="add", input_schema={"properties": {"n": {"type": "integer"}}})
CALLS = UnmarkedCalls(["add", "add_all"], "<tool_call>")
HEAD = '{"name": "add", "arguments": {'


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        '{"name":"add_all","parameters":{',
        '{\n  "name": "add",\n  "input": {',
        f"```json\n{HEAD}",
        f"```\n{HEAD}",
        f"<tools>\n{HEAD}",
        f"<function_call> {HEAD}",
        # What the template of Qwen 2.5 shows by mistake.
        f"{{{HEAD}",
    ],
)
def test_head_is_found_and_each_part_of_it_may_become_one(text: str) -> None:
    assert CALLS.first(text, at_start=True) == (0, True)
    assert CALLS.first(f"I add.\n\n{text}", at_start=False) == (8, True)
    for length in range(1, len(text)):
        assert CALLS.first(text[:length], at_start=True) == (0, False), text[:length]


@pytest.mark.parametrize(
    "text",
    [
        "Hello.",
        '{"n": 1}',
        '{"name": "sum", "arguments": {',
        '{"name": "add", "n": {',
        '{"name": "add"}',
        "```python\nadd(1)",
        "<b>bold</b>",
        f"`{HEAD}",
        f"So: {HEAD}",
    ],
)
def test_other_text_is_none(text: str) -> None:
    assert CALLS.first(text, at_start=True) == (len(text), False)


def test_head_within_a_line_is_none_but_at_its_start() -> None:
    text = f"Hi {HEAD}"
    assert CALLS.first(text, at_start=True) == (len(text), False)
    assert CALLS.first(f"{text}\n{HEAD}", at_start=True) == (len(text) + 1, True)
    assert CALLS.first(HEAD, at_start=False) == (len(HEAD), False)


@pytest.mark.parametrize("before", ["{", "```json\n", "<tools>", ""])
def test_head_with_space_without_an_end_is_given_up(before: str) -> None:
    text = before + " " * (LONGEST - len(before))
    assert CALLS.first(text, at_start=True) == (0, False)
    assert CALLS.first(f"{text} ", at_start=True) == (LONGEST + 1, False)
    room = LONGEST - len(HEAD) - len(before)
    if before != "{":
        assert CALLS.first(before + " " * room + HEAD, at_start=True) == (0, True)
        late = before + " " * (room + 1) + HEAD
        assert CALLS.first(late, at_start=True) == (len(late), False)


async def events_of(machine: ScriptedMachine, prompt: Prompt) -> list[EngineEvent]:
    given = GenerationInput(tokens=[1, 2], room=1000, syntax=TAGGED)
    return [event async for event in generate(machine, ConstraintCache(), prompt, given)]


def asked(**more: object) -> Prompt:
    return Prompt((turn("user", "Hi"),), 50, tools=(ADD,), temperature=0.25, **more)


CALLED = [TAGGED.before("add"), '{"n": 1}', TAGGED.after]


@pytest.mark.anyio
async def test_call_without_its_mark_is_written_again_with_it() -> None:
    machine = ScriptedMachine(["I add.", "\n\n", "```json\n", HEAD, "never read"], CALLED)
    assert await events_of(machine, asked()) == [
        TextChunk("I add.", 1),
        ToolCallStart("add", 3),
        ToolCallJson('{"n": 1}', 0),
        Finished(FinishReason.END_TURN, 1),
    ]
    first, second = machine.asked
    # What was said before stays, and nothing of the call is charged.
    assert second.tokens == [1, 2, 101, 102]
    assert second.max_tokens == first.max_tokens - 1
    assert second.temperature == first.temperature == 0.25
    _, rule, *_ = (second.grammar or "").splitlines()
    assert rule.partition("::= ")[2].startswith('"<tool_call>"')


@pytest.mark.anyio
async def test_call_with_its_mark_is_written_once() -> None:
    machine = ScriptedMachine(["I add.\n", *CALLED])
    events = await events_of(machine, asked())
    assert ToolCallStart("add", 3) in events
    assert len(machine.asked) == 1


@pytest.mark.anyio
async def test_answer_that_begins_so_is_written_again_from_its_start() -> None:
    machine = ScriptedMachine([" ", "{", HEAD], CALLED)
    events = await events_of(machine, asked())
    assert events[0] == ToolCallStart("add", 3)
    assert machine.asked[1].tokens == [1, 2, 101]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "more",
    [
        {"tool_choice": ToolChoice(mode="none")},
        {"output_schema": {"type": "object", "properties": {"name": {"type": "string"}}}},
        {"turns": (turn("user", "Hi"), turn("assistant", "So"))},
    ],
    ids=["no calls", "a schema", "a prefill"],
)
async def test_text_that_is_asked_for_stays(more: dict[str, object]) -> None:
    machine = ScriptedMachine([HEAD, "}}"])
    turns = more.pop("turns", (turn("user", "Hi"),))
    prompt = Prompt(turns, 50, tools=(ADD,), **more)  # type: ignore[arg-type]
    events = await events_of(machine, prompt)
    assert "".join(one.text for one in events if isinstance(one, TextChunk)) == HEAD + "}}"
    assert len(machine.asked) == 1


@pytest.mark.anyio
async def test_what_only_begins_so_is_text() -> None:
    machine = ScriptedMachine(["Look:", "\n", "```json\n", '{"name": "add"', "}", "\n```"])
    events = await events_of(machine, asked())
    said = "".join(one.text for one in events if isinstance(one, TextChunk))
    assert said == 'Look:\n```json\n{"name": "add"}\n```'
    assert len(machine.asked) == 1
