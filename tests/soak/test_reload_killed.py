"""Reloads of the engine host in which something is killed, or cannot be read.

After each fault the server answers again by itself, nothing is left behind, and each answered
request is in the ledger once.
"""

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from antiphon.engines.llama.process import CHILD
from antiphon.store.data_folder import database_path
from antiphon.store.database.database import sqlite_url
from support.conversation import eventually
from support.overseen import (
    Load,
    api_processes,
    descendants,
    ready,
    under_load,
)
from support.processes import Program, serving
from support.servers import environ, recorded

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.alone]

TELLS = {"ANTIPHON_LOG_LEVEL": "info", "ANTIPHON_LOG_FORMAT": "json"}
REPLACED = "engine host is replaced"
RESTARTED = "all processes restarted"
GIVEN_UP = "restart given up"


def llama(folder: Path, slots: int) -> None:
    text = f"[llama]\ncontext = 2048\nslots = {slots}\nthreads = 1\n"
    (folder / "antiphon.toml").write_text(text, encoding="utf-8")


def logged(program: Program, *events: str) -> int:
    """Return how often the log tells of one of these events."""
    return sum(any(f'"{one}"' in line for one in events) for line in program.errors)


def hosts(program: Program) -> list[int]:
    """Return the engine hosts, also those that load."""
    found = []
    for one in psutil.Process(program.process.pid).children():
        with suppress(psutil.Error):
            if one.cmdline()[-1:] == ["0"]:
                found.append(one.pid)
    return found


def models(program: Program) -> int:
    """Return how many processes of llama.cpp there are."""
    count = 0
    for one in descendants(program):
        with suppress(psutil.Error):
            count += CHILD in one.cmdline()
    return count


def hang_up(program: Program) -> None:
    program.process.send_signal(signal.SIGHUP)


async def served(program: Program, load: Load) -> None:
    """Wait until it answers, by one host and one model, and nothing else is left."""
    so_far = len(load.answered)
    await eventually(lambda: len(load.answered) > so_far + 4, 90)
    await eventually(lambda: ready(program)[0] == 200, 60)
    await eventually(lambda: len(hosts(program)) == models(program) == 1, 60)
    await eventually(lambda: len(api_processes(program)) == 2, 60)


async def replaced(program: Program) -> int:
    """Reload until the log says that the host is replaced; return the old host."""
    (old,) = hosts(program)
    before = logged(program, REPLACED)
    hang_up(program)
    await eventually(lambda: logged(program, REPLACED) > before, 60)
    return old


def kill_others(program: Program, old: int) -> None:
    for pid in hosts(program):
        if pid != old:
            os.kill(pid, signal.SIGKILL)


async def signals_in_a_row(program: Program) -> None:
    before = logged(program, RESTARTED)
    for _ in range(30):
        hang_up(program)
        await asyncio.sleep(0.02)
    await eventually(lambda: logged(program, RESTARTED) == before + 2, 120)
    await asyncio.sleep(5)
    assert logged(program, RESTARTED) == before + 2


async def old_host_killed(program: Program) -> None:
    os.kill(await replaced(program), signal.SIGKILL)


async def new_host_killed_while_it_loads(program: Program) -> None:
    old = await replaced(program)
    await eventually(lambda: any(one != old for one in hosts(program)), 60)
    await asyncio.sleep(0.5)
    kill_others(program, old)


async def new_host_killed(program: Program) -> None:
    before = logged(program, RESTARTED)
    old = await replaced(program)
    await eventually(lambda: logged(program, RESTARTED) > before, 90)
    kill_others(program, old)


async def process_killed(program: Program) -> None:
    hang_up(program)
    await asyncio.sleep(1.5)
    os.kill(api_processes(program)[1], signal.SIGKILL)


FAULTS = (
    signals_in_a_row,
    old_host_killed,
    new_host_killed_while_it_loads,
    new_host_killed,
    process_killed,
)


@pytest.mark.parametrize("beside", [False, True])
async def test_reload_in_which_something_is_killed_ends_with_one_server_and_one_bill_each(
    tmp_path: Path, tiny_model: Path, default_model: Path, beside: bool
) -> None:
    """What the context of the tiny model takes is not known, so it is loaded after the old one."""
    folders = tmp_path / "data", tmp_path / "temporary"
    for folder in folders:
        folder.mkdir()
    data, temporary = folders
    model = Path(shutil.copy(default_model if beside else tiny_model, tmp_path / "m.gguf"))
    slots = 2
    llama(data, slots)
    told = {**environ(shutdown_grace_s="5"), **TELLS, "TMPDIR": str(temporary)}
    with serving(data, "--processes", "2", "--model", str(model), environ=told) as program:
        async with under_load(program.url, pause_s=0.1) as load:
            await served(program, load)
            for fault in FAULTS:
                # Another number each time: a reload that is given up leaves an older one.
                slots += 1
                llama(data, slots)
                before = logged(program, RESTARTED, GIVEN_UP)
                await fault(program)
                await eventually(lambda: logged(program, RESTARTED, GIVEN_UP) > before, 90)  # noqa: B023
                await served(program, load)
            # A host and a process that are killed lose what they compute, and nothing else does.
            assert {status for status, _ in load.refused} <= {500}
            load.refused.clear()
            load.broken.clear()
            await _cannot_be_read(program, data, model, slots)
            assert (load.refused, load.broken) == ([], [])
        # A stop in the middle of a reload leaves no process and no file.
        llama(data, slots + 1)
        await replaced(program)
        pids = [one.pid for one in descendants(program)]
        assert program.stop() == 0
        await eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), 20)
        assert list(temporary.iterdir()) == []
    billed = [row["id"] for row in await recorded(sqlite_url(database_path(data)))]
    assert len(billed) == len(set(billed))
    assert set(load.answered) <= set(billed)


async def _cannot_be_read(program: Program, data: Path, model: Path, slots: int) -> None:
    """What cannot be read restarts nothing."""
    toml, away = data / "antiphon.toml", model.with_name("away")
    for spoil in (
        lambda: toml.write_text("[llama\ncontext"),
        lambda: toml.write_bytes(b"\xff\xfe\x00[llama]"),
        lambda: (toml.unlink(), toml.symlink_to("nothing")),
        lambda: (toml.unlink(), toml.mkdir()),
        lambda: model.rename(away),
    ):
        running = (set(api_processes(program).values()), hosts(program))
        before = logged(program, GIVEN_UP)
        spoil()
        hang_up(program)
        await eventually(lambda: logged(program, GIVEN_UP) > before, 60)  # noqa: B023
        assert (set(api_processes(program).values()), hosts(program)) == running
        if toml.is_dir():
            toml.rmdir()
        else:
            toml.unlink()
        llama(data, slots)
        if away.exists():
            away.rename(model)
