"""Where requests of batches wait and run, out of the way of interactive requests.

    BatchTicket.enter ──► runs ──► leave
        ▲ waits │          │ an interactive request needs the room
        │       │          ├─ park: its engine stops, keeps what it has done, and goes on later
        │       │          └─ make_way: its engine cannot park it; it ends, unbilled
        │       └─ in its BatchQueue, one for each gate; a BatchLane has the queues of one machine
        └─ first in its queue, if it was parked

A batch request enters only into room that no interactive request uses, as far as the pacing of its
model allows. On a lane of this machine it enters only while no interactive request is at any gate,
and none has been for a while: a conversation has pauses, and a prompt that is being read delays
whoever comes next.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import Protocol

from antiphon.core.idle_use import IdleUse
from antiphon.core.request_records import ParkedTime, microseconds
from antiphon.service.limits.stopwatch import Stopwatch
from antiphon.service.limits.use_meter import UseMeter


class Pacing(Protocol):
    """Decides how much batch work runs beside the interactive requests of one model.

    `window` is the most batch requests at once; while it is 0 none enters. Whoever widens it calls
    `BatchLane.let_in`. `note_first_token` gets the seconds from the admission of an interactive
    request to its first token, and whether batch work ran at the one moment or the other.
    """

    def window(self) -> int: ...

    def note_first_token(self, seconds: float, *, beside_batches: bool) -> None: ...


class InteractiveRoom(Protocol):
    """What a gate says of its interactive requests.

    `size` is how many may be in at once, `free` how many more may enter now, and `busy` whether any
    is in.
    """

    @property
    def size(self) -> int: ...

    @property
    def free(self) -> int: ...

    @property
    def busy(self) -> bool: ...


class BatchLane:
    """The batch requests of the gates before one machine, or of the only gate before an upstream.

    `exclusive`: batch work runs only while no interactive request is at any of the gates, and
    begins when none has been for `quiet_s`. `running` has the requests that entered, in their
    order, also those that were told to stop; `waiting` is the number in the queues; `meter` has
    what they used. `clock` returns seconds that never go back.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        exclusive: bool = False,
        quiet_s: float = 0.0,
    ) -> None:
        self.queues: list[BatchQueue] = []
        self.running: dict[BatchTicket, None] = {}
        self.waiting = 0
        self.exclusive = exclusive
        self._quiet_s = quiet_s
        self.clock = clock
        # Whether batch work has the lane: from the end of a pause to the next interactive request.
        self._quiet = False
        self._pause: asyncio.TimerHandle | None = None
        # When the last interactive request left.
        self._emptied_at = -inf
        self.meter = UseMeter(clock)
        # The times at which interactive requests entered while requests were told to stop.
        self._arrivals: list[float] = []
        self._stopping = 0

    @property
    def idle_use(self) -> IdleUse:
        """What batches used until now."""
        return self.meter.since_start

    def make_way(self, room: InteractiveRoom) -> None:
        """Tell requests to stop for an interactive one that has entered, the newest first.

        All of them stop on an exclusive lane; else those for which no room is left.
        """
        self._quiet = False
        staying = [ticket for ticket in self.running if not ticket.stopping]
        leaving = staying if self.exclusive else staying[room.free :]
        if leaving:
            self._stopping += len(leaving)
            self.meter.yielded(len(leaving), sum(ticket.parks for ticket in leaving))
            for ticket in reversed(leaving):
                ticket.stop()
        if self._stopping:
            self._arrivals.append(self.clock())

    def let_in(self) -> None:
        """Let requests in, in the order of each queue, while there is room for them."""
        if self.exclusive and (self._busy or not self._is_quiet()):
            return
        for queue in self.queues:
            queue.let_in()

    def interactive_left(self) -> None:
        """Let requests in after an interactive one has left; a pause begins anew."""
        self._quiet = False
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self.let_in()

    def gate_emptied(self) -> None:
        """Note that the last interactive request of a gate has left."""
        if len(self.queues) == 1 or not self._busy:
            self._emptied_at = now = self.clock()
            self.meter.interactive_ended(now)

    @property
    def makes_way(self) -> bool:
        """Whether interactive requests are at any gate, or a pause waits for their next one."""
        return self._busy or (not self._quiet and self.clock() < self._emptied_at + self._quiet_s)

    @property
    def _busy(self) -> bool:
        return any(queue.room.busy for queue in self.queues)

    def _is_quiet(self) -> bool:
        """Return whether batch work has the lane, or may have it; else wait for a pause."""
        if self._quiet or not self._quiet_s:
            return True
        if self._pause is None:
            loop = asyncio.get_running_loop()
            self._pause = loop.call_later(self._quiet_s, self._end_pause)
        return False

    def _end_pause(self) -> None:
        self._pause = None
        if self.waiting and not self._busy:
            self._quiet = True
            self.let_in()

    def begin(self, ticket: "BatchTicket") -> None:
        """Note that a request enters; only its queue calls it."""
        if not self.running:
            self.meter.batches_began()
        self.running[ticket] = None

    def end(self, ticket: "BatchTicket") -> None:
        """Note that a request has left, and let others in; only its queue calls it."""
        del self.running[ticket]
        if not self.running:
            self.meter.batches_ended()
            self._quiet = self._quiet and self.waiting > 0
        if ticket.stopping:
            self._stopping -= 1
            if not self._stopping:
                now = self.clock()
                self.meter.delayed([now - arrival for arrival in self._arrivals])
                self._arrivals.clear()
        self.let_in()


