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
from antiphon.engines.llama.grammars import Grammars
from antiphon.engines.llama.syntax import TAGGED
from antiphon.engines.llama.writing import ATTEMPTS, WARM, Asked, written
from support.conversation import tokens_in, turn

pytestmark = pytest.mark.anyio


class Llama:
    """Writes one token for each word it is given, one list of words for each completion."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[Completion] = []

    async def complete(self, completion: Completion) -> AsyncGenerator[Piece, None]:
        self.asked.append(completion)
        words = self._answers.pop(0)
        for place, word in enumerate(words[: completion.n_predict]):
            yield Piece(content=word, tokens=(100 + place,), tokens_predicted=place + 1)
        ended = len(words) < completion.n_predict
        total = len(words) + 1 if ended else completion.n_predict
        yield Piece(stop=True, stop_type="eos" if ended else "limit", tokens_predicted=total)

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> list[int]:
        assert control or "<" not in text
        assert not ends
        return [len(text)]


def prompt(max_tokens: int = 50, budget: int | None = None, **more: object) -> Prompt:
    thinking = Thinking(mode="enabled", budget=budget)
    return Prompt((turn("user", "Hi"),), max_tokens, thinking=thinking, **more)


async def events_of(llama: Llama, asked: Prompt, *, thinks: bool = True) -> list[EngineEvent]:
    how = Asked(tokens=[1, 2], room=1000, syntax=TAGGED, thinks=thinks)
    return [event async for event in written(llama, Grammars(), asked, how)]


async def test_thought_and_text_are_apart() -> None:
    llama = Llama(["<think>", "Hm", "</think>", "\n\n", "Hi"])
    assert await events_of(llama, prompt()) == [
        ThinkingChunk("Hm", 2),
        TextChunk("Hi", 3),
        Finished(FinishReason.END_TURN, 1),
    ]


async def test_thought_ends_with_its_budget_and_the_answer_goes_on() -> None:
    llama = Llama(["<think>", "a", "b", "c", "d"], ["\n\n", "Hi"])
    events = await events_of(llama, prompt(budget=3))
    assert events == [
        ThinkingChunk("a", 2),
        ThinkingChunk("b", 1),
        TextChunk("Hi", 2),
        Finished(FinishReason.END_TURN, 1),
    ]
    assert llama.asked[1].prompt == [1, 2, 100, 101, 102, len("\n</think>")]
    assert llama.asked[1].n_predict == 50 - 3


async def test_limit_counts_the_thought_too() -> None:
    llama = Llama(["<think>", "a", "b"], ["one", "two", "three", "four"])
    events = await events_of(llama, prompt(5, budget=2))
    assert tokens_in(events) == 5
    assert events[-1] == Finished(FinishReason.MAX_TOKENS, 0)


async def test_grammar_lets_the_model_think_first() -> None:
    tools = (Tool(name="look", input_schema={"type": "object"}),)
    llama = Llama(["Hi"])
    await events_of(llama, prompt(tools=tools, tool_choice=ToolChoice(mode="any")))
    grammar = llama.asked[0].grammar or ""
    assert "<think>" in grammar
    assert '\\"name\\": \\"look\\"' in grammar


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
    assert second.prompt == [1, 2, 100, 101]
    assert second.n_predict == first.n_predict - 2
    assert second.grammar != first.grammar


async def test_text_in_one_token_with_the_call_is_kept() -> None:
    head, *rest = call("[1, 1]")
    llama = Llama(["Look", f": {head}", *rest], call("[1, 2]"))
    await events_of(llama, prompt(tools=(ADD,)), thinks=False)
    assert llama.asked[1].prompt == [1, 2, 100, len(": ")]


async def test_second_call_is_written_again_alone() -> None:
    llama = Llama([*call("[1, 2]"), *call("[1, 1]")], call("[3, 4]"))
    events = await events_of(llama, prompt(tools=(ADD,)), thinks=False)
    written_ = [event.text for event in events if isinstance(event, ToolCallJson)]
    assert written_ == ['{"n": [1, 2]}', '{"n": [3, 4]}']
    assert llama.asked[1].prompt == [1, 2, 100, 101, 102]


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
        await events_of(Llama(["Hi"]), prompt(output_schema={"not": {}}))
    assert error.value.kind is EngineErrorKind.UNSUPPORTED


async def test_plain_question_has_no_grammar() -> None:
    llama = Llama(["Hi"])
    await events_of(llama, prompt(), thinks=False)
    assert llama.asked[0].grammar is None
    assert llama.asked[0].preserved_tokens is None
