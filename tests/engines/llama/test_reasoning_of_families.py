"""Models with random weights and real templates think, from the prompt to the next one."""

import string
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.core.prompt import Prompt, Thinking, ThinkingChunk, Turn
from antiphon.engines.base import EngineConfig
from antiphon.engines.llama.engine import LlamaEngine, open_llama
from antiphon.wire.content import TextParam, ThinkingParam
from support.conversation import answer, text_of, tokens_in
from support.template_corpus import template_corpus
from support.tiny_models import Family, Kind, write_model

pytestmark = pytest.mark.anyio

OPTIONS = {"context": 2048, "slots": 1, "threads": 1}
MARKS = {
    "Cohere2MoE": ("<|START_THINKING|>", "<|END_THINKING|>", "<|START_TEXT|>"),
    "MiniMax-M3": ("<mm:think>", "</mm:think>"),
    "google-gemma-4-31B-it-interleaved": ("<|channel>", "<channel|>"),
    # llama.cpp takes `<|end|>` for the end of an answer.
    "upstage-Solar-Open-100B": ("<|think|>", "<|end|>", "<|begin|>", "<|content|>"),
}
"""What opens a thought, what closes it, and more, as control tokens of the model."""
BUDGET = 200
TRIES = 20
"""The most answers until the model closes a thought by itself, which it does in most."""
QUESTION = Turn("user", (TextParam(text="Why?"),))


@pytest.fixture(params=MARKS)
async def engine(
    request: pytest.FixtureRequest, models_dir: Path, tmp_path: Path
) -> AsyncIterator[LlamaEngine]:
    """A model that says letters and the mark that closes a thought, of which six are likely."""
    marks = MARKS[request.param]
    says = frozenset((*string.ascii_lowercase, marks[1]))
    family = Family(template_corpus(models_dir)[request.param], marks, says)
    weights = write_model(Kind.ATTENTION, tmp_path / "tiny.gguf", family=family)
    opened = await open_llama(EngineConfig("tiny", weights, OPTIONS))
    yield opened
    await opened.aclose()


def asked(*turns: Turn, budget: int = 0, max_tokens: int = BUDGET + 8) -> Prompt:
    thinking = Thinking(mode="enabled", budget=budget) if budget else Thinking()
    return Prompt((QUESTION, *turns), max_tokens, 1.0, top_k=6, thinking=thinking)


def rendered(engine: LlamaEngine, prompt: Prompt) -> str:
    return "".join(segment.text for segment in engine._templates.of(prompt).render(prompt).segments)


async def test_thought_is_read_and_stands_in_the_next_prompt(engine: LlamaEngine) -> None:
    tags = engine._templates.of(asked()).reasoning.tags
    assert tags is not None
    prompt = asked(budget=BUDGET)
    for _ in range(TRIES):
        events = await answer(engine, prompt)
        thoughts = [event for event in events if isinstance(event, ThinkingChunk)]
        thought = "".join(event.text for event in thoughts)
        used = tokens_in([*thoughts])
        assert 0 < used <= BUDGET
        assert tags.closing not in thought
        assert text_of(events)
        if used < BUDGET and thought:
            break  # the model has closed its thought itself
    else:
        pytest.fail("the model has closed no thought")
    blocks = (ThinkingParam(thinking=thought, signature=""), TextParam(text="So."))
    begun = rendered(engine, asked(Turn("assistant", blocks), budget=BUDGET))
    if not engine._templates.of(asked()).reasoning.at_calls:
        assert begun == f"{rendered(engine, prompt)}{thought}{tags.end}So."


async def test_budget_ends_a_thought(engine: LlamaEngine) -> None:
    events = await answer(engine, asked(budget=1, max_tokens=9))
    assert tokens_in([event for event in events if isinstance(event, ThinkingChunk)]) == 1
    assert text_of(events)


async def test_model_that_shall_not_think_has_no_thought(engine: LlamaEngine) -> None:
    events = await answer(engine, asked(max_tokens=8))
    assert not [event for event in events if isinstance(event, ThinkingChunk)]
    assert text_of(events)
