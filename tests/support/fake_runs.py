"""The processes of an overseer that are none, and its clock, which moves when a test moves it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from antiphon.cli.processes.overseer import PING_EVERY_S, Overseer
from antiphon.cli.processes.pauses import Clockwork
from antiphon.cli.processes.reports import Found, Start
from antiphon.cli.processes.run import ProcessStartError

START: Final = Start(
    number=1,
    of=2,
    overseer=1,
    flags={},
    config=None,
    listener=3,
    address="127.0.0.1:1",
    engines=None,
    counters_url=None,
)
"""How the first of two processes begins."""


class FakeRun:
    """A run that does what it is told, and notes it."""

    def __init__(self, number: int, pid: int, generation: int, found: Found | None) -> None:
        self.number = number
        self.pid = pid
        self.generation = generation
        self.found = found
        self.left: int | None = None
        self.told: list[str] = []
        self.deaf = False
        self._ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def until_ready(self) -> str:
        return await asyncio.shield(self._ready)

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    async def alive(self) -> None:
        if self.deaf:
            await asyncio.Event().wait()

    def hand_over(self) -> None:
        self.told.append("hand over")

    def drain(self) -> None:
        self.told.append("drain")

    def send(self, number: signal.Signals) -> None:
        self.told.append(number.name)
        self.end(-number)

    def get_ready(self) -> None:
        self._ready.set_result(f"welcome of {self.number}")

    def fail(self) -> None:
        self._ready.set_exception(ProcessStartError("out of order"))

    def end(self, code: int = 0) -> None:
        if not self._end.done():
            self._end.set_result(code)


class World:
    """The processes of an overseer, and its clock, which moves when a test moves it."""

    def __init__(self) -> None:
        self.runs: list[FakeRun] = []
        self.ready_at_once = True
        self.broken = 0
        self.time = 0.0
        self.pauses: list[float] = []
        self.pings = 0
        self.may_ping = asyncio.Event()
        self.may_pause = asyncio.Event()
        self.may_pause.set()
        self.grace_s = 1.0
        self.now = Found(host={"release": "1"}, fixed={"port": "1", "data_dir": "here"})

    async def look(self) -> Found:
        return self.now

    async def begin(self, number: int, generation: int) -> FakeRun:
        found = None if number else self.now
        run = FakeRun(number, len(self.runs) + 100, generation, found)
        self.runs.append(run)
        if self.broken:
            self.broken -= 1
            run.fail()
        elif self.ready_at_once:
            run.get_ready()
        return run

    async def sleep(self, seconds: float) -> None:
        if seconds == PING_EVERY_S:
            await self.may_ping.wait()
            self.pings += 1
        else:
            self.pauses.append(seconds)
            await self.may_pause.wait()
        await asyncio.sleep(0)

    def overseer(self, number: int = 2, *, hosted: bool = False) -> Overseer:
        clockwork = Clockwork(now=lambda: self.time, sleep=self.sleep)
        return Overseer(
            self.begin,
            number,
            hosted=hosted,
            grace_s=self.grace_s,
            look=self.look,
            clockwork=clockwork,
        )

    @asynccontextmanager
    async def started(self, number: int = 2, *, hosted: bool = False) -> AsyncIterator[Overseer]:
        overseer = self.overseer(number, hosted=hosted)
        await overseer.start(self.now.fixed)
        try:
            yield overseer
        finally:
            await overseer.stop()

    def told(self) -> list[list[str]]:
        return [run.told for run in self.runs]
