"""How many requests an engine works on at once, and how many may wait: beyond that, 529."""

import asyncio
from collections import deque
from contextlib import suppress

from antiphon.core.errors import OverloadedError


class Gate:
    """Lets `concurrent` requests in; `queued` more wait in line, in the order of their coming."""

    def __init__(self, concurrent: int, queued: int) -> None:
        self._free = concurrent
        self._queued = queued
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._line)

    async def enter(self) -> None:
        """Come in, at once or after a wait. Raises `OverloadedError` at once if the line is full.

        Whoever came in has to `leave`.
        """
        if self._free > 0:
            self._free -= 1
            return
        if len(self._line) >= self._queued:
            raise OverloadedError
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                with suppress(ValueError):
                    self._line.remove(place)
            else:
                # The turn came together with the cancellation: the next one gets it.
                self.leave()
            raise

    def leave(self) -> None:
        """Make room for the one that has waited longest."""
        while self._line:
            place = self._line.popleft()
            # One that was cancelled just now is still in line.
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
