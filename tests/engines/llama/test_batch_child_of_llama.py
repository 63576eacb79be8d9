"""Requests of batches in a llama.cpp of their own, which stands still while others compute."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from antiphon.engines.base import EngineError
from antiphon.engines.llama.control_groups import MemoryGroup
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.engines.llama.machine import LlamaMachine
from antiphon.engines.llama.memory import available_memory, own_memory
from antiphon.engines.llama.process import ChildProcess
from antiphon.engines.llama.supervisor import Supervisor
from support.caching import MINIMUM, SLOTS, answered, asked, child_of, opened, settled, text
from support.conversation import eventually
from support.parking import LONG, Running, Ticket, talkative
from support.tiny_models import Kind, write_model

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.gguf"
    return write_model(Kind.ATTENTION, path, endless=True)


@pytest.fixture(scope="module")
async def engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    weights: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[LlamaEngine]:
    # A silence that is shorter than the child stands still here.
    async with opened(weights, tmp_path_factory.mktemp("state"), silence_timeout_s=1) as engine:
        yield engine


async def other_machine(engine: LlamaEngine) -> LlamaMachine:
    """Return the machine of the child for batches."""
    assert engine.machine.batches is not None
    async with engine.machine.batches.place(Ticket()) as machine:
        assert machine is not None
        return machine


async def other_child(engine: LlamaEngine) -> ChildProcess:
    server = (await other_machine(engine)).parts.server
    assert isinstance(server, Supervisor)
    assert isinstance(server.child, ChildProcess)
    return server.child


def state_of(child: ChildProcess) -> str:
    """Return the state of a process: `T` while it stands still."""
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_answer_of_a_batch_goes_on_after_its_child_stood_still(engine: LlamaEngine) -> None:
    prompt, whole = await talkative(engine, "still", tokens=LONG)
    child, ticket = await other_child(engine), Ticket()
    running = Running(engine, prompt, ticket)
    running.park_at_next_piece()
    before = engine.machine.parts.tokens_read
    async with asyncio.TaskGroup() as group:
        group.create_task(running())
        for pause_s in (0.0, 1.6):
            await ticket.until_parked()
            await eventually(lambda: state_of(child) == "T")
            await anyio.sleep(0.1)  # what it has sent is still read
            said = running.pieces
            await anyio.sleep(pause_s)
            assert running.pieces == said
            if not pause_s:
                running.park_at_next_piece()
            ticket.let_go_on()
    assert (running.text, running.tokens) == (whole.text, whole.tokens)
    assert (running.reason, ticket.stop) == (whole.reason, None)
    assert engine.machine.parts.tokens_read == before
    assert state_of(child) != "T"
    assert child is await other_child(engine)


async def test_memory_of_both_children_is_told(engine: LlamaEngine) -> None:
    await other_child(engine)
    state = engine.state()
    assert state is not None
    assert state.memory is not None
    assert state.memory.process is not None
    assert state.memory.batch_process is not None
    assert min(state.memory.process, state.memory.batch_process) > 1_000_000


async def test_other_requests_compute_while_the_child_stands_still(engine: LlamaEngine) -> None:
    prompt, whole = await talkative(engine, "beside", tokens=LONG)
    child, ticket = await other_child(engine), Ticket()
    running = Running(engine, prompt, ticket)
    running.park_at_next_piece()
    async with asyncio.TaskGroup() as group:
        group.create_task(running())
        await ticket.until_parked()
        beside = Running(engine, replace(prompt, cache_salt="beside"), None)
        await beside()
        assert (beside.text, state_of(child)) == (whole.text, "T")
        ticket.let_go_on()
    assert running.text == whole.text


async def test_answer_with_a_grammar_can_be_parked_there(engine: LlamaEngine) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["xyz" * 60]}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip
    prompt = replace(asked(text("format", 20), "What?", tokens=400), output_schema=schema)
    child, ticket = await other_child(engine), Ticket()
    running = Running(engine, prompt, ticket)
    running.park_at_next_piece()
    async with asyncio.TaskGroup() as group:
        group.create_task(running())
        await ticket.until_parked()
        await eventually(lambda: state_of(child) == "T")
        ticket.let_go_on()
    assert "xyz" * 60 in running.text


async def test_prefixes_of_batches_and_of_others_are_the_same(engine: LlamaEngine) -> None:
    prompt = asked(text("shared", 200), "What?", marks=[0])
    cold, _ = await answered(engine, replace(prompt, parking=Ticket()))
    assert cold.reused < MINIMUM
    assert cold.stored == set(cold.breakpoints)
    await settled(engine)
    warm, _ = await answered(engine, prompt)
    assert (warm.reused, warm.restored) == (cold.breakpoints[0], True)
    assert engine.machine.parts.mismatches == 0


async def test_end_of_the_child_leaves_other_requests_alone(engine: LlamaEngine) -> None:
    prompt, whole = await talkative(engine, "killed", tokens=LONG)
    first = child_of(engine)

    async def kill_during_an_answer() -> None:
        # On a busy machine the whole answer may be there before the kill.
        for _ in range(10):
            child = await other_child(engine)
            running = Running(engine, prompt, Ticket())
            running.on_piece = lambda number, child=child: child.kill() if number == 1 else None
            try:
                await running()
            finally:
                # A request is lost in a process that is about to end.
                await child.wait()

    with pytest.raises(EngineError):
        await kill_during_an_answer()
    assert child_of(engine) is first
    again = Running(engine, prompt, Ticket())
    await again()
    assert again.text == whole.text


async def test_engine_closes_while_the_child_stands_still(weights: Path, tmp_path: Path) -> None:
    async with opened(weights, tmp_path) as engine:
        child, ticket = await other_child(engine), Ticket()
        assert engine.machine.batches is not None
        async with engine.machine.batches.place(ticket):
            ticket.tell()
            await eventually(lambda: state_of(child) == "T")
        assert state_of(child) == "T"
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


async def test_there_is_no_child_for_batches_without_memory_for_it(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.engines.llama.engine.available_memory", lambda: 1 << 20)
    async with opened(weights, tmp_path) as engine:
        prompt, whole = await talkative(engine, "alone")
        running = Running(engine, prompt, Ticket())
        before = engine.machine.parts.tokens_read
        await running()
        assert running.text == whole.text
        assert engine.machine.parts.tokens_read > before


async def test_worker_has_one_child_whose_slots_are_all_for_batches(
    weights: Path, tmp_path: Path
) -> None:
    async with opened(weights, tmp_path, only_batches=True) as engine:
        assert engine.machine.batches is None
        ticket = Ticket()
        prompts = [asked(text(f"slot {number}", 100)) for number in range(SLOTS)]
        await asyncio.gather(*(Running(engine, prompt, ticket)() for prompt in prompts))
        assert all(state.tokens for state in engine.machine._pool.states())
        assert ticket.stop is None


def test_memory_of_this_machine_and_of_this_process_is_known() -> None:
    mine = own_memory(os.getpid())
    assert mine is not None
    assert 1 << 20 < mine < 1 << 34
    assert available_memory() > 1 << 20


def test_memory_that_a_container_has_left_counts(tmp_path: Path) -> None:
    info = tmp_path / "meminfo"
    assert available_memory(info, ()) == 0
    info.write_text("MemTotal: 9000 kB\nMemAvailable:   4000 kB\n")
    assert available_memory(info, ()) == 4000 * 1024
    outer, inner = MemoryGroup(3_000_000, 1_000_000), MemoryGroup(2_500_000, 900_000)
    assert available_memory(info, (outer,)) == 2_000_000
    assert available_memory(info, (inner, outer)) == 1_600_000
    assert available_memory(info, (outer, MemoryGroup(3_000_000, 5_000_000))) == 0
