import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from antiphon.core.errors import OverloadedError
from antiphon.core.idle_use import IdleUse
from antiphon.service.limits.batch_lane import BatchLane, BatchTicket
from antiphon.service.limits.gate import Gate

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Window:
    """A pacing with a window that tests set; it keeps the first-token times."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.noted: list[tuple[float, bool]] = []

    def window(self) -> int:
        return self.size

    def note_first_token(self, seconds: float, *, beside_batches: bool) -> None:
        self.noted.append((seconds, beside_batches))


def local(clock: Clock, *gates: Gate) -> BatchLane:
    """Put gates before one machine."""
    lane = BatchLane(clock, exclusive=True)
    for gate in gates:
        gate.batches.join(lane)
    return lane


class Batches:
    """Batch requests at a gate, and which of them were told to end."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.told: list[int] = []
        self.tickets: list[BatchTicket] = []

    async def enter(self, number: int = 1) -> list[asyncio.Task[None]]:
        """Let requests enter or wait; return their tasks."""
        tasks = []
        for _ in range(number):
            mine = len(self.tickets)
            self.tickets.append(self._gate.batches.ticket(lambda mine=mine: self.told.append(mine)))  # type: ignore[misc]
            tasks.append(asyncio.ensure_future(self.tickets[mine].enter()))
            await anyio.lowlevel.checkpoint()
        return tasks

    @property
    def inside(self) -> list[int]:
        running = self._gate.batches.lane.running
        return [number for number, ticket in enumerate(self.tickets) if ticket in running]

    def leave(self, number: int) -> None:
        self.tickets[number].leave()


async def test_batch_requests_take_the_room_that_is_free() -> None:
    gate = Gate(concurrent=3, queued=0)
    await gate.enter()
    batches = Batches(gate)
    await batches.enter(3)
    assert batches.inside == [0, 1]
    gate.leave()
    assert batches.inside == [0, 1, 2]


async def test_interactive_request_enters_a_gate_full_of_batches_and_the_newest_one_ends() -> None:
    gate = Gate(concurrent=2, queued=0)
    batches = Batches(gate)
    await batches.enter(2)
    await gate.enter()
    assert batches.told == [1]
    await gate.enter()
    assert batches.told == [1, 0]


async def test_request_that_was_told_to_end_is_not_told_again() -> None:
    gate = Gate(concurrent=3, queued=0)
    batches = Batches(gate)
    await batches.enter(3)
    await gate.enter()
    gate.leave()
    await gate.enter()
    assert batches.told == [2]


async def test_room_of_an_ending_request_is_taken_when_it_has_left() -> None:
    gate = Gate(concurrent=1, queued=0)
    batches = Batches(gate)
    await batches.enter(2)
    await gate.enter()
    gate.leave()
    assert batches.inside == [0]
    batches.leave(0)
    assert batches.inside == [1]


async def test_interactive_request_ends_all_batch_work_of_its_machine() -> None:
    one, other = Gate(concurrent=4, queued=0), Gate(concurrent=4, queued=0)
    local(Clock(), one, other)
    batches, others = Batches(one), Batches(other)
    await batches.enter(2)
    await others.enter(1)
    await one.enter()
    assert (batches.told, others.told) == ([1, 0], [0])


async def test_batches_of_a_machine_wait_until_no_gate_has_an_interactive_request() -> None:
    one, other = Gate(concurrent=4, queued=0), Gate(concurrent=4, queued=0)
    local(Clock(), one, other)
    await one.enter()
    await other.enter()
    batches = Batches(one)
    await batches.enter(2)
    other.leave()
    assert batches.inside == []
    one.leave()
    assert batches.inside == [0, 1]


async def test_window_bounds_the_batch_requests_of_a_gate() -> None:
    gate, window = Gate(concurrent=9, queued=0), Window(2)
    gate.batches.pacing = window
    batches = Batches(gate)
    await batches.enter(4)
    assert batches.inside == [0, 1]
    window.size = 0
    batches.leave(0)
    batches.leave(1)
    assert batches.inside == []
    window.size = 1
    gate.batches.lane.let_in()
    assert batches.inside == [2]


async def test_first_token_is_noted_and_lets_in_what_the_wider_window_takes() -> None:
    gate, window = Gate(concurrent=9, queued=0), Window(1)
    gate.batches.pacing = window
    quiet = gate.batches.first_token_watch()
    batches = Batches(gate)
    await batches.enter(2)
    beside = gate.batches.first_token_watch()
    assert quiet is not None
    assert beside is not None
    beside(0.7)
    assert batches.inside == [0]
    window.size = 2
    quiet(0.5)  # batch work has begun since
    assert batches.inside == [0, 1]
    assert window.noted == [(0.7, True), (0.5, True)]


