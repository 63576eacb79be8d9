import asyncio
import time
from collections.abc import Callable
from contextvars import copy_context
from random import Random

import anyio
import pytest

from simulation.loop import OWNER, DeadlockError, SimulatedLoop, inline_threads


class Process:
    """An owner that dies at a step."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.steps = 0
        self.dies_at = dies_at
        self.parked: list[Callable[[], object]] = []

    def may_step(self) -> bool:
        self.steps += 1
        return self.dies_at is None or self.steps < self.dies_at

    def park(self, step: Callable[[], object]) -> None:
        self.parked.append(step)


def loop_of(seed: int) -> SimulatedLoop:
    return SimulatedLoop(Random(seed))  # noqa: S311 - an order has to come back


def test_sleep_of_hours_takes_no_real_time() -> None:
    loop = loop_of(1)
    began = time.monotonic()
    loop.run_until_complete(asyncio.sleep(7200))
    assert 7200 <= loop.time() < 7201
    assert time.monotonic() - began < 1
    loop.close()


def test_timers_fire_between_steps_that_do_not_wait() -> None:
    loop = loop_of(1)
    heard: list[float] = []

    async def steps() -> None:
        loop.call_later(0.001, lambda: heard.append(loop.time()))
        while not heard:  # noqa: ASYNC110 - it is what is tested
            await asyncio.sleep(0)

    loop.run_until_complete(steps())
    assert heard[0] < 0.002
    loop.close()


def test_wait_that_nothing_can_end_raises_deadlock_error() -> None:
    loop = loop_of(1)
    with pytest.raises(DeadlockError):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_work_of_threads_is_done_inline_after_a_delay() -> None:
    loop = loop_of(1)

    async def work() -> list[float]:
        both = asyncio.to_thread(loop.time), anyio.to_thread.run_sync(loop.time)
        return list(await asyncio.gather(*both))

    with inline_threads():
        first, second = loop.run_until_complete(work())
    assert 0 < first < 0.01
    assert 0 < second < 0.01
    assert first != second
    loop.close()


def test_exception_in_a_thread_is_raised_at_its_await() -> None:
    loop = loop_of(1)
    with inline_threads(), pytest.raises(ZeroDivisionError):
        loop.run_until_complete(anyio.to_thread.run_sync(lambda: 1 // 0))
    loop.close()


@pytest.mark.parametrize("dies_at", range(1, 12))
def test_task_of_a_dead_process_runs_no_finally(dies_at: int) -> None:
    loop = loop_of(1)
    process = Process(dies_at)
    cleaned: list[int] = []

    async def work() -> None:
        try:
            for _ in range(100):
                await asyncio.sleep(0.1)
        finally:
            cleaned.append(process.steps)

    context = copy_context()
    context.run(OWNER.set, process)
    task = loop.create_task(work(), context=context)
    loop.run_until_complete(asyncio.sleep(60))
    assert not task.done()
    assert cleaned == []
    # What it would have done is kept, so that it can be ended when nothing of it counts.
    process.dies_at = None
    for step in process.parked:
        loop.call_soon(step)
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    assert task.cancelled()
    loop.close()


def test_timer_that_ends_while_its_process_hangs_can_still_be_cancelled() -> None:
    loop = loop_of(1)
    process = Process()
    woken = asyncio.Event()

    async def work() -> None:
        async with asyncio.timeout(2):
            await woken.wait()

    context = copy_context()
    context.run(OWNER.set, process)
    task = loop.create_task(work(), context=context)
    loop.run_until_complete(asyncio.sleep(1))
    # It takes no step from now on: neither when it is woken, nor when its time is over.
    process.dies_at = 0
    woken.set()
    loop.run_until_complete(asyncio.sleep(2))
    faults: list[object] = []
    loop.set_exception_handler(lambda _, fault: faults.append(fault))
    process.dies_at = None
    for step in process.parked:
        loop.call_soon(step)
    loop.run_until_complete(task)
    assert len(process.parked) == 2
    assert faults == []
    loop.close()


def test_seed_decides_every_order() -> None:
    def order(seed: int) -> list[int]:
        loop = loop_of(seed)
        done: list[int] = []

        async def work(number: int) -> None:
            await asyncio.to_thread(int)
            done.append(number)

        async def all_of_it() -> None:
            await asyncio.gather(*map(work, range(20)))

        loop.run_until_complete(all_of_it())
        loop.close()
        return done

    assert order(1) == order(1)
    assert order(1) != order(2)
