"""Runs work that counts its steps: a little on the event loop, the rest in a thread."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from antiphon.schemas.steps import Work, WorkStoppedError

T = TypeVar("T")

BRIEF: Final = 1_000
"""Steps that may be taken on the event loop: up to 4 ms on one core of a small server."""


class StepRunner:
    """Runs pieces of work, at most `threads` of them in threads at the same time.

    Python runs one thread at a time, and the event loop waits for each thread that wants to run.
    So few threads keep all other requests quick, and more would not be faster.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = asyncio.Semaphore(threads)

    async def run(self, work: Callable[[Work], T], *, brief: bool = True) -> T:
        """Return the result of `work`, or raise its exception.

        It is tried on the event loop first, unless it is known not to be `brief`; so it must do
        the same when it is called again. A cancelled caller ends it at its next step.
        """
        if brief:
            try:
                return work(Work(BRIEF))
            except WorkStoppedError:
                pass  # It takes longer.
        async with self._threads:
            running = Work()
            try:
                return await asyncio.to_thread(work, running)
            finally:
                running.stop()
