"""Work that goes on beside what a server does for its callers."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import structlog


@asynccontextmanager
async def beside(
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
