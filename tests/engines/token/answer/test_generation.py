import msgspec
import pytest

from antiphon.engines.base import (
    EngineError,
    EngineErrorKind,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    TextChunk,
    ThinkingChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
    ToolChoice,
)
from antiphon.engines.token.answer.constraint_cache import ConstraintCache
from antiphon.engines.token.answer.generation import (
    ATTEMPTS,
    MOST_CUT,
    WARM,
    GenerationInput,
    generate,
)
from antiphon.engines.token.machine import PieceEnd
from antiphon.engines.token.prompt.call_syntax import TAGGED
from antiphon.engines.token.prompt.reasoning_format import THINK
from support.conversation import tokens_in
from support.scripted_machine import END, GAP, ScriptedMachine, words_prompt

pytestmark = pytest.mark.anyio


async def events_of(
    machine: ScriptedMachine,
    asked: Prompt,
    budget: int | None = None,
    *,
    thinks: bool = True,
    room: int = 1000,
) -> list[EngineEvent]:
    how = GenerationInput(
        tokens=[1, 2], room=room, syntax=TAGGED, tags=THINK, reasons=thinks, budget=budget
    )
    return [event async for event in generate(machine, ConstraintCache(), asked, how)]


async def test_reasoning_and_text_are_apart() -> None:
    machine = ScriptedMachine(["Hm", "</think>"], ["Hi"])
    assert await events_of(machine, words_prompt()) == [
        ThinkingChunk("Hm", 1),
        ThinkingChunk("", 1),
        TextChunk("Hi", 1),
        Finished(FinishReason.END_TURN, 1),
    ]
    assert machine.asked[1].tokens == [1, 2, 101, 102, len(GAP)]


async def test_reasoning_ends_with_its_budget_and_the_answer_follows() -> None:
    machine = ScriptedMachine(["a", "b", "c", "d"], ["\n", "Hi"])
    events = await events_of(machine, words_prompt(), budget=3)
    assert events == [
        ThinkingChunk("a", 1),
        ThinkingChunk("b", 1),
        ThinkingChunk("c", 1),
        TextChunk("Hi", 2),
        Finished(FinishReason.END_TURN, 1),
    ]
    assert machine.asked[0].max_tokens == 3
    assert machine.asked[1].tokens == [1, 2, 101, 102, 103, len(END)]
    assert machine.asked[1].max_tokens == 50 - 3


async def test_reasoning_without_its_closing_is_followed_by_an_answer() -> None:
    machine = ScriptedMachine(["a"], ["Hi"])
    events = await events_of(machine, words_prompt())
    assert events[:2] == [ThinkingChunk("a", 1), ThinkingChunk("", 1)]
    assert machine.asked[1].tokens == [1, 2, 101, len(END)]


async def test_tokens_that_are_not_shown_are_read_from_their_text() -> None:
    machine = ScriptedMachine(["a", "é", "b", "</think>"], ["Hi"])
    events = await events_of(machine, words_prompt())
    assert events[1] == ThinkingChunk("é", 2)
    assert machine.asked[1].tokens == [1, 2, 101, len("é"), 104, 105, len(GAP)]


async def test_limit_counts_reasoning() -> None:
    machine = ScriptedMachine(["a", "b"], ["one", "two", "three", "four"])
    events = await events_of(machine, words_prompt(5), budget=2)
    assert tokens_in(events) == 5
    assert events[-1] == Finished(FinishReason.MAX_TOKENS, 0)


async def test_limit_ends_reasoning() -> None:
    machine = ScriptedMachine(["a", "b", "c"])
    events = await events_of(machine, words_prompt(2), budget=3)
    assert tokens_in(events) == 2
    assert events[-1] == Finished(FinishReason.MAX_TOKENS)


async def test_context_ends_reasoning_with_room_for_its_closing() -> None:
    machine = ScriptedMachine(["a", "b", "c"])
    events = await events_of(machine, words_prompt(20), room=3)
    assert events[-1] == Finished(FinishReason.CONTEXT_WINDOW)
    machine = ScriptedMachine(["a", "b"], ["one", "two"])
    events = await events_of(machine, words_prompt(20), budget=2, room=4)
    assert machine.asked[1].max_tokens == 1
    assert events[-1] == Finished(FinishReason.CONTEXT_WINDOW)


async def test_budget_of_zero_yields_no_reasoning() -> None:
    machine = ScriptedMachine(["Hi"])
    events = await events_of(machine, words_prompt(), budget=0)
    assert events == [TextChunk("Hi", 1), Finished(FinishReason.END_TURN, 1)]
    assert machine.asked[0].tokens == [1, 2, len(END)]


async def test_reasoning_in_the_second_completion_is_thinking() -> None:
    machine = ScriptedMachine(["a", "</think>"], ["<think>", "b", "</think>", "Hi"])
    events = await events_of(machine, words_prompt())
    assert events[2:] == [
        ThinkingChunk("b", 2),
        TextChunk("Hi", 2),
        Finished(FinishReason.END_TURN, 1),
    ]


async def test_no_reasoning_is_requested_without_tokens() -> None:
    machine = ScriptedMachine(["a"])
    assert await events_of(machine, words_prompt(0)) == [Finished(FinishReason.MAX_TOKENS)]


