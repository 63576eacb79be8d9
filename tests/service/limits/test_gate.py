import asyncio

import anyio
import pytest

from antiphon.core.errors import OverloadedError
from antiphon.service.limits.gate import Gate

pytestmark = pytest.mark.anyio


async def test_request_beyond_the_queue_is_refused_at_once() -> None:
    gate = Gate(concurrent=2, queued=1)
    await gate.enter()
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await anyio.lowlevel.checkpoint()
    with pytest.raises(OverloadedError):
        await gate.enter()
    gate.leave()
    await waiting
    assert gate.waiting == 0


async def test_waiting_requests_enter_in_order() -> None:
    gate = Gate(concurrent=1, queued=3)
    await gate.enter()
    served: list[int] = []

    async def one(number: int) -> None:
        await gate.enter()
        served.append(number)
        gate.leave()

    tasks = [asyncio.create_task(one(number)) for number in range(3)]
    await anyio.lowlevel.checkpoint()
    gate.leave()
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2]
    await gate.enter()


async def test_cancelled_request_leaves_the_queue() -> None:
    gate = Gate(concurrent=1, queued=2)
    await gate.enter()
    gone, patient = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await anyio.lowlevel.checkpoint()
    gone.cancel()
    await asyncio.wait([gone])
    assert gate.waiting == 1
    gate.leave()
    await patient


async def test_turn_is_not_lost_on_a_request_that_is_being_cancelled() -> None:
    gate = Gate(concurrent=1, queued=2)
    await gate.enter()
    gone, patient = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await anyio.lowlevel.checkpoint()
    gone.cancel()
    gate.leave()
    await patient
    assert gone.cancelled()


async def test_turn_that_comes_with_a_cancellation_goes_to_the_next() -> None:
    gate = Gate(concurrent=1, queued=2)
    await gate.enter()
    gone, patient = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await anyio.lowlevel.checkpoint()
    gate.leave()
    gone.cancel()
    await asyncio.wait([gone])
    await patient
    gate.leave()
    await gate.enter()


async def test_gate_without_a_queue_refuses_the_second_request() -> None:
    gate = Gate(concurrent=1, queued=0)
    await gate.enter()
    with pytest.raises(OverloadedError):
        await gate.enter()