class BatchQueue:
    """The batch requests of one model: those that wait before its gate, and how many run.

    `pacing` bounds them; without it they may take all room that is free, as on an exclusive lane,
    where they never run beside interactive requests, so that there is nothing to measure.
    """

    def __init__(self, room: InteractiveRoom, lane: BatchLane) -> None:
        self.room = room
        self.lane = lane
        self._pacing: Pacing | None = None
        self._line: deque[BatchTicket] = deque()
        self._running = 0
        lane.queues.append(self)

    @property
    def running(self) -> int:
        """How many requests have entered, also those that are parked."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._line)

    @property
    def pacing(self) -> Pacing | None:
        return None if self.lane.exclusive else self._pacing

    @pacing.setter
    def pacing(self, pacing: Pacing | None) -> None:
        self._pacing = pacing

    @property
    def makes_way(self) -> bool:
        """Whether interactive requests keep out half or more of what could run without them."""
        if self.lane.exclusive:
            return self.lane.makes_way
        return self.room.busy and 2 * self._most() <= self.room.size

    def join(self, lane: BatchLane) -> None:
        """Share a lane with other queues. Call it before the first request."""
        self.lane.queues.remove(self)
        lane.queues.append(self)
        self.lane = lane

    def ticket(self, make_way: Callable[[], None]) -> "BatchTicket":
        """Return the ticket of a request. `make_way` is called at most once: if it has to end."""
        return BatchTicket(self, make_way)

    def add(self, ticket: "BatchTicket", *, first: bool = False) -> None:
        """Add a ticket behind the others, or before them, and let in what may enter."""
        (self._line.appendleft if first else self._line.append)(ticket)
        self.lane.waiting += 1
        self.lane.let_in()

    def remove(self, ticket: "BatchTicket") -> None:
        """Remove a ticket that was cancelled while it waited."""
        with suppress(ValueError):
            self._line.remove(ticket)
            self.lane.waiting -= 1

    def leave(self, ticket: "BatchTicket") -> None:
        """End a ticket that had entered."""
        self._running -= 1
        self.lane.end(ticket)

    def let_in(self) -> None:
        """Let in the first ones, while there is room; only the lane calls it."""
        while self._line and (not self._line[0].waits or self._running < self._most()):
            ticket = self._line.popleft()
            self.lane.waiting -= 1
            # A request that was cancelled just now is still in the queue.
            if ticket.waits:
                self._running += 1
                self.lane.begin(ticket)
                ticket.admit()

    def _most(self) -> int:
        free, pacing = self.room.free, self.pacing
        return free if pacing is None else min(free, pacing.window())

    def first_token_watch(self) -> Callable[[float], None] | None:
        """Return what takes the first-token time of a request admitted now; `None` if nobody."""
        lane, pacing = self.lane, self._pacing
        if pacing is None or lane.exclusive:
            return None
        return partial(self._note_first_token, pacing, bool(lane.running))

    def _note_first_token(self, pacing: Pacing, beside_batches: bool, seconds: float) -> None:  # noqa: FBT001 - a part of a `partial`
        beside = beside_batches or bool(self.lane.running)
        pacing.note_first_token(seconds, beside_batches=beside)
        if self.lane.waiting:
            self.lane.let_in()


class BatchTicket:
    """The ticket of one batch request: `enter`, then `leave`, as at the gate itself.

    It is the `core.parking.Parking` of the request: while an engine watches it, the request is
    parked where it would have to end otherwise. `stopping`: it was told to stop, and still runs.
    Whoever sees its first token calls `note_first_token`.
    """

    __slots__ = (
        "_entry",
        "_inside",
        "_make_way",
        "_parked",
        "_queue",
        "_reading_s",
        "_stop",
        "stopping",
    )

    def __init__(self, queue: BatchQueue, make_way: Callable[[], None]) -> None:
        self.stopping = False
        self._queue = queue
        self._make_way = make_way
        self._stop: Callable[[], None] | None = None
        self._inside = False
        self._parked = Stopwatch()
        # Of the seconds for which it was parked, those before its first token.
        self._reading_s: float | None = None
        self._entry: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def waits(self) -> bool:
        """Whether it waits still: it was neither let in nor cancelled."""
        return not self._entry.done()

    @property
    def makes_way(self) -> bool:
        """Whether it waits now because interactive requests go first."""
        return self.waits and self._queue.makes_way

    @property
    def parks(self) -> bool:
        """Whether its engine can park it now, where it would have to end otherwise."""
        return self._stop is not None

    def is_parked(self) -> bool:
        """Whether it has entered before, and waits now for others."""
        return self.waits and self._parked.runs

    @property
    def parked(self) -> ParkedTime | None:
        """How long it has been parked so far; `None` if it never was."""
        seconds = self._parked.seconds(self._queue.lane.clock())
        if not seconds:
            return None
        reading_s = seconds if self._reading_s is None else self._reading_s
        return ParkedTime(
            prefill_us=microseconds(reading_s), decode_us=microseconds(seconds - reading_s)
        )

    def note_first_token(self, _: float) -> None:
        """Note that the prompt is read: it is the answer that is parked from now on."""
        self._reading_s = self._parked.seconds(self._queue.lane.clock())

    async def enter(self) -> None:
        """Enter, at once or after any wait. What entered has to `leave`."""
        try:
            await self._admitted()
        except asyncio.CancelledError:
            self.leave()  # if it was let in together with the cancellation
            raise

    def leave(self) -> None:
        """Leave, and let in the next one that may enter. A request that is parked has left."""
        if self._inside:
            self._inside = False
            self._queue.leave(self)

    def watch(self, stop: Callable[[], None] | None) -> None:
        self._stop = stop

    async def park(self) -> None:
        self.leave()
        self.stopping = False
        self._entry = asyncio.get_running_loop().create_future()
        clock = self._queue.lane.clock
        self._parked.start(clock())
        try:
            await self._admitted(first=True)
        finally:
            self._parked.stop(clock())

    async def _admitted(self, *, first: bool = False) -> None:
        self._queue.add(self, first=first)
        if not self.waits:
            return
        try:
            await self._entry
        except asyncio.CancelledError:
            if self._entry.cancelled():
                self._queue.remove(self)
            raise

    def admit(self) -> None:
        """Let it in; only its queue calls it."""
        self._inside = True
        self._entry.set_result(None)

    def stop(self) -> None:
        """Tell it to stop; only the lane calls it."""
        self.stopping = True
        (self._make_way if self._stop is None else self._stop)()
