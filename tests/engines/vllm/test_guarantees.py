"""Random schemas on a server that writes any text that a grammar allows."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from antiphon.engines.vllm.engine import VllmEngine
from engines.token.answer.test_guarantees import CUT, FIT, called, drawn, said
from support.schemas import schemas, wild_schemas
from support.simulated_vllm import simulated_engine

pytestmark = pytest.mark.anyio

SOME = 10


@pytest.fixture
async def engine() -> AsyncIterator[VllmEngine]:
    engine = await simulated_engine(context=8192)
    yield engine
    await engine.aclose()


async def test_inputs_and_answers_fit_random_schemas(engine: VllmEngine) -> None:
    kept, wild = drawn(schemas(), SOME, 3), drawn(wild_schemas(), SOME, 3)
    found = Counter(
        await asyncio.gather(
            *(called(engine, schema) for schema in kept[::2]),
            *(said(engine, schema) for schema in kept[1::2]),
        )
    )
    assert found[FIT] > SOME / 2
    assert found[FIT] + found[CUT] == SOME
    found = Counter(await asyncio.gather(*(called(engine, schema) for schema in wild)))
    assert found[FIT] + found[CUT] > SOME / 2
