"""Work of an engine on one prompt that can be stopped at any moment, parked, and gone on with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from antiphon.core.parking import Parking
from antiphon.engines.base import EngineError

T = TypeVar("T")


class StoppedError(Exception):
    """The work has stopped: `ParkableWork.park` has to follow."""


class ParkableWork:
    """The steps of some work, each of which can be stopped; one step runs at a time."""

    def __init__(self, parking: Parking) -> None:
        self._parking = parking
        self._asked = False
        self._step: asyncio.Timeout | None = None
        parking.watch(self._stop)

    async def step(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Do a step. Raises `StoppedError` if the work has to stop before it, or in it."""
        if not self._asked:
            # It never ends by itself: to stop is to end it now.
            self._step = step = asyncio.timeout(None)
            try:
                async with step:
                    return await begin()
            except (TimeoutError, EngineError):
                # A server may fail because its work was broken off.
                if not step.expired():
                    raise
            finally:
                self._step = None
        raise StoppedError

    async def park(self) -> None:
        """Wait until the work may go on. Call it after a `StoppedError`."""
        self._asked = False
        await self._parking.park()

    async def hold(self) -> None:
        """Make what follows one whole that cannot be parked. Parks before, if the work has to."""
        if self._asked:
            await self.park()
        self._parking.watch(None)

    def let_go(self) -> None:
        """End what `hold` has begun."""
        self._parking.watch(self._stop)

    def _stop(self) -> None:
        self._asked = True
        if self._step is not None:
            self._step.reschedule(asyncio.get_running_loop().time())