async def test_first_token_without_batch_work_is_noted_as_such() -> None:
    gate, window = Gate(concurrent=9, queued=0), Window(1)
    gate.batches.pacing = window
    watch = gate.batches.first_token_watch()
    assert watch is not None
    watch(0.5)
    assert window.noted == [(0.5, False)]


async def test_gate_without_a_pacing_notes_no_first_tokens() -> None:
    assert Gate(concurrent=1, queued=0).batches.first_token_watch() is None


@pytest.mark.parametrize("let_in_first", [False, True])
async def test_turn_is_not_lost_on_a_batch_request_that_is_cancelled(let_in_first: bool) -> None:
    gate = Gate(concurrent=1, queued=0)
    batches = Batches(gate)
    await batches.enter()
    gone, patient = await batches.enter(2)
    steps: list[Callable[[], Any]] = [lambda: batches.leave(0), gone.cancel]
    for step in steps if let_in_first else reversed(steps):
        step()
    await asyncio.wait([gone])
    await patient
    assert gone.cancelled()
    assert batches.inside == [2]
    assert gate.batches.lane.waiting == 0


async def test_use_is_the_time_in_which_batch_requests_ran() -> None:
    gate, clock = Gate(concurrent=9, queued=0), Clock()
    lane = local(clock, gate)
    batches = Batches(gate)
    await batches.enter(2)
    clock.seconds += 5
    batches.leave(0)
    clock.seconds += 2
    assert lane.idle_use == IdleUse(total_s=7, busy_s=7)
    batches.leave(1)
    clock.seconds += 100
    assert lane.idle_use == IdleUse(total_s=107, busy_s=7)


async def test_delay_of_interactive_requests_ends_when_the_batch_work_has_left() -> None:
    gate, clock = Gate(concurrent=9, queued=0), Clock()
    lane = local(clock, gate)
    batches = Batches(gate)
    await batches.enter(2)
    await gate.enter()
    batches.leave(1)
    clock.seconds += 0.25
    await gate.enter()
    clock.seconds += 0.25
    batches.leave(0)
    await gate.enter()
    use = lane.idle_use
    assert (use.total_s, use.busy_s) == (0.5, 0.5)
    assert (use.yielded, use.delayed, use.delay_s, use.longest_delay_s) == (2, 2, 0.75, 0.5)


async def test_interactive_use_is_the_time_in_which_a_request_was_at_any_gate() -> None:
    one, two, clock = Gate(concurrent=2, queued=0), Gate(concurrent=1, queued=1), Clock()
    lane = local(clock, one, two)
    clock.seconds += 1
    await one.enter()
    await one.enter()
    clock.seconds += 2
    await two.enter()
    waiting = asyncio.ensure_future(two.enter())
    await anyio.lowlevel.checkpoint()
    one.leave()
    one.leave()
    clock.seconds += 4
    assert lane.idle_use == IdleUse(total_s=7, interactive_s=6, interactive=3)
    two.leave()
    await waiting
    clock.seconds += 8
    two.leave()
    clock.seconds += 16
    assert lane.idle_use == IdleUse(total_s=31, interactive_s=14, interactive=4)


async def test_refused_and_cancelled_requests_are_not_counted() -> None:
    gate = Gate(concurrent=1, queued=1)
    lane = local(Clock(), gate)
    await gate.enter()
    waiting = asyncio.ensure_future(gate.enter())
    await anyio.lowlevel.checkpoint()
    with pytest.raises(OverloadedError):
        await gate.enter()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert lane.idle_use.interactive == 1


async def test_each_part_of_the_use_is_taken_once() -> None:
    gate, clock = Gate(concurrent=9, queued=0), Clock()
    lane = local(clock, gate)
    batches = Batches(gate)
    await batches.enter()
    clock.seconds += 5
    await gate.enter()
    clock.seconds += 0.25
    batches.leave(0)
    first = IdleUse(
        total_s=5.25,
        busy_s=5.25,
        interactive_s=0.25,
        interactive=1,
        yielded=1,
        delay_s=0.25,
        longest_delay_s=0.25,
        delays=(0, 0, 0, 0, 0, 1, 0, 0, 0),
    )
    assert lane.meter.take() == first
    clock.seconds += 2
    second = IdleUse(total_s=2, interactive_s=2)
    assert lane.meter.take() == second
    assert lane.meter.take() == IdleUse()
    assert lane.idle_use == first + second


async def test_use_tells_which_requests_keep_what_they_have_done() -> None:
    gate = Gate(concurrent=9, queued=0)
    lane = local(Clock(), gate)
    batches = Batches(gate)
    await batches.enter(3)
    batches.tickets[1].watch(lambda: None)
    await gate.enter()
    assert (lane.idle_use.yielded, lane.idle_use.parked) == (3, 1)


