"""Work of batches that makes way for others in one llama.cpp, and goes on later."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.engines.token.machine import CompletionRequest
from support.caching import SLOTS, answered, asked, fill, opened, settled, text
from support.parking import PIECES, TOKENS, Running, Ticket, talkative
from support.tiny_models import Kind

pytestmark = pytest.mark.anyio

# Where to begin to look for a prompt whose answer is long enough. Before these numbers there is
# none, and to look through them took longer than the tests.
FIRST = {
    Kind.ATTENTION: {"parked False": 20, "parked True": 47, "kept": 88, "reading": 153},
    Kind.SLIDING_WINDOW: {"parked False": 77, "parked True": 4, "kept": 2, "reading": 12},
    Kind.RECURRENT: {"parked False": 3, "parked True": 16, "kept": 3, "reading": 16},
}


@pytest.fixture(scope="module")
async def engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    weights: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[LlamaEngine]:
    async with opened(weights, tmp_path_factory.mktemp("state"), batch_child=False) as engine:
        yield engine


@pytest.mark.parametrize("displaced", [False, True], ids=["in its slot", "displaced"])
async def test_answer_goes_on_where_it_was_parked(
    engine: LlamaEngine, kind: Kind, *, displaced: bool
) -> None:
    seed = f"parked {displaced}"
    prompt, whole = await talkative(engine, seed, first=FIRST[kind][seed])
    await settled(engine)
    ticket = Ticket()
    running = Running(engine, prompt, ticket)
    running.park_at_next_piece()
    async with asyncio.TaskGroup() as group:
        group.create_task(running())
        for number in range(2):
            await ticket.until_parked()
            assert not engine.machine.busy()
            if displaced:
                await fill(engine)
            if number == 0:
                running.park_at_next_piece()
            ticket.let_go_on()
    assert (running.text, running.tokens) == (whole.text, whole.tokens)
    assert (running.reason, ticket.times, ticket.stop) == (whole.reason, 2, None)


async def test_prompt_that_goes_on_is_not_computed_again(engine: LlamaEngine, kind: Kind) -> None:
    prompt, whole = await talkative(engine, "kept", first=FIRST[kind]["kept"])
    ticket = Ticket()
    running = Running(engine, prompt, ticket)
    running.on_piece = lambda number: ticket.tell() if number == PIECES else None
    async with asyncio.TaskGroup() as group:
        group.create_task(running())
        await ticket.until_parked()
        await settled(engine)
        before = engine.machine.parts.tokens_read
        ticket.let_go_on()
    assert running.text == whole.text
    # A model that cannot go back reads again what follows the breakpoint.
    assert engine.machine.parts.tokens_read - before < 3 * TOKENS


async def test_prompt_is_parked_while_it_is_read(
    engine: LlamaEngine, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt, whole = await talkative(engine, "reading", first=FIRST[kind]["reading"])
    ticket = Ticket()
    complete = LlamaClient.complete
    asks: list[int] = []

    def noted(client: LlamaClient, request: CompletionRequest, *rest: Any) -> Any:
        asks.append(len(request.tokens))
        if len(asks) == 2:
            ticket.tell()
        return complete(client, request, *rest)

    monkeypatch.setattr(LlamaClient, "complete", noted)
    running = Running(engine, replace(prompt, cache_salt="new"), ticket)
    async with asyncio.TaskGroup() as group:
        group.create_task(running())
        await ticket.until_parked()
        assert not engine.machine.busy()
        ticket.let_go_on()
    assert running.text == whole.text


async def test_constrained_answer_cannot_be_parked(engine: LlamaEngine) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip
    prompt = replace(asked(text("format", 20), "What?", tokens=200), output_schema=schema)
    ticket = Ticket()
    running = Running(engine, prompt, ticket)
    watched: list[bool] = []
    running.on_piece = lambda _: watched.append(ticket.stop is not None)
    await running()
    assert set(watched) == {False}
    assert running.text.replace(" ", "").replace("\n", "") == '{"a":"x"}'


async def test_batches_leave_one_slot_to_others(engine: LlamaEngine) -> None:
    await answered(engine, asked(text("conversation", 200), tokens=4))
    others = [
        Running(engine, asked(text(f"many {number}", 150), tokens=4), Ticket())
        for number in range(2 * SLOTS)
    ]
    await asyncio.gather(*(other() for other in others))
    own_slots = [state for state in engine.machine._pool.states() if not state.spare]
    assert len(own_slots) == 1
