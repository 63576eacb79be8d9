"""The gate before an engine: it bounds running and queued requests, and refuses others (529)."""

import asyncio
from collections import deque
from contextlib import suppress

from antiphon.core.errors import OverloadedError
from antiphon.core.limits.refusals import RefusedBy
from antiphon.service.limits.batch_lane import BatchLane, BatchQueue


class Gate:
    """Lets `concurrent` requests in; `queued` more wait in a queue, in their order.

    These are the interactive requests. Those of batches have a queue of their own, `batches`: they
    use the room that is free, and make way for each request that enters. None is refused, or waits
    here, because of them.
    """

    def __init__(self, concurrent: int, queued: int) -> None:
        self._concurrent = concurrent
        self._free = concurrent
        self._queued = queued
        self._line: deque[asyncio.Future[None]] = deque()
        self.batches = BatchQueue(self, BatchLane())

    @property
    def waiting(self) -> int:
        """The number of queued requests."""
        return len(self._line)

    @property
    def running(self) -> int:
        """The number of requests that are in."""
        return self._concurrent - self._free

    @property
    def size(self) -> int:
        """The number of requests that may be in at once."""
        return self._concurrent

    @property
    def free(self) -> int:
        """The number of requests that would enter at once."""
        return self._free

    @property
    def busy(self) -> bool:
        """Whether a request is in."""
        return self._free < self._concurrent

    async def enter(self) -> None:
        """Enter, at once or after a wait. Raises `OverloadedError` at once if the queue is full.

        Each request that entered has to `leave`.
        """
        if self._free > 0:
            lane = self.batches.lane
            lane.meter.entered += 1
            if self._free == self._concurrent:
                lane.meter.interactive_began()
            self._free -= 1
            if lane.running:
                try:
                    lane.make_way(self)
                except BaseException:
                    self.leave()
                    raise
            return
        if len(self._line) >= self._queued:
            refusal = OverloadedError()
            refusal.refused_by = RefusedBy(kind="queue", limit=self._queued)
            raise refusal
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._line.remove(turn)
            else:
                # The turn came together with the cancellation: the next request gets it.
                self.leave()
            raise
        self.batches.lane.meter.entered += 1

    def leave(self) -> None:
        """Leave, and let in the request that has waited longest."""
        while self._line:
            turn = self._line.popleft()
            # A request that was cancelled just now is still in the queue.
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
        if self._free == self._concurrent:
            self.batches.lane.gate_emptied()
        if self.batches.lane.waiting:
            self.batches.lane.interactive_left()