async def test_interactive_request_never_waits_at_the_gate_for_batches() -> None:
    gate = Gate(concurrent=1, queued=0)
    lane = local(Clock(), gate)
    await Batches(gate).enter(3)
    entering: Awaitable[None] = gate.enter()
    # One step is enough: it does not wait.
    with pytest.raises(StopIteration):
        entering.__await__().__next__()
    assert len(lane.running) == 1


async def test_batch_work_of_a_machine_begins_after_a_pause_of_interactive_requests() -> None:
    gate = Gate(concurrent=4, queued=0)
    gate.batches.join(BatchLane(exclusive=True, quiet_s=0.4))
    batches = Batches(gate)
    await gate.enter()
    await batches.enter(2)
    gate.leave()
    await anyio.sleep(0.25)
    await gate.enter()
    gate.leave()  # the pause begins anew
    await anyio.sleep(0.25)
    assert batches.inside == []
    await anyio.sleep(0.25)
    assert batches.inside == [0, 1]


async def test_pause_ends_for_nobody_while_an_interactive_request_is_in() -> None:
    gate = Gate(concurrent=4, queued=0)
    gate.batches.join(BatchLane(exclusive=True, quiet_s=0.02))
    batches = Batches(gate)
    [gone] = await batches.enter(1)
    await gate.enter()
    await anyio.sleep(0.05)
    assert batches.inside == []
    gate.leave()
    gone.cancel()
    await anyio.sleep(0.05)
    assert batches.inside == []


async def test_batch_work_that_has_a_machine_goes_on_without_a_pause() -> None:
    gate = Gate(concurrent=1, queued=0)
    gate.batches.join(BatchLane(exclusive=True, quiet_s=0.02))
    batches = Batches(gate)
    await batches.enter(3)
    await anyio.sleep(0.05)
    batches.leave(0)
    assert batches.inside == [1]
    await gate.enter()
    assert batches.told == [1]
    gate.leave()
    batches.leave(1)
    assert batches.inside == []
    await anyio.sleep(0.05)
    assert batches.inside == [2]


async def parked(batches: Batches, number: int) -> "asyncio.Task[None]":
    """Park a request that was told to stop."""
    parking = asyncio.ensure_future(batches.tickets[number].park())
    await anyio.lowlevel.checkpoint()
    return parking


async def test_request_that_an_engine_watches_is_told_to_stop_instead_of_to_end() -> None:
    gate = Gate(concurrent=4, queued=0)
    local(Clock(), gate)
    batches, stopped = Batches(gate), []
    await batches.enter(2)
    batches.tickets[0].watch(lambda: stopped.append(0))
    await gate.enter()
    assert (stopped, batches.told) == ([0], [1])


async def test_parked_requests_go_on_before_others_and_in_their_order() -> None:
    gate = Gate(concurrent=3, queued=0)
    local(Clock(), gate)
    batches = Batches(gate)
    await batches.enter(4)
    await gate.enter()
    assert batches.told == [2, 1, 0]
    going_on = [await parked(batches, number) for number in batches.told]
    assert batches.inside == []
    assert gate.batches.lane.waiting == 4
    gate.leave()
    await anyio.lowlevel.checkpoint()
    assert batches.inside == [0, 1, 2]
    assert all(task.done() for task in going_on)


async def test_request_that_was_parked_can_be_told_to_stop_again() -> None:
    gate, clock = Gate(concurrent=1, queued=0), Clock()
    lane = local(clock, gate)
    batches = Batches(gate)
    await batches.enter()
    for _ in range(2):
        await gate.enter()
        clock.seconds += 0.5
        going_on = await parked(batches, 0)
        gate.leave()
        await going_on
        assert batches.inside == [0]
    assert batches.told == [0, 0]
    use = lane.idle_use
    assert (use.yielded, use.delayed, use.delay_s, use.longest_delay_s) == (2, 2, 1.0, 0.5)
    assert use.busy_s == 1.0


@pytest.mark.parametrize("let_in_first", [False, True])
async def test_parked_request_that_is_cancelled_leaves_its_room(let_in_first: bool) -> None:
    gate = Gate(concurrent=1, queued=0)
    batches = Batches(gate)
    await batches.enter(2)
    await gate.enter()
    gone = await parked(batches, 0)
    steps: list[Callable[[], Any]] = [gate.leave, gone.cancel]
    for step in steps if let_in_first else reversed(steps):
        step()
    await asyncio.wait([gone])
    assert gone.cancelled()
    batches.leave(0)  # as the end of its answer does
    await anyio.lowlevel.checkpoint()
    assert batches.inside == [1]
    assert gate.batches.lane.waiting == 0


async def test_failure_to_tell_a_request_costs_no_place_at_the_gate() -> None:
    gate = Gate(concurrent=2, queued=0)
    local(Clock(), gate)

    def fails() -> None:
        raise RuntimeError("it has ended")

    await gate.batches.ticket(fails).enter()
    with pytest.raises(RuntimeError, match="it has ended"):
        await gate.enter()
    assert gate.free == 2
