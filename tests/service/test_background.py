import asyncio

import anyio
import anyio.lowlevel
import pytest

from antiphon.service.background import background, repeated
from support.logs import capture_logs

pytestmark = pytest.mark.anyio


class Work:
    """Goes on until it is cancelled, and then has something to tidy."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.tidy = False

    async def __call__(self) -> None:
        try:
            self.began.set()
            await asyncio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(0)
            self.tidy = True


async def test_background_work_runs_during_the_block_and_has_ended_after_it() -> None:
    works = Work(), Work()
    async with background("work", *works):
        for work in works:
            await work.began.wait()
            assert not work.tidy
    assert all(work.tidy for work in works)


async def test_work_ends_when_the_block_is_cancelled() -> None:
    work = Work()

    async def block() -> None:
        async with background("work", work):
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await work.began.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert work.tidy


async def test_failure_of_background_work_is_logged_and_the_rest_goes_on() -> None:
    work, failed = Work(), asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise ZeroDivisionError

    with capture_logs() as logs:
        async with background("sums", fail, work):
            await failed.wait()
            await work.began.wait()
            while not logs:  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0)
            assert not work.tidy
    assert [(line["event"], line["work"], line["fault"]) for line in logs] == [
        ("work stopped", "sums", "ZeroDivisionError")
    ]


async def test_repeated_work_is_done_again_and_again_and_once_more_at_the_end() -> None:
    done = 0
    thrice = anyio.Event()

    async def work() -> None:
        nonlocal done
        await anyio.lowlevel.checkpoint()
        done += 1
        if done == 3:
            thrice.set()

    async def until_cancelled() -> None:
        async with repeated("writing", work, every_s=0.001):
            await anyio.sleep_forever()

    task = asyncio.create_task(until_cancelled())
    with anyio.fail_after(30):
        await thrice.wait()
        before = done
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert done == before + 1
