"""The overseer: starts the processes of a server, replaces those that end, and restarts them.

start ─► first process, then all others ─► ready
a process ends, or hangs ─► another in its place, after a pause that doubles
SIGHUP ─► the engine host, if what it depends on has changed (hosts.py)
       ─► for one process after the other: a new one is ready ─► the old one hands over
SIGTERM ─► all answer what they have, then end; a second signal ends them now
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

from antiphon.cli.processes.hosts import Change, HostSeat, Seat, change_of
from antiphon.cli.processes.pauses import STABLE_S, Clockwork, pause_after
from antiphon.cli.processes.reports import Found
from antiphon.cli.processes.run import ProcessStartError, Run
from antiphon.logs import EventLog

PING_EVERY_S: Final = 5.0
MOST_UNHEARD: Final = 6
"""The pings in a row without an answer after which a process is taken for one that hangs."""
END_S: Final = 15.0
"""The time after the grace time in which a process has to end."""


class Overseer:
    """Runs `number` processes that answer requests, and an engine host (0) if `hosted`.

    `begin` starts the process of a number, which has, or asks, the engine host of a generation.
    `look` says what the settings and the code are now, and raises `ProcessStartError`. `grace_s` is
    what running requests get at the end.
    """

    def __init__(  # noqa: PLR0913 - the last one is for tests
        self,
        begin: Callable[[int, int], Awaitable[Run]],
        number: int,
        *,
        hosted: bool,
        grace_s: float,
        look: Callable[[], Awaitable[Found]],
        clockwork: Clockwork | None = None,
    ) -> None:
        self._begin = begin
        self._look = look
        self._host = HostSeat(0) if hosted else None
        self._old_hosts: list[HostSeat] = []
        self._draining: set[Run] = set()
        self._generation = 0
        self._seats = [Seat(one) for one in range(1, number + 1)]
        self._grace_s = grace_s
        self._time = clockwork or Clockwork()
        self._stopping = False
        self._leaving: set[Run] = set()
        self._generations: dict[Run, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._rolling = asyncio.Lock()
        self._reload_waits = False
        self._fixed: dict[str, str] = {}
        self._log = EventLog(__name__)

    async def start(self, fixed: Mapping[str, str] | None = None) -> str:
        """Start all processes; return the welcome of the first. Raises `ProcessStartError`.

        The engine host comes first, as the others need it, and then one other, which makes the
        database and the first key. `fixed` are the settings that no reload changes.
        """
        self._fixed = dict(fixed or {})
        first, *others = self._seats
        # A signal that comes meanwhile reloads what has started, and starts nothing beside it.
        async with self._rolling:
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

        The engine host is the first, if what it depends on has changed. Of a new one that does not
        start the old one stays, and so do all behind it. Where the old one had to end before, it is
        tried again.
        """
        if self._reload_waits:
            return  # The one that waits finds what has changed until it begins.
        self._reload_waits = True
        async with self._rolling:
            self._reload_waits = False
            try:
                await self._replace_all()
            except (ProcessStartError, OSError) as error:
                self._log.error("restart given up", reason=str(error))
                hosts = () if self._host is None else (self._host,)
                empty = [seat for seat in (*hosts, *self._seats) if seat.run is None]
                self._spawn(self._fill_again(*empty))
            self._end_idle_hosts()

    async def _replace_all(self) -> None:
        if self._stopping:
            return
        running = None if self._host is None else self._host.found
        change = change_of(await self._look(), running, self._fixed)
        if change.refused:
            self._log.error("reload refused: restart the whole server", settings=change.refused)
            return
        if change.kept:
            self._log.warning("only a restart of the whole server changes", settings=change.kept)
        if self._host is not None and change.host and not self._stopping:
            await self._change_host(self._host, change)
        for seat in self._seats:
            if self._stopping:
                return
            await self._replace(seat)
        for host in self._old_hosts:
            if host.run is not None and not host.parts:
                host.parts = True
                host.run.hand_over()
        self._log.info("all processes restarted", processes=len(self._seats))

    async def _change_host(self, old: HostSeat, change: Change) -> None:
        """Put another engine host in the place of the old one. Raises as `_fill`."""
        self._log.info("engine host is replaced", changed=change.host, beside=not change.alone)
        if not change.alone:
            self._generation += 1
            new = HostSeat(self._generation)
            await self._fill(new)
            # Those that ask the old one do so until they have handed over.
            self._host = new
            self._old_hosts.append(old)
            return
        self._log.warning("requests wait while the model is loaded", reason=change.alone)
        if change.is_release:
            # They could ask the new one nothing; who connects meanwhile waits for the new ones.
            await self._vacate()
        draining, old.run = old.run, None
        if draining is not None:
            await self._drained(draining)
        if not self._stopping:
            await self._fill(old)

    async def _vacate(self) -> None:
        """Have all processes answer what they have, for the grace time, and end."""
        leaving = self.runs()
        for seat in self._seats:
            run, seat.run = seat.run, None
            if run is not None:
                self._let_go(run)
        ended = [asyncio.create_task(run.wait()) for run in leaving]
        if ended:
            await asyncio.wait(ended, timeout=self._grace_s)
        for run, task in zip(leaving, ended, strict=True):
            if not task.done():
                run.send(signal.SIGINT)
        await asyncio.gather(*(self._ended(run) for run in leaving))

    async def _drained(self, run: Run) -> None:
        """Have an engine host answer what runs, for the grace time, and end."""
        self._draining.add(run)
        run.drain()
        try:
            async with asyncio.timeout(self._grace_s):
                await run.wait()
        except TimeoutError:
            run.send(signal.SIGTERM)
            await self._ended(run)
        self._draining.discard(run)

    async def _fill_again(self, *seats: Seat) -> None:
        """Try to start the processes of seats, in turn, until all are there or not wanted."""
        for seat in seats:
            while self._lacks(seat):
                seat.crashes += 1
                await self._time.sleep(pause_after(seat.crashes))
                async with self._rolling:
                    if self._lacks(seat):
                        await self._try(seat)

    def _lacks(self, seat: Seat) -> bool:
        wanted = not isinstance(seat, HostSeat) or seat is self._host
        return wanted and seat.run is None and not self._stopping

    async def _try(self, seat: Seat) -> None:
        try:
            await self._fill(seat)
        except (ProcessStartError, OSError) as error:
            self._log.error("process not started", number=seat.number, reason=str(error))

    def _end_idle_hosts(self) -> None:
        """End each engine host that no process asks, but for the one that new ones ask.

        That is the old one again if no new process has come so far as to ask the new one.
        """
        asked = {self._generations.get(run) for run in self.working()}
        if self._host is not None and self._old_hosts and self._host.generation not in asked:
            before = self._old_hosts[-1]
            if before.generation in asked and not before.parts:
                self._old_hosts[-1], self._host = self._host, before
        for host in [one for one in self._old_hosts if one.generation not in asked]:
            self._old_hosts.remove(host)
            old, host.run = host.run, None
            if old is not None:
                self._end_host(old)

    def _end_host(self, run: Run) -> None:
        self._log.info("engine host is not needed any more", pid=run.pid)
        run.send(signal.SIGTERM)
        self._spawn(self._ended(run))

    async def stop(self, *, now: bool = False) -> None:
        """End all processes, the engine host last; return when they have ended.

        Running requests get the grace time, and with `now` nothing.
        """
        self._stopping = True
        runs = self.working()
        for run in runs:
            run.send(signal.SIGINT if now else signal.SIGTERM)
        await asyncio.gather(*(self._ended(run) for run in runs))
        hosts = [one for one in (self._host, *self._old_hosts) if one is not None]
        ending = [*(host.run for host in hosts if host.run is not None), *self._draining]
        for run in ending:
            run.send(signal.SIGTERM)
        await asyncio.gather(*(self._ended(run) for run in ending))
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
        host = seat if isinstance(seat, HostSeat) else self._host
        generation = 0 if host is None else host.generation
        run = await self._begin(seat.number, generation)
        if not isinstance(seat, HostSeat):
            self._generations[run] = generation
        # One that does not get ready is ended with all others.
        self._leaving.add(run)
        try:
            welcome = await run.until_ready()
        except BaseException:
            run.send(signal.SIGKILL)
            self._generations.pop(run, None)
            raise
        finally:
            self._leaving.discard(run)
        if seat.run is before:
            seat.run = run
            self._spawn(self._keep(seat, run))
        elif isinstance(seat, HostSeat):
            self._end_host(run)
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
        self._generations.pop(old, None)
        self._log.info("process handed over", pid=old.pid, exit_code=code)
        if not self._rolling.locked():
            self._end_idle_hosts()

    async def _keep(self, seat: Seat, run: Run) -> None:
        """Wait for the end of a process, and put another one in its place, unless one is there."""
        began = self._time.now()
        listening = asyncio.create_task(self._listen(seat, run), name="antiphon-overseer")
        code = await run.wait()
        listening.cancel()
        if seat.run is not run or self._stopping:
            return
        self._generations.pop(run, None)
        self._log.error("process ended", number=seat.number, pid=run.pid, exit_code=code)
        if isinstance(seat, HostSeat) and seat.parts:
            return
        if self._time.now() - began >= STABLE_S:
            seat.crashes = 0
        while seat.run is run and not self._stopping:
            seat.crashes += 1
            await self._time.sleep(pause_after(seat.crashes))
            if seat.run is run and not self._stopping:
                await self._try(seat)

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
