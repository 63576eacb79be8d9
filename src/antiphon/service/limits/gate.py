"""The gate before an engine: so many requests at once, so many in line, beyond that 529."""

import asyncio
from collections import deque
from contextlib import suppress

from antiphon.core.errors import OverloadedError


class Gate:
    """Lets `concurrent` requests in; `queued` more wait in line, first come first served."""

    def __init__(self, concurrent: int, queued: int) -> None:
        self._free = concurrent
        self._queued = queued
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """The number of requests in line."""
        return len(self._line)

    async def enter(self) -> None:
        """Come in, at once or after a wait. Raises `OverloadedError` at once if the line is full.

        Each request that came in has to `leave`.
        """
        if self._free > 0:
            self._free -= 1
            return
        if len(self._line) >= self._queued:
            raise OverloadedError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._line.remove(turn)
            else:
                # The turn came together with the cancellation: the next one gets it.
                self.leave()
            raise

    def leave(self) -> None:
        """Let the request in that has waited longest."""
        while self._line:
            turn = self._line.popleft()
            # One that was cancelled just now is still in line.
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