async def test_reasoning_is_free_and_the_answer_is_constrained() -> None:
    tools = (Tool(name="look", input_schema={"type": "object"}),)
    machine = ScriptedMachine(["Hm"], ["<tool_call>"])
    await events_of(machine, words_prompt(tools=tools, tool_choice=ToolChoice(mode="any")))
    assert machine.asked[0].grammar is None
    assert machine.asked[0].stop == ("</think>",)
    assert '\\"name\\": \\"look\\"' in (machine.asked[1].grammar or "")
    assert machine.asked[1].stop == ()


async def test_stop_without_a_stop_sequence_is_an_error() -> None:
    machine = ScriptedMachine(["a"], end=PieceEnd.STOP)
    with pytest.raises(EngineError, match="ended an answer by 'stop'"):
        await events_of(machine, words_prompt(), thinks=False)


async def test_prompt_without_tools_has_no_grammar() -> None:
    machine = ScriptedMachine(["Hi"])
    asked = GenerationInput(tokens=[1], room=10, syntax=TAGGED)
    assert [event async for event in generate(machine, ConstraintCache(), words_prompt(), asked)]
    assert machine.asked[0].grammar is None
    assert machine.asked[0].shown == ()


ADD = Tool(
    name="add",
    input_schema={
        "properties": {
            "n": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 2}
        },
        "required": ["n"],
    },
)


def call(numbers: str) -> list[str]:
    return [TAGGED.before("add"), f'{{"n": {numbers}}}', TAGGED.after]


async def test_call_that_does_not_fit_is_written_again_from_where_it_began() -> None:
    machine = ScriptedMachine(["Look", ": ", *call("[1, 1]"), "more"], call("[1, 2]"))
    events = await events_of(machine, words_prompt(tools=(ADD,)), thinks=False)
    assert events == [
        TextChunk("Look", 1),
        TextChunk(":", 1),
        ToolCallStart("add", 3),
        ToolCallJson('{"n": [1, 2]}', 0),
        Finished(FinishReason.END_TURN, 1),
    ]
    first, second = machine.asked
    assert second.tokens == [1, 2, 101, 102]
    assert second.max_tokens == first.max_tokens - 2
    assert second.grammar != first.grammar


async def test_text_in_one_token_with_the_call_is_kept() -> None:
    head, *rest = call("[1, 1]")
    machine = ScriptedMachine(["Look", f": {head}", *rest], call("[1, 2]"))
    await events_of(machine, words_prompt(tools=(ADD,)), thinks=False)
    assert machine.asked[1].tokens == [1, 2, 101, len(": ")]


async def test_tokens_before_a_call_that_are_not_shown_are_read_from_their_text() -> None:
    machine = ScriptedMachine(["é", *call("[1, 1]")], call("[1, 2]"))
    await events_of(machine, words_prompt(tools=(ADD,)), thinks=False)
    assert machine.asked[1].tokens == [1, 2, len("é")]


async def test_second_call_is_written_again_alone() -> None:
    machine = ScriptedMachine([*call("[1, 2]"), *call("[1, 1]")], call("[3, 4]"))
    events = await events_of(machine, words_prompt(tools=(ADD,)), thinks=False)
    written_ = [event.text for event in events if isinstance(event, ToolCallJson)]
    assert written_ == ['{"n": [1, 2]}', '{"n": [3, 4]}']
    assert machine.asked[1].tokens == [1, 2, 101, 102, 103]


async def test_call_that_must_fit_and_never_does_is_an_error() -> None:
    machine = ScriptedMachine(*[call("[1, 1]")] * ATTEMPTS)
    forced = words_prompt(tools=(ADD,), tool_choice=ToolChoice(mode="any"), temperature=0.0)
    with pytest.raises(EngineError) as error:
        await events_of(machine, forced, thinks=False)
    assert error.value.kind is EngineErrorKind.UNSUPPORTED
    assert str(error.value) == (
        "tools: in 4 attempts this model wrote no input that fits the schema of 'add' "
        "(input.n: uniqueItems). Ask for less in the schema."
    )
    assert [asked.temperature for asked in machine.asked] == [0.0, WARM, WARM, WARM]


LOOK = Tool(
    name="look", input_schema={"properties": {"at": {"type": "string"}}, "required": ["at"]}
)


def endless(words: int) -> list[str]:
    return [TAGGED.before("look"), '{"at": "', *["so "] * words]


def look(**more: object) -> Prompt:
    return words_prompt(tools=(LOOK,), tool_choice=ToolChoice(mode="any"), temperature=0.0, **more)


async def test_forced_call_that_a_limit_cuts_is_written_again() -> None:
    ends = [TAGGED.before("look"), '{"at": "it"}', TAGGED.after]
    machine = ScriptedMachine(endless(50), endless(50), ends)
    events = await events_of(machine, look(max_tokens=20), thinks=False)
    assert events == [
        ToolCallStart("look", 3),
        ToolCallJson('{"at": "it"}', 0),
        Finished(FinishReason.END_TURN, 1),
    ]
    assert [asked.max_tokens for asked in machine.asked] == [20, 20, 20]
    assert [asked.temperature for asked in machine.asked] == [0.0, WARM, WARM]
    assert machine.asked[2].tokens == [1, 2]


