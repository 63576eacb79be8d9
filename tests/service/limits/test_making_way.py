"""Which requests of batches wait because interactive requests go first, and which for others."""

import asyncio

import anyio
import pytest

from antiphon.core.request_records import ParkedTime
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
    """A pacing with a window of this size."""

    def __init__(self, size: int) -> None:
        self._size = size

    def window(self) -> int:
        return self._size

    def note_first_token(self, seconds: float, *, beside_batches: bool) -> None:
        """Change nothing."""


async def entered(gate: Gate, number: int) -> list[BatchTicket]:
    """Let batch requests enter, or wait."""
    tickets = [gate.batches.ticket(lambda: None) for _ in range(number)]
    for ticket in tickets:
        entering = asyncio.ensure_future(ticket.enter())
        await anyio.lowlevel.checkpoint()
        entering.add_done_callback(lambda task: task.cancelled() or task.result())
    return tickets


async def made_way(gate: Gate, requests: int) -> list[bool]:
    return [ticket.makes_way for ticket in await entered(gate, requests)]


def on_a_machine(clock: Clock, *gates: Gate, quiet_s: float = 0.0) -> None:
    lane = BatchLane(clock, exclusive=True, quiet_s=quiet_s)
    for gate in gates:
        gate.batches.join(lane)


async def test_all_make_way_on_a_machine_with_an_interactive_request_at_any_gate() -> None:
    one, other = Gate(concurrent=4, queued=0), Gate(concurrent=4, queued=0)
    on_a_machine(Clock(), one, other)
    await other.enter()
    waiting = await entered(one, 2)
    assert [ticket.makes_way for ticket in waiting] == [True, True]
    other.leave()
    assert [ticket.makes_way for ticket in waiting] == [False, False]
    assert not any(ticket.waits for ticket in waiting)


async def test_request_makes_way_in_the_pause_of_interactive_ones_and_not_beyond() -> None:
    gate, clock = Gate(concurrent=4, queued=0), Clock()
    on_a_machine(clock, gate, quiet_s=50)
    await gate.enter()
    [waiting] = await entered(gate, 1)
    gate.leave()
    clock.seconds += 49
    assert waiting.waits
    assert waiting.makes_way
    clock.seconds += 2
    assert not waiting.makes_way


async def test_request_that_waits_before_the_first_interactive_one_makes_no_way() -> None:
    gate = Gate(concurrent=4, queued=0)
    on_a_machine(Clock(), gate, quiet_s=50)
    [waiting] = await entered(gate, 1)
    assert waiting.waits
    assert not waiting.makes_way


async def test_request_that_waits_for_others_of_batches_makes_no_way() -> None:
    gate = Gate(concurrent=2, queued=0)
    assert await made_way(gate, 3) == [False] * 3
    machine = Gate(concurrent=2, queued=0)
    on_a_machine(Clock(), machine)
    assert await made_way(machine, 3) == [False] * 3


async def test_requests_before_an_upstream_make_way_once_half_of_its_room_is_taken() -> None:
    gate = Gate(concurrent=4, queued=0)
    await gate.enter()
    tickets = await entered(gate, 4)
    assert [ticket.waits for ticket in tickets] == [False, False, False, True]
    assert not tickets[3].makes_way
    await gate.enter()
    assert [ticket.makes_way for ticket in tickets] == [False, False, False, True]


async def test_requests_make_way_that_a_small_window_keeps_out_for_interactive_ones() -> None:
    gate = Gate(concurrent=4, queued=0)
    gate.batches.pacing = Window(2)
    tickets = await entered(gate, 3)
    assert tickets[2].waits
    assert not tickets[2].makes_way
    await gate.enter()
    assert tickets[2].makes_way


async def test_time_is_told_for_which_a_request_was_parked_before_and_after_its_first_token() -> (
    None
):
    gate, clock = Gate(concurrent=1, queued=0), Clock()
    on_a_machine(clock, gate)
    [ticket] = await entered(gate, 1)

    async def stand_still(seconds: float) -> None:
        await gate.enter()
        parking = asyncio.ensure_future(ticket.park())
        await anyio.lowlevel.checkpoint()
        assert ticket.is_parked()
        clock.seconds += seconds
        gate.leave()
        await parking

    clock.seconds += 1
    assert ticket.parked is None
    assert not ticket.is_parked()
    await stand_still(2)
    clock.seconds += 4
    assert ticket.parked == ParkedTime(prefill_us=2_000_000)
    await stand_still(8)
    ticket.note_first_token(0.0)
    await stand_still(16)
    assert ticket.parked == ParkedTime(prefill_us=10_000_000, decode_us=16_000_000)
    assert not ticket.is_parked()


async def test_parked_request_makes_way_and_a_cancelled_one_no_more() -> None:
    gate = Gate(concurrent=1, queued=0)
    on_a_machine(Clock(), gate)
    [ticket] = await entered(gate, 1)
    await gate.enter()
    parking = asyncio.ensure_future(ticket.park())
    await anyio.lowlevel.checkpoint()
    assert ticket.makes_way
    parking.cancel()
    await asyncio.wait([parking])
    assert not ticket.makes_way
