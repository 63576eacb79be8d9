import asyncio
import threading

import pytest

from antiphon.engines.step_runner import BRIEF, StepRunner
from antiphon.schemas.steps import TooComplexError, Work

pytestmark = pytest.mark.anyio


async def test_brief_work_runs_on_the_event_loop() -> None:
    def work(work: Work) -> int:
        work.budget().take(BRIEF)
        return threading.get_ident()

    assert await StepRunner().run(work) == threading.get_ident()


async def test_longer_work_runs_in_a_thread_from_its_beginning() -> None:
    begun = []

    def work(work: Work) -> int:
        begun.append(threading.get_ident())
        steps = work.budget()
        for _ in range(2 * BRIEF):
            steps.take()
        return threading.get_ident()

    ran = await StepRunner().run(work)
    assert ran != threading.get_ident()
    assert begun == [threading.get_ident(), ran]


async def test_work_that_is_not_brief_begins_in_a_thread() -> None:
    assert await StepRunner().run(lambda _: threading.get_ident(), brief=False) != (
        threading.get_ident()
    )


async def test_exhausted_budget_is_an_error_of_the_work() -> None:
    def work(work: Work) -> None:
        steps = work.budget(3 * BRIEF)
        while True:
            steps.take()

    with pytest.raises(TooComplexError):
        await StepRunner().run(work)


async def test_cancelled_caller_ends_the_thread_at_its_next_step() -> None:
    running, ended = threading.Event(), threading.Event()

    def work(work: Work) -> None:
        steps = work.budget(10**12)
        try:
            while True:
                steps.take()
                if steps.taken > BRIEF:
                    running.set()
        finally:
            if running.is_set():
                ended.set()

    task = asyncio.create_task(StepRunner().run(work))
    await asyncio.to_thread(running.wait, 10)
    task.cancel()
    assert await asyncio.to_thread(ended.wait, 10)
    assert (await asyncio.gather(task, return_exceptions=True))[0].__class__ is (
        asyncio.CancelledError
    )


async def test_no_more_threads_than_allowed_run_at_the_same_time() -> None:
    now = most = 0
    lock = threading.Lock()

    def work(_: Work) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1

    runner = StepRunner(threads=2)
    await asyncio.gather(*(runner.run(work, brief=False) for _ in range(6)))
    assert most == 2
