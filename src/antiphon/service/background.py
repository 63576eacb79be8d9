"""Work that goes on beside what a server does for its callers."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import anyio
import structlog


@asynccontextmanager
async def background(
    name: str, *works: Callable[[], Coroutine[Any, Any, None]]
) -> AsyncGenerator[None]:
    """Let these go on until the end of the block. Then they are cancelled, and have ended.

    They are not expected to end by themselves: one that fails is named in the log at once, and
    the others go on.
    """
    log = structlog.get_logger(__name__)

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.critical("work stopped", work=name, fault=type(fault).__name__, exc_info=fault)

    tasks = [asyncio.create_task(work(), name=name) for work in works]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait(tasks)


T = TypeVar("T")
P = ParamSpec("P")

# Bytes of a body from which it is worth a thread: what is smaller takes a few milliseconds.
LARGE_BODY = 256 * 1024


async def offload(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` returns; it runs beside the event loop if the body has that size.

    The interpreter lets the loop in between every few milliseconds.
    """
    if size < LARGE_BODY:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
