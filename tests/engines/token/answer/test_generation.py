from collections.abc import AsyncGenerator, Sequence

import pytest

from antiphon.engines.base import (
    EngineError,
    EngineErrorKind,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    TextChunk,
    Thinking,
    ThinkingChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
    ToolChoice,
)
from antiphon.engines.llama.client import Completion, Piece
from antiphon.engines.token.answer.constraint_cache import ConstraintCache
from antiphon.engines.token.answer.generation import ATTEMPTS, WARM, GenerationInput, generate
from antiphon.engines.token.prompt.call_syntax import TAGGED
from antiphon.engines.token.prompt.reasoning_format import THINK
from support.conversation import tokens_in, turn

pytestmark = pytest.mark.anyio

END, GAP = "\n</think>\n\n", "\n\n"


class Llama:
    """Writes one token for each word it is given, one list of words for each completion.

    As llama.cpp does, it says in between how far it is, and shows of the character `é` the last of
    its two tokens only.
    """

    def __init__(self, *answers: Sequence[str], stop_type: str = "") -> None:
        self._answers = list(answers)
        self._stop_type = stop_type
        self.asked: list[Completion] = []

    async def complete(self, completion: Completion) -> AsyncGenerator[Piece, None]:
        self.asked.append(completion)
        words = self._answers.pop(0)
        yield Piece(tokens=(0,))
        total = 0
        for word in words:
            total += 2 if word == "é" else 1
            closes = word in (completion.stop or ())
            content = "" if closes else word
            yield Piece(content=content, tokens=(100 + total,), tokens_predicted=total)
            if closes or total >= completion.n_predict:
                kind = "word" if closes else "limit"
                yield Piece(stop=True, stop_type=self._stop_type or kind, tokens_predicted=total)
                return
        yield Piece(stop=True, stop_type=self._stop_type or "eos", tokens_predicted=total + 1)

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> list[int]:
        assert control == (text in {END, GAP})
        assert not ends
        return [len(text)] * len(text.split() or " ")


def prompt(max_tokens: int = 50, **more: object) -> Prompt:
    thinking = Thinking(mode="enabled", budget=1024)
    return Prompt((turn("user", "Hi"),), max_tokens, thinking=thinking, **more)


async def events_of(
    llama: Llama,
    asked: Prompt,
    budget: int | None = None,
    *,
    thinks: bool = True,
    room: int = 1000,
) -> list[EngineEvent]:
    how = GenerationInput(
        tokens=[1, 2], room=room, syntax=TAGGED, marks=THINK, thinks=thinks, budget=budget
    )
    return [event async for event in generate(llama, ConstraintCache(), asked, how)]


async def test_thought_and_text_are_apart() -> None:
    llama = Llama(["Hm", "</think>"], ["Hi"])
    assert await events_of(llama, prompt()) == [
        ThinkingChunk("Hm", 1),
        ThinkingChunk("", 1),
        TextChunk("Hi", 1),
        Finished(FinishReason.END_TURN, 1),
    ]
    assert llama.asked[1].prompt == [1, 2, 101, 102, len(GAP)]


async def test_thought_ends_with_its_budget_and_the_answer_goes_on() -> None:
    llama = Llama(["a", "b", "c", "d"], ["\n", "Hi"])
    events = await events_of(llama, prompt(), budget=3)
    assert events == [
        ThinkingChunk("a", 1),
        ThinkingChunk("b", 1),
        ThinkingChunk("c", 1),
        TextChunk("Hi", 2),
        Finished(FinishReason.END_TURN, 1),
    ]
    assert llama.asked[0].n_predict == 3
    assert llama.asked[1].prompt == [1, 2, 101, 102, 103, len(END)]
    assert llama.asked[1].n_predict == 50 - 3


async def test_thought_that_ends_as_an_answer_does_is_followed_by_one() -> None:
    llama = Llama(["a"], ["Hi"])
    events = await events_of(llama, prompt())
    assert events[:2] == [ThinkingChunk("a", 1), ThinkingChunk("", 1)]
    assert llama.asked[1].prompt == [1, 2, 101, len(END)]


async def test_token_that_llama_cpp_does_not_show_is_read_from_its_text() -> None:
    llama = Llama(["a", "é", "b", "</think>"], ["Hi"])
    events = await events_of(llama, prompt())
    assert events[1] == ThinkingChunk("é", 2)
    assert llama.asked[1].prompt == [1, 2, 101, len("é"), 104, 105, len(GAP)]


async def test_limit_counts_the_thought_too() -> None:
    llama = Llama(["a", "b"], ["one", "two", "three", "four"])
    events = await events_of(llama, prompt(5), budget=2)
    assert tokens_in(events) == 5
    assert events[-1] == Finished(FinishReason.MAX_TOKENS, 0)


async def test_limit_ends_a_thought() -> None:
    llama = Llama(["a", "b", "c"])
    events = await events_of(llama, prompt(2), budget=3)
    assert tokens_in(events) == 2
    assert events[-1] == Finished(FinishReason.MAX_TOKENS)


