"""The overseer: starts the processes of a server, replaces those that end, and restarts them.

start ─► first process, then all others ─► ready
a process ends, or hangs ─► another in its place, after a pause that doubles
SIGHUP ─► for one process after the other: a new one is ready ─► the old one hands over
SIGTERM ─► all answer what they have, then end; a second signal ends them now
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import msgspec

from antiphon.cli.processes.run import ProcessStartError, Run
from antiphon.logs import EventLog

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 30.0
STABLE_S: Final = 60.0
"""A process that ran for so long has not failed at its start."""
PING_EVERY_S: Final = 5.0
MOST_UNHEARD: Final = 6
"""The pings in a row without an answer after which a process is taken for one that hangs."""
END_S: Final = 15.0
"""The time after the grace time in which a process has to end."""


class Clockwork(msgspec.Struct, frozen=True):
    """The clock of the overseer, which tests replace."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Seat:
    """The place of one process, in which one run follows the other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.run: Run | None = None
        self.crashes = 0


class Overseer:
    """Runs `number` processes that answer requests, and an engine host (0) if `hosted`.

    `begin` starts the process of a number. `grace_s` is what running requests get at the end.
    """

    def __init__(
        self,
        begin: Callable[[int], Awaitable[Run]],
        number: int,
        *,
        hosted: bool,
        grace_s: float,
        clockwork: Clockwork | None = None,
    ) -> None:
        self._begin = begin
        self._host = Seat(0) if hosted else None
        self._seats = [Seat(one) for one in range(1, number + 1)]
        self._grace_s = grace_s
        self._time = clockwork or Clockwork()
        self._stopping = False
        self._leaving: set[Run] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rolling = asyncio.Lock()
        self._log = EventLog(__name__)

    async def start(self) -> str:
        """Start all processes; return the welcome of the first. Raises `ProcessStartError`.

        The engine host comes first, as the others need it, and then one other, which makes the
        database and the first key.
        """
        first, *others = self._seats
        if self._host is not None:
            await self._fill(self._host)
        welcome = await self._fill(first)
        await asyncio.gather(*(self._fill(seat) for seat in others))
        return welcome

    def runs(self) -> tuple[Run, ...]:
        """Return the processes that answer requests."""
        return tuple(seat.run for seat in self._seats if seat.run is not None)

    def working(self) -> tuple[Run, ...]:
        """Return these, and those that hand over: all that may have running requests."""
        return (*self.runs(), *self._leaving)

    async def restart(self) -> None:
        """Replace one process after the other: a new one is ready before the old one hands over.

        Of a new one that does not start the old one stays, and so do all behind it.
        """
        async with self._rolling:
            for seat in self._seats:
                if self._stopping:
                    return
                try:
                    await self._replace(seat)
                except (ProcessStartError, OSError) as error:
                    self._log.error("restart given up", number=seat.number, reason=str(error))
                    return
            self._log.info("all processes restarted", processes=len(self._seats))

    async def stop(self, *, now: bool = False) -> None:
        """End all processes, the engine host last; return when they have ended.

        Running requests get the grace time, and with `now` nothing.
        """
        self._stopping = True
        runs = self.working()
        for run in runs:
            run.send(signal.SIGINT if now else signal.SIGTERM)
        await asyncio.gather(*(self._ended(run) for run in runs))
        if self._host is not None and self._host.run is not None:
            self._host.run.send(signal.SIGTERM)
            await self._ended(self._host.run)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hurry(self) -> None:
        """End the requests that still run, while `stop` waits for them."""
        for run in self.working():
            run.send(signal.SIGINT)

    async def _ended(self, run: Run) -> None:
        try:
            async with asyncio.timeout(self._grace_s + END_S):
                await run.wait()
        except TimeoutError:
            run.send(signal.SIGKILL)
            await run.wait()

    async def _fill(self, seat: Seat) -> str:
        """Start the process of a seat, and watch over it from then on.

        If another one has taken the seat meanwhile, as its process ended during a restart, the
        later one gives way.
        """
        before = seat.run
        run = await self._begin(seat.number)
        # One that does not get ready is ended with all others.
        self._leaving.add(run)
        try:
            welcome = await run.until_ready()
        except BaseException:
            run.send(signal.SIGKILL)
            raise
        finally:
            self._leaving.discard(run)
        if seat.run is before:
            seat.run = run
            self._spawn(self._keep(seat, run))
        else:
            self._let_go(run)
        return welcome

    async def _replace(self, seat: Seat) -> None:
        old = seat.run
        await self._fill(seat)
        if old is not None:
            self._let_go(old)

    def _let_go(self, run: Run) -> None:
        """Have a process hand over to the one in its seat."""
        self._leaving.add(run)
        run.hand_over()
        self._spawn(self._forget(run))

    async def _forget(self, old: Run) -> None:
        code = await old.wait()
        self._leaving.discard(old)
        self._log.info("process handed over", pid=old.pid, exit_code=code)

    async def _keep(self, seat: Seat, run: Run) -> None:
        """Wait for the end of a process, and put another one in its place, unless one is there."""
        began = self._time.now()
        listening = asyncio.create_task(self._listen(seat, run), name="antiphon-overseer")
        code = await run.wait()
        listening.cancel()
        if seat.run is not run or self._stopping:
            return
        self._log.error("process ended", number=seat.number, pid=run.pid, exit_code=code)
        if self._time.now() - began >= STABLE_S:
            seat.crashes = 0
        while seat.run is run and not self._stopping:
            seat.crashes += 1
            await self._time.sleep(pause_after(seat.crashes))
            if seat.run is run and not self._stopping:
                try:
                    await self._fill(seat)
                except (ProcessStartError, OSError) as error:
                    self._log.error("process not started", number=seat.number, reason=str(error))

    async def _listen(self, seat: Seat, run: Run) -> None:
        """End a process that gives no sign of life. Pings are counted, as clocks go on in sleep."""
        unheard = 0
        while unheard < MOST_UNHEARD:
            sign = asyncio.create_task(run.alive())
            await self._time.sleep(PING_EVERY_S)
            unheard = 0 if sign.done() else unheard + 1
            sign.cancel()
        self._log.error("process hangs", number=seat.number, pid=run.pid)
        run.send(signal.SIGKILL)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="antiphon-overseer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def pause_after(crashes: int) -> float:
    """Return the seconds before the next start: twice as many after each crash in a row."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(crashes - 1, 16)))
