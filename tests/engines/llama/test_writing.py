from collections.abc import AsyncGenerator, Sequence

import pytest

from antiphon.engines.base import (
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    TextChunk,
    Thinking,
    ThinkingChunk,
    Tool,
    ToolChoice,
)
from antiphon.engines.llama.client import Completion, Piece
from antiphon.engines.llama.grammars import Grammars
from antiphon.engines.llama.syntax import TAGGED
from antiphon.engines.llama.writing import Asked, written
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
        assert control
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


async def test_plain_question_has_no_grammar() -> None:
    llama = Llama(["Hi"])
    await events_of(llama, prompt(), thinks=False)
    assert llama.asked[0].grammar is None
    assert llama.asked[0].preserved_tokens is None