async def test_context_ends_a_thought_and_has_room_for_its_closing() -> None:
    llama = Llama(["a", "b", "c"])
    events = await events_of(llama, prompt(20), room=3)
    assert events[-1] == Finished(FinishReason.CONTEXT_WINDOW)
    llama = Llama(["a", "b"], ["one", "two"])
    events = await events_of(llama, prompt(20), budget=2, room=4)
    assert llama.asked[1].n_predict == 1
    assert events[-1] == Finished(FinishReason.CONTEXT_WINDOW)


async def test_budget_of_nothing_is_no_thought() -> None:
    llama = Llama(["Hi"])
    events = await events_of(llama, prompt(), budget=0)
    assert events == [TextChunk("Hi", 1), Finished(FinishReason.END_TURN, 1)]
    assert llama.asked[0].prompt == [1, 2, len(END)]


async def test_thinking_again_is_a_thought_again() -> None:
    llama = Llama(["a", "</think>"], ["<think>", "b", "</think>", "Hi"])
    events = await events_of(llama, prompt())
    assert events[2:] == [
        ThinkingChunk("b", 2),
        TextChunk("Hi", 2),
        Finished(FinishReason.END_TURN, 1),
    ]


async def test_no_token_is_asked_for_without_a_thought() -> None:
    llama = Llama(["a"])
    assert await events_of(llama, prompt(0)) == [Finished(FinishReason.MAX_TOKENS)]


async def test_thought_is_free_and_the_answer_is_not() -> None:
    tools = (Tool(name="look", input_schema={"type": "object"}),)
    llama = Llama(["Hm"], ["<tool_call>"])
    await events_of(llama, prompt(tools=tools, tool_choice=ToolChoice(mode="any")))
    assert llama.asked[0].grammar is None
    assert llama.asked[0].stop == ("</think>",)
    assert '\\"name\\": \\"look\\"' in (llama.asked[1].grammar or "")
    assert llama.asked[1].stop is None


@pytest.mark.parametrize("thinks", [True, False])
async def test_end_without_a_reason_is_an_error(thinks: bool) -> None:
    llama = Llama(["a"], stop_type="none")
    with pytest.raises(EngineError, match="unknown reason: 'none'"):
        await events_of(llama, prompt(), thinks=thinks)


async def test_plain_question_has_no_grammar() -> None:
    llama = Llama(["Hi"])
    asked = GenerationInput(tokens=[1], room=10, syntax=TAGGED)
    assert [event async for event in generate(llama, ConstraintCache(), prompt(), asked)]
    assert llama.asked[0].grammar is None
    assert llama.asked[0].preserved_tokens is None


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
    llama = Llama(["Look", ": ", *call("[1, 1]"), "more"], call("[1, 2]"))
    events = await events_of(llama, prompt(tools=(ADD,)), thinks=False)
    assert events == [
        TextChunk("Look", 1),
        TextChunk(":", 1),
        ToolCallStart("add", 3),
        ToolCallJson('{"n": [1, 2]}', 0),
        Finished(FinishReason.END_TURN, 1),
    ]
    first, second = llama.asked
    assert second.prompt == [1, 2, 101, 102]
    assert second.n_predict == first.n_predict - 2
    assert second.grammar != first.grammar


async def test_text_in_one_token_with_the_call_is_kept() -> None:
    head, *rest = call("[1, 1]")
    llama = Llama(["Look", f": {head}", *rest], call("[1, 2]"))
    await events_of(llama, prompt(tools=(ADD,)), thinks=False)
    assert llama.asked[1].prompt == [1, 2, 101, len(": ")]


async def test_second_call_is_written_again_alone() -> None:
    llama = Llama([*call("[1, 2]"), *call("[1, 1]")], call("[3, 4]"))
    events = await events_of(llama, prompt(tools=(ADD,)), thinks=False)
    written_ = [event.text for event in events if isinstance(event, ToolCallJson)]
    assert written_ == ['{"n": [1, 2]}', '{"n": [3, 4]}']
    assert llama.asked[1].prompt == [1, 2, 101, 102, 103]


async def test_call_that_must_fit_and_never_does_is_an_error() -> None:
    llama = Llama(*[call("[1, 1]")] * ATTEMPTS)
    forced = prompt(tools=(ADD,), tool_choice=ToolChoice(mode="any"), temperature=0.0)
    with pytest.raises(EngineError) as error:
        await events_of(llama, forced, thinks=False)
    assert error.value.kind is EngineErrorKind.UNSUPPORTED
    assert str(error.value) == (
        "tools: in 4 attempts this model wrote no input that fits the schema of 'add' "
        "(input.n: uniqueItems). Ask for less in the schema."
    )
    assert [asked.temperature for asked in llama.asked] == [0.0, WARM, WARM, WARM]


async def test_call_that_need_not_fit_leaves_in_the_end() -> None:
    llama = Llama(*[call("[1, 1]")] * ATTEMPTS)
    events = await events_of(llama, prompt(tools=(ADD,)), thinks=False)
    assert ToolCallJson('{"n": [1, 1]}', 0) in events
    assert tokens_in(events) == 4


async def test_schema_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(EngineError, match="no value fits") as error:
        await events_of(Llama(["Hi"]), prompt(output_schema={"not": {}}), thinks=False)
    assert error.value.kind is EngineErrorKind.UNSUPPORTED
