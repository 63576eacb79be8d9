"""A llama.cpp of its own for batches: while interactive requests compute, it stands still.

    a prompt of a batch ─► the child is started, or runs ─► its slots, as those of the other child
                                  │ others come first: SIGSTOP, all prompts are parked
                                  └─ they are done: SIGCONT, nothing was lost

The threads of two children on the same cores slow each other down several times, also with the
least priority, because a thread that waits for another one spins. A process that is stopped costs
nothing but its memory: the KV of its slots, and what llama.cpp makes of the weights when it loads
them; the file of the weights is in memory once. It is ended after a while without work.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, Generic, TypeVar

from antiphon.core.parking import Parking
from antiphon.engines.base import EngineError, EngineStartError
from antiphon.engines.llama.standstill import Standstill
from antiphon.logs import EventLog

IDLE_S: Final = 300.0
"""The child is ended after this time without a prompt."""
TRY_AGAIN_S: Final = 300.0
"""After a start that failed, or for which memory was missing, none is tried for this time."""

Machine = TypeVar("Machine")


class BatchChild(Generic[Machine]):
    """The child that computes prompts of batches, while there is one.

    `start` starts it and returns its machine; what it opens is closed with the stack. It is not
    started unless `has_memory`, which may block.
    """

    def __init__(
        self,
        start: Callable[[Standstill, AsyncExitStack], Awaitable[Machine]],
        has_memory: Callable[[], bool],
        *,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.still = Standstill()
        self._start = start
        self._has_memory = has_memory
        self._idle_s = idle_s
        self._clock = clock
        self._not_before = 0.0
        self._visits: dict[_Visit, None] = {}
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[Machine | None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._log = EventLog(__name__)

    @asynccontextmanager
    async def place(self, parking: Parking) -> AsyncGenerator[Machine | None]:
        """Yield the machine of the child, which stands still while the work is parked.

        Yields `None` if there is no child, and the work goes on now.
        """
        visit = _Visit(self, parking)
        try:
            machine = await self._machine()
            if machine is None:
                await visit.leave()
            yield machine
        finally:
            await visit.aclose()

    @property
    def machine(self) -> Machine | None:
        """The machine of the child that runs; `None` without one, and while it starts."""
        opening = self._opening
        if opening is None or not opening.done() or opening.cancelled() or opening.exception():
            return None
        return opening.result()

    async def aclose(self) -> None:
        """End the child."""
        self._begin_closing()
        if self._closing is not None:
            await self._closing

    def enter(self, visit: "_Visit") -> None:
        """Note a prompt; only the visit calls it, as `leave` and `judge`."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self._visits[visit] = None
        self.judge()

    def leave(self, visit: "_Visit") -> None:
        if visit not in self._visits:
            return
        del self._visits[visit]
        self.judge()
        if not self._visits:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._idle_s, self._begin_closing)

    def judge(self) -> None:
        """Let the child go on as soon as any prompt may, and stand still once none may."""
        if any(not visit.is_parked for visit in self._visits):
            self.still.end()
        elif self._visits:
            self.still.begin()

    async def _machine(self) -> Machine | None:
        if self._opening is None:
            if self._clock() < self._not_before:
                return None
            self._opening = asyncio.create_task(self._open(), name="antiphon-batch-child")
        return await asyncio.shield(self._opening)

    async def _open(self) -> Machine | None:
        if self._closing is not None:
            await self._closing
        self._stack = AsyncExitStack()
        try:
            if await asyncio.to_thread(self._has_memory):
                self._log.info("a second llama.cpp is started for batches")
                return await self._start(self.still, self._stack)
            reason = "there is not enough memory for a second llama.cpp"
        except (EngineError, EngineStartError, OSError) as error:
            reason = str(error)
            await self._stack.aclose()
        self._log.warning("batches run in the llama.cpp of interactive requests", reason=reason)
        self._not_before = self._clock() + TRY_AGAIN_S
        self._opening = None
        return None

    def _begin_closing(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._opening is not None:
            opening, self._opening = self._opening, None
            self._closing = asyncio.create_task(self._close(opening))

    async def _close(self, opening: "asyncio.Task[Machine | None]") -> None:
        self.still.end()
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening
        await self._stack.aclose()


class _Visit:
    """One prompt in the child. While it is parked it computes only if another prompt does."""

    def __init__(self, child: BatchChild[Machine], parking: Parking) -> None:
        self._child = child
        self._parking = parking
        self._told = False
        self._waiting: asyncio.Task[None] | None = None
        parking.watch(self._stop)
        child.enter(self)

    @property
    def is_parked(self) -> bool:
        return self._waiting is not None

    def _stop(self) -> None:
        self._told = True
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._park(), name="antiphon-parked")
        self._child.judge()

    async def _park(self) -> None:
        # It may be told to stop again after it was let in, before this task knows of that.
        while self._told:
            self._told = False
            await self._parking.park()
        self._waiting = None
        self._child.judge()

    async def leave(self) -> None:
        """End it, once the work goes on."""
        self._parking.watch(None)
        if self._waiting is not None:
            await self._waiting
        self._child.leave(self)

    async def aclose(self) -> None:
        """End it now."""
        self._parking.watch(None)
        if self._waiting is not None:
            self._waiting.cancel()
            with suppress(asyncio.CancelledError):
                await self._waiting
        self._child.leave(self)
