"""Several processes at one address: one is killed, all are restarted, and the overseer dies.

The faults of what they share are in tests/soak/test_processes_faults.py.
"""

import asyncio
import signal
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psutil
import pytest

from antiphon.cli.program import WIDTH
from antiphon.server.run import ServeError, bind
from antiphon.store.database.database import sqlite_url
from support.conversation import eventually
from support.overseen import api_processes, descendants, own_valkey, ready, under_load
from support.processes import Program, run, serving
from support.servers import configure, environ, recorded

pytestmark = [pytest.mark.anyio, pytest.mark.alone]


def free_ports() -> int:
    """Return a port behind which two are free."""
    with ExitStack() as stack:
        for _ in range(100):
            first = stack.enter_context(bind("127.0.0.1", 0)).getsockname()[1]
            try:
                for number in (1, 2):
                    bind("127.0.0.1", first + number).close()
            except ServeError:
                continue
            return int(first)
    raise AssertionError("no ports are free")


async def counted(port: int) -> float:
    """Return the requests that a process has answered, by its metrics."""
    async with httpx2.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("antiphon_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def until_replaced(program: Program, old: dict[int, int]) -> dict[int, int]:
    """Wait until every place has another process, and the old ones have ended."""

    def replaced() -> bool:
        new = api_processes(program)
        return new.keys() == old.keys() and not set(new.values()) & set(old.values())

    await eventually(replaced, 60)
    return api_processes(program)


async def test_restart_loses_no_request_and_a_killed_process_only_its_own(tmp_path: Path) -> None:
    configure(tmp_path, "word " * 20, speed=200)
    ports = free_ports()
    told = environ(metrics_listen=f"127.0.0.1:{ports}")
    with serving(tmp_path, "--processes", "2", environ=told) as program:
        assert "2 processes answer here." in program.output
        note = program.output.partition("Note: ")[2].partition("\n\n")[0]
        assert max(map(len, note.split("\n"))) <= WIDTH
        first = api_processes(program)
        assert set(first) == {1, 2}
        status, state = ready(program)
        assert (status, state["status"]) == (200, "ready")
        assert state["needs"]["counters"] == {"kind": "valkey", "status": "ready"}
        assert state["process"]["of"] == 2

        async with under_load(program.url) as load:
            await eventually(lambda: len(load.answered) > 8)
            program.process.send_signal(signal.SIGHUP)
            second = await until_replaced(program, first)
            so_far = len(load.answered)
            await eventually(lambda: len(load.answered) > so_far + 4)
            assert (load.broken, load.refused) == ([], [])
            # Each of the new ones tells what it has answered, just after it has.
            async with asyncio.timeout(30):
                while not sum([await counted(ports + number) for number in (1, 2)]):  # noqa: ASYNC110 - of other processes
                    await asyncio.sleep(0.05)

            psutil.Process(second[2]).kill()
            await eventually(lambda: api_processes(program).get(2, second[2]) != second[2])
            so_far = len(load.answered)
            await eventually(lambda: len(load.answered) > so_far + 4)
        # Four callers have one request each: no more can have been with it.
        assert len(load.broken) <= 4
        assert load.refused == []

        left = [*descendants(program)]
        assert own_valkey(program) in {one.pid for one in left}
        program.stop(signal.SIGKILL)
        await eventually(lambda: not any(one.is_running() for one in left))

    # What a killed process has answered is in the ledger too, once the next start has looked.
    with serving(tmp_path, environ=environ()):
        rows = {row["id"]: row for row in await recorded(sqlite_url(tmp_path / "antiphon.db"))}
    assert set(load.answered) <= set(rows)
    assert all(rows[one]["outcome"] == "completed" for one in load.answered)
    assert len(rows) <= len(load.answered) + len(load.broken)


async def test_what_keeps_several_processes_from_starting_is_told(tmp_path: Path) -> None:
    configure(tmp_path)
    shared = environ(database_url="postgresql://nobody@127.0.0.1:1/none")
    done = await asyncio.to_thread(
        run, tmp_path, "serve", "--port", "0", "--processes", "2", **shared
    )
    assert done.returncode == 1
    assert "set counters_url to it" in done.stderr
