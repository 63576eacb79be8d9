"""Work in the background: tasks for the length of a block, and threads for large bodies."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import anyio

from antiphon.logs import EventLog


@asynccontextmanager
async def background(
    name: str, *works: Callable[[], Coroutine[Any, Any, None]]
) -> AsyncGenerator[None]:
    """Run tasks until the end of the block, which cancels them and waits for their ends.

    The tasks are endless: a failure of one is logged at once, and the others go on.
    """
    log = EventLog(__name__)

    def note_end(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.critical("work stopped", work=name, fault=type(fault).__name__, exc_info=fault)

    tasks = [asyncio.create_task(work(), name=name) for work in works]
    for task in tasks:
        task.add_done_callback(note_end)
    try:
        yield
    finally:
        await cancelled_once(*tasks)


@asynccontextmanager
async def repeated(
    name: str, work: Callable[[], Awaitable[None]], every_s: float
) -> AsyncGenerator[None]:
    """Do some work regularly, and once more at the end of the block, which waits for it."""

    async def repeat() -> None:
        while True:
            await anyio.sleep(every_s)
            await work()

    try:
        async with background(name, repeat):
            yield
    finally:
        with anyio.CancelScope(shield=True):
            await work()


async def cancelled_once(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and wait for their ends, also if this task is cancelled meanwhile, or again.

    What they do at their ends has to be limited in time.
    """
    for task in tasks:
        task.cancel()
    await ended(*tasks)


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Wait for the ends of tasks, also if this task is cancelled meanwhile, or again."""
    told = False
    # A cancelled scope would cancel this task in each turn of the loop.
    with anyio.CancelScope(shield=True):
        while any(not task.done() for task in tasks):
            try:
                await asyncio.wait(tasks)
            except asyncio.CancelledError:
                told = True
    if told:
        raise asyncio.CancelledError


T = TypeVar("T")
P = ParamSpec("P")

# The size of a body, in bytes, that counts towards the budget of bodies.
LARGE_BODY = 256 * 1024
# The size of a body, in bytes, that is worth a thread. The work for one of many small blocks takes
# up to a microsecond for each of its bytes.
BODY_FOR_A_THREAD = 32 * 1024


async def offload(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of `work`, which runs in a thread unless the body is small."""
    if size < BODY_FOR_A_THREAD:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
