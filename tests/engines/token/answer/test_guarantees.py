"""Random schemas: an input fits, or it was cut, or the request was refused.

`make test` shows a few to the tiny model, `make soak` a thousand to the real one.
"""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from antiphon.engines.base import (
    EngineError,
    EngineErrorKind,
    FinishReason,
    Prompt,
    TextChunk,
    Tool,
    ToolChoice,
)
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.schemas.check import first_error
from support.conversation import calls_in, reason_of, text_of, turn
from support.schemas import schemas, wild_schemas

pytestmark = pytest.mark.anyio

SOME = 4
BLOCK = 25
BLOCKS = range(1, 21)
"""A thousand schemas, of both kinds; a block is a piece of work of a minute or two."""

TOKENS = 120
FIT, CUT, REFUSED, GIVEN_UP = "fits", "cut", "refused", "given up"


def drawn(strategy: st.SearchStrategy[Any], count: int, block: int = 0) -> list[Any]:
    examples: list[Any] = []

    @seed(block)
    @settings(
        max_examples=count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(schema: Any) -> None:
        examples.append(schema)

    collect()
    return examples


async def called(engine: LlamaEngine, schema: Any) -> str:
    """Force a call, and say how it went."""
    tool = Tool(name="make", description="Make one.", input_schema={**schema, "type": "object"})
    prompt = Prompt(
        (turn("user", "Make one."),),
        TOKENS,
        tools=(tool,),
        tool_choice=ToolChoice(mode="any", parallel=False),
    )
    try:
        events = [event async for event in engine.generate(prompt)]
    except EngineError as error:
        if error.kind is not EngineErrorKind.UNSUPPORTED:
            raise
        return GIVEN_UP if "attempts" in str(error) else REFUSED
    if reason_of(events) is not FinishReason.END_TURN:
        return CUT
    assert not any(isinstance(event, TextChunk) for event in events)
    ((name, given_),) = calls_in(events)
    assert name == "make"
    assert first_error(json.loads(given_), tool.input_schema) is None, (given_, schema)
    return FIT


async def said(engine: LlamaEngine, schema: Any) -> str:
    """Ask for JSON of a schema, and say how it went."""
    prompt = Prompt((turn("user", "Make one."),), TOKENS, output_schema=schema)
    events = [event async for event in engine.generate(prompt)]
    if reason_of(events) is not FinishReason.END_TURN:
        return CUT
    value = json.loads(text_of(events))
    assert first_error(value, schema) is None, (value, schema)
    return FIT


async def tried(engine: LlamaEngine, block: int, count: int) -> None:
    kept, wild = drawn(schemas(), count, block), drawn(wild_schemas(), count, block)
    half = count // 2
    of_kept = Counter(
        await asyncio.gather(
            *(called(engine, schema) for schema in kept[:half]),
            *(said(engine, schema) for schema in kept[half:]),
        )
    )
    assert of_kept[FIT] > count / 2
    assert of_kept[FIT] + of_kept[CUT] == len(kept)
    of_wild = Counter(await asyncio.gather(*(called(engine, schema) for schema in wild)))
    print(f"block {block}: {dict(of_kept)}, wild: {dict(of_wild)}")  # noqa: T201 - the figures
    assert of_wild[FIT] + of_wild[CUT] > count / 2
    assert of_wild[GIVEN_UP] <= count / 10


async def test_inputs_and_answers_fit_random_schemas(tiny_engine: LlamaEngine) -> None:
    await tried(tiny_engine, 0, SOME)


@pytest.mark.soak
@pytest.mark.parametrize("block", BLOCKS)
async def test_inputs_and_answers_fit_a_thousand_schemas(engine: LlamaEngine, block: int) -> None:
    await tried(engine, block, BLOCK)
