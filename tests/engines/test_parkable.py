"""Work that stops when it is told to, waits, and goes on."""

import asyncio
from collections.abc import Callable

import anyio
import pytest

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.parkable import ParkableWork, StoppedError

pytestmark = pytest.mark.anyio


class Ticket:
    """A parking that lets all go on at once; it counts how often work was parked."""

    def __init__(self) -> None:
        self.stop: Callable[[], None] | None = None
        self.parked = 0

    def watch(self, stop: Callable[[], None] | None) -> None:
        self.stop = stop

    async def park(self) -> None:
        self.parked += 1

    def tell(self) -> None:
        assert self.stop is not None
        self.stop()


@pytest.fixture
def ticket() -> Ticket:
    return Ticket()


@pytest.fixture
def work(ticket: Ticket) -> ParkableWork:
    return ParkableWork(ticket)


async def one() -> int:
    await anyio.lowlevel.checkpoint()
    return 1


async def test_step_that_nobody_stops_has_its_result(work: ParkableWork) -> None:
    assert await work.step(one) == 1


async def test_step_is_broken_off_and_can_be_done_again(ticket: Ticket, work: ParkableWork) -> None:
    async with asyncio.TaskGroup() as group:
        stopped = group.create_task(_stopped(work, anyio.sleep_forever))
        await anyio.sleep(0.01)
        ticket.tell()
        await stopped
    await work.park()
    assert (await work.step(one), ticket.parked) == (1, 1)


async def test_work_that_was_told_between_two_steps_begins_no_other(
    ticket: Ticket, work: ParkableWork
) -> None:
    ticket.tell()
    with pytest.raises(StoppedError):
        await work.step(one)


async def test_failure_of_a_server_whose_work_was_broken_off_is_a_stop(
    ticket: Ticket, work: ParkableWork
) -> None:
    async def breaks() -> None:
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError as error:
            raise EngineError(EngineErrorKind.FAILED, "broken off") from error

    async with asyncio.TaskGroup() as group:
        stopped = group.create_task(_stopped(work, breaks))
        await anyio.sleep(0.01)
        ticket.tell()
        await stopped


@pytest.mark.parametrize("error", [TimeoutError, EngineError(EngineErrorKind.FAILED, "broke")])
async def test_errors_of_a_step_are_its_own(work: ParkableWork, error: Exception) -> None:
    async def fails() -> None:
        raise error

    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        await work.step(fails)


async def test_cancellation_of_a_step_is_no_stop(work: ParkableWork) -> None:
    task = asyncio.ensure_future(work.step(anyio.sleep_forever))
    await anyio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_held_work_is_parked_before_and_watched_again_after(
    ticket: Ticket, work: ParkableWork
) -> None:
    ticket.tell()
    await work.hold()
    assert (ticket.parked, ticket.stop) == (1, None)
    work.let_go()
    ticket.tell()
    with pytest.raises(StoppedError):
        await work.step(one)


async def _stopped(work: ParkableWork, step: Callable[[], object]) -> None:
    with pytest.raises(StoppedError):
        await work.step(step)  # type: ignore[arg-type]
