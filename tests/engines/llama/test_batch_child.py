"""The child for batches: when it is started, stands still, goes on and ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import anyio
import pytest

from antiphon.engines.base import EngineStartError
from antiphon.engines.llama.batch_child import TRY_AGAIN_S, BatchChild
from antiphon.engines.llama.standstill import Standstill
from antiphon.service.limits.batch_lane import BatchLane
from antiphon.service.limits.gate import Gate
from support.conversation import eventually
from support.parking import Ticket

pytestmark = pytest.mark.anyio


class Llama:
    """Starts children that are only counted, of which some fail."""

    def __init__(self) -> None:
        self.started = self.ended = 0
        self.memory = True
        self.fails = False
        self.loaded = asyncio.Event()
        self.loaded.set()
        self.seconds = 1000.0

    async def start(self, still: Standstill, stack: AsyncExitStack) -> str:
        del still
        self.started += 1
        stack.callback(self._end)
        await self.loaded.wait()
        if self.fails:
            raise EngineStartError("no")
        return f"machine {self.started}"

    def _end(self) -> None:
        self.ended += 1

    def child(self, idle_s: float = 60.0) -> BatchChild[str]:
        return BatchChild(
            self.start, lambda: self.memory, idle_s=idle_s, clock=lambda: self.seconds
        )


@pytest.fixture
def llama() -> Llama:
    return Llama()


@pytest.fixture
async def child(llama: Llama) -> AsyncIterator[BatchChild[str]]:
    child = llama.child()
    yield child
    await child.aclose()


async def test_prompts_share_one_child(llama: Llama, child: BatchChild[str]) -> None:
    assert llama.started == 0
    async with child.place(Ticket()) as one, child.place(Ticket()) as other:
        assert one == other == "machine 1"
    async with child.place(Ticket()) as again:
        assert again == "machine 1"


async def test_machine_is_told_while_there_is_one(llama: Llama, child: BatchChild[str]) -> None:
    assert child.machine is None
    llama.loaded.clear()
    async with anyio.create_task_group() as group:
        group.start_soon(_visit, child)
        await eventually(lambda: llama.started == 1)
        assert child.machine is None
        llama.loaded.set()
    assert child.machine == "machine 1"
    await child.aclose()
    assert child.machine is None


async def _visit(child: BatchChild[str]) -> None:
    async with child.place(Ticket()):
        pass


async def test_child_stands_still_while_all_prompts_are_parked(child: BatchChild[str]) -> None:
    one, other = Ticket(), Ticket()
    async with child.place(one), child.place(other):
        one.tell()
        assert not child.still.is_still
        other.tell()
        assert child.still.is_still
        await one.until_parked()
        await other.until_parked()
        other.let_go_on()
        await anyio.sleep(0.01)
        assert not child.still.is_still
        other.tell()
        assert child.still.is_still
        assert (one.times, other.times) == (1, 1)


async def test_new_prompt_lets_a_child_go_on_and_its_end_lets_it_stand_still(
    child: BatchChild[str],
) -> None:
    parked = Ticket()
    async with child.place(parked):
        parked.tell()
        async with child.place(Ticket()):
            assert not child.still.is_still
        assert child.still.is_still


async def test_prompt_that_is_cancelled_while_it_is_parked_leaves_the_child(
    llama: Llama, child: BatchChild[str]
) -> None:
    ticket = Ticket()

    async def work() -> None:
        async with child.place(ticket):
            await anyio.sleep_forever()

    task = asyncio.create_task(work())
    await anyio.sleep(0.01)
    ticket.tell()
    await ticket.until_parked()
    task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), ticket.stop) == (True, None)
    async with child.place(Ticket()):
        assert not child.still.is_still
    assert llama.started == 1


@pytest.mark.parametrize("memory", [False, True])
async def test_without_a_child_work_goes_on_elsewhere_and_a_later_one_tries_again(
    llama: Llama, child: BatchChild[str], *, memory: bool
) -> None:
    llama.memory, llama.fails = memory, True
    for _ in range(2):
        ticket = Ticket()
        async with child.place(ticket) as machine:
            assert (machine, ticket.stop) == (None, None)
    assert llama.started == llama.ended == int(memory)
    llama.memory, llama.fails = True, False
    llama.seconds += TRY_AGAIN_S
    async with child.place(Ticket()) as machine:
        assert machine == f"machine {1 + memory}"


async def test_work_that_was_parked_while_a_child_failed_to_start_goes_on_first(
    llama: Llama, child: BatchChild[str]
) -> None:
    llama.fails = True
    llama.loaded.clear()
    ticket, went_on = Ticket(), False

    async def work() -> None:
        nonlocal went_on
        async with child.place(ticket) as machine:
            assert machine is None
            went_on = True

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        await anyio.sleep(0.01)
        ticket.tell()
        assert child.still.is_still
        await ticket.until_parked()
        llama.loaded.set()
        await anyio.sleep(0.01)
        assert not went_on
        ticket.let_go_on()
    assert went_on


async def test_child_without_work_is_ended_and_started_again(llama: Llama) -> None:
    child = llama.child(idle_s=0.02)
    async with child.place(Ticket()):
        await anyio.sleep(0.05)
        assert llama.ended == 0
    async with child.place(Ticket()) as machine:  # before its end
        assert machine == "machine 1"
    await anyio.sleep(0.05)
    assert llama.ended == 1
    async with child.place(Ticket()) as machine:
        assert machine == "machine 2"
    await child.aclose()
    assert llama.ended == 2


async def test_close_ends_a_child_that_is_loading_or_stands_still(llama: Llama) -> None:
    loading = llama.child()
    llama.loaded.clear()

    async def visit() -> None:
        async with loading.place(Ticket()):
            pass

    task = asyncio.create_task(visit())
    await anyio.sleep(0.01)
    await loading.aclose()
    assert llama.ended == 1
    await asyncio.wait([task])
    llama.loaded.set()
    still, ticket = llama.child(), Ticket()
    async with still.place(ticket):
        ticket.tell()
        await still.aclose()
        assert (llama.ended, still.still.is_still) == (2, False)


async def test_prompt_that_is_told_again_as_soon_as_it_may_go_on_is_parked_again(
    child: BatchChild[str],
) -> None:
    ticket = Ticket()
    async with child.place(ticket):
        ticket.tell()
        await ticket.until_parked()
        ticket.let_go_on()
        ticket.tell()  # before the prompt knows that it may go on
        await ticket.until_parked()
        assert (child.still.is_still, ticket.times) == (True, 2)
        ticket.let_go_on()
        await anyio.sleep(0.01)
        assert not child.still.is_still
    assert ticket.stop is None


async def test_interactive_request_that_enters_at_the_end_of_the_pause_keeps_the_child_still(
    child: BatchChild[str],
) -> None:
    gate = Gate(concurrent=4, queued=0)
    lane = BatchLane(exclusive=True, quiet_s=0.02)
    gate.batches.join(lane)
    ended: list[bool] = []

    async def run() -> None:
        ticket = gate.batches.ticket(lambda: ended.append(True))
        await ticket.enter()
        try:
            async with child.place(ticket):
                await done.wait()
        finally:
            ticket.leave()

    done = asyncio.Event()
    running = asyncio.create_task(run())
    await eventually(lambda: bool(child._visits))
    await gate.enter()
    await eventually(lambda: lane.waiting == 1)
    gate.leave()
    lane._end_pause()  # lets the request in
    await gate.enter()  # before it knows
    await eventually(lambda: lane.waiting == 1)
    assert child.still.is_still
    assert not lane.running
    gate.leave()
    await eventually(lambda: bool(lane.running))
    done.set()
    await running
    assert (lane.running, lane.waiting, ended) == ({}, 0, [])
    await gate.enter()
    assert gate.free == 3
