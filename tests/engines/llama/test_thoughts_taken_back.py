"""What a template takes back of thoughts ends the prefix that a real llama.cpp reuses."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.core.prompt import Breakpoint, Confirmation, Prompt, Thinking, Tool, Turn
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.wire.content import TextParam, ThinkingParam, ToolResultParam, ToolUseParam
from support.caching import answered, opened, text
from support.template_corpus import template_corpus
from support.tiny_models import Family, Kind, write_model

pytestmark = pytest.mark.anyio

TOOL = Tool(name="look", description="Looks.", input_schema={"type": "object"})
CALL = ToolUseParam(id="toolu_1", name="look", input={})
FIRST = Turn("user", (TextParam(text=text("first", 200)),))
LOOP = (
    FIRST,
    Turn("assistant", (ThinkingParam(thinking=text("thought", 80), signature=""), CALL)),
    Turn("user", (ToolResultParam(tool_use_id=CALL.id, content=text("result", 120)),)),
)
ANSWERED = (
    *LOOP,
    Turn("assistant", (TextParam(text="So."),)),
    Turn("user", (TextParam(text=text("second", 30)),)),
)


@pytest.fixture
async def engine(models_dir: Path, tmp_path: Path) -> AsyncIterator[LlamaEngine]:
    """A model whose template shows thoughts up to the next question."""
    template = template_corpus(models_dir)["Qwen-Qwen3-0.6B"]
    family = Family(template, ("<think>", "</think>"), frozenset("abcdefghijklmn"))
    weights = write_model(Kind.ATTENTION, tmp_path / "tiny.gguf", family=family)
    async with opened(weights, tmp_path / "state") as found:
        yield found


def marked(*turns: Turn) -> Prompt:
    """Return a prompt with a breakpoint on each turn of the user."""
    places = [index for index, one in enumerate(turns) if one.role == "user"]
    marks = tuple(Breakpoint(place, (0,), number=number) for number, place in enumerate(places))
    thinking = Thinking(mode="enabled", budget=2)
    return Prompt(
        turns, 6, 0.0, tools=(TOOL,), thinking=thinking, breakpoints=marks, cache_salt="a"
    )


async def confirmed(engine: LlamaEngine, *turns: Turn) -> Confirmation:
    return (await answered(engine, marked(*turns)))[0]


async def test_prefix_stays_up_to_the_first_thought_that_is_taken_back(engine: LlamaEngine) -> None:
    first = await confirmed(engine, FIRST)
    loop = await confirmed(engine, *LOOP)
    assert (first.stays, loop.stays) == (0, 0)
    assert loop.reused >= first.breakpoints[0]
    later = await confirmed(engine, *ANSWERED)
    question, result, _ = later.breakpoints
    # The result is not where it was, and the question before the thought is.
    assert result < loop.breakpoints[1]
    assert question == loop.breakpoints[0]
    assert question <= later.stays < result
    assert later.reused < loop.breakpoints[1]
    assert later.reused >= later.stays