async def test_forced_call_that_a_limit_cuts_in_all_attempts_is_sent_as_it_is() -> None:
    machine = ScriptedMachine(*[endless(50)] * ATTEMPTS)
    events = await events_of(machine, look(max_tokens=20), thinks=False)
    assert events[0] == ToolCallStart("look", 20)
    assert events[-1] == Finished(FinishReason.MAX_TOKENS)
    assert len(machine.asked) == ATTEMPTS
    assert tokens_in(events) == 20


async def test_long_call_that_a_limit_cuts_is_not_written_again() -> None:
    for max_tokens, attempts in ((MOST_CUT // 2, 3), (MOST_CUT, 2), (MOST_CUT + 1, 1)):
        machine = ScriptedMachine(*[endless(max_tokens)] * ATTEMPTS)
        events = await events_of(machine, look(max_tokens=max_tokens), thinks=False, room=5000)
        assert events[-1] == Finished(FinishReason.MAX_TOKENS)
        assert len(machine.asked) == attempts


async def test_only_the_first_call_of_a_forced_answer_is_written_again() -> None:
    first = [TAGGED.before("look"), '{"at": "it"}', TAGGED.after]
    for asked in (look(max_tokens=20), words_prompt(max_tokens=20, tools=(LOOK,))):
        forced = asked.tool_choice.mode == "any"
        machine = ScriptedMachine([*first, *endless(50)] if forced else endless(50))
        events = await events_of(machine, asked, thinks=False)
        assert events[-1] == Finished(FinishReason.MAX_TOKENS)
        assert len(machine.asked) == 1


async def test_cuts_and_misfits_of_a_forced_call_have_counts_of_their_own() -> None:
    cut = [TAGGED.before("add"), '{"n": [1, ', *["2, "] * 50]
    asked = words_prompt(tools=(ADD,), tool_choice=ToolChoice(mode="any"), max_tokens=20)
    cuts, misfits = [cut] * (ATTEMPTS - 1), [call("[1, 1]")] * (ATTEMPTS - 1)
    for before in ([*cuts, *misfits], [*misfits, *cuts]):
        machine = ScriptedMachine(*before, call("[1, 2]"))
        events = await events_of(machine, asked, thinks=False)
        assert ToolCallJson('{"n": [1, 2]}', 0) in events
        assert tokens_in(events) == 4
        assert {request.max_tokens for request in machine.asked} == {20}
        assert {request.temperature for request in machine.asked[1:]} == {1.0}
    machine = ScriptedMachine(*misfits, *cuts, cut)
    events = await events_of(machine, asked, thinks=False)
    assert events[-1] == Finished(FinishReason.MAX_TOKENS)
    with pytest.raises(EngineError, match="in 4 attempts"):
        await events_of(ScriptedMachine(*cuts, *misfits, call("[1, 1]")), asked, thinks=False)


async def test_call_that_is_cut_before_its_input_is_not_written_again() -> None:
    head = ["<tool_call>\n", '{"name": ', '"look", ', '"arguments": ', '{"at": ']
    for max_tokens, attempts in ((1, 1), (3, 1), (4, 1), (5, ATTEMPTS)):
        machine = ScriptedMachine(*[[*head, '"so ']] * ATTEMPTS)
        events = await events_of(machine, look(max_tokens=max_tokens), thinks=False)
        assert events[-1].reason is FinishReason.MAX_TOKENS
        assert len(machine.asked) == attempts
        assert tokens_in(events) == max_tokens


async def test_call_after_a_streamed_one_is_not_written_again() -> None:
    streamed = msgspec.structs.replace(LOOK, eager_input_streaming=True)
    first = [TAGGED.before("look"), '{"at": "it"}', TAGGED.after]
    asked = words_prompt(
        tools=(streamed, ADD), tool_choice=ToolChoice(mode="any"), max_tokens=20, temperature=0.0
    )
    machine = ScriptedMachine([*first, TAGGED.before("add"), '{"n": [1, ', *["2, "] * 50])
    events = await events_of(machine, asked, thinks=False)
    assert [event.name for event in events if isinstance(event, ToolCallStart)] == ["look", "add"]
    assert events[-1] == Finished(FinishReason.MAX_TOKENS)
    assert len(machine.asked) == 1


async def test_optional_call_that_never_fits_is_sent() -> None:
    machine = ScriptedMachine(*[call("[1, 1]")] * ATTEMPTS)
    events = await events_of(machine, words_prompt(tools=(ADD,)), thinks=False)
    assert ToolCallJson('{"n": [1, 1]}', 0) in events
    assert tokens_in(events) == 4


async def test_output_schema_that_cannot_be_enforced_is_refused() -> None:
    with pytest.raises(EngineError, match="no value fits") as error:
        await events_of(
            ScriptedMachine(["Hi"]), words_prompt(output_schema={"not": {}}), thinks=False
        )
    assert error.value.kind is EngineErrorKind.UNSUPPORTED
