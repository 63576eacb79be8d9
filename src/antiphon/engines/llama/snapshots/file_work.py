"""Runs work on files in threads, to its end: also when the request that wanted it is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from antiphon.engines.llama.snapshots.files import DamagedFileError
from antiphon.logs import EventLog

T = TypeVar("T")


class FileWork:
    """Work on files that nobody cancels, and that costs no more than its result if it fails."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._log = EventLog(__name__)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that `settle` waits for."""
        task = asyncio.create_task(work, name="antiphon-snapshots")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def begin(self, work: Callable[[], object]) -> None:
        """Do `work` in a thread, for which nobody waits."""
        self.start(self._attempt(work))

    async def run(self, work: Callable[[], T]) -> T | None:
        """Return the result of `work` in a thread; `None` if it failed, which is logged."""
        return await asyncio.shield(self.start(self._attempt(work)))

    async def settle(self) -> None:
        """Wait until no work is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _attempt(self, work: Callable[[], T]) -> T | None:
        try:
            return await asyncio.to_thread(work)
        except (OSError, DamagedFileError) as error:
            self._log.warning("work on snapshots failed", reason=reason_of(error))
            return None


def reason_of(error: Exception) -> str:
    """Return the reason of a failure, without a path."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
