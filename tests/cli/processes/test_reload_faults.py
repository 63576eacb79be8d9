"""What comes in between of a reload: other signals, and processes that end or say odd things."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from antiphon.cli.processes.reports import Found
from antiphon.cli.processes.run import ProcessStartError, look_with, start_run
from antiphon.cli.processes.serving import ENGINES, LONGEST_SOCKET, folder_of_sockets
from cli.processes.test_host_reload import changed
from support.conversation import eventually
from support.fake_runs import START, FakeRun, World

pytestmark = pytest.mark.anyio


async def test_signals_in_a_row_are_one_reload_beside_the_one_that_runs() -> None:
    world = World()
    async with world.started(1) as overseer:
        world.ready_at_once = False
        first = asyncio.create_task(overseer.restart())
        await eventually(lambda: len(world.runs) == 2)
        others = [asyncio.create_task(overseer.restart()) for _ in range(20)]
        world.runs[1].get_ready()
        await eventually(lambda: len(world.runs) == 3)
        world.runs[2].get_ready()
        await asyncio.gather(first, *others)
        assert len(world.runs) == 3
        # Neither is one forgotten that comes later.
        world.ready_at_once = True
        await overseer.restart()
        assert len(world.runs) == 4


async def test_reload_waits_for_a_start_and_loads_no_second_model_beside_it() -> None:
    world = World()
    world.ready_at_once = False
    overseer = world.overseer(1, hosted=True)
    starting = asyncio.create_task(overseer.start(world.now.fixed))
    await eventually(lambda: len(world.runs) == 1)
    restarting = asyncio.create_task(overseer.restart())
    await asyncio.sleep(0.01)
    assert len(world.runs) == 1
    world.ready_at_once = True
    world.runs[0].get_ready()
    assert await starting == "welcome of 1"
    await restarting
    assert [run.number for run in world.runs] == [0, 1, 1]
    await overseer.stop()


async def test_reload_of_a_start_that_is_given_up_starts_nothing() -> None:
    world = World()
    world.ready_at_once = False
    overseer = world.overseer(1)
    starting = asyncio.create_task(overseer.start())
    await eventually(lambda: len(world.runs) == 1)
    restarting = asyncio.create_task(overseer.restart())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(overseer.stop(now=True))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(stopping, restarting)
    assert len(world.runs) == 1


async def test_processes_that_made_way_for_another_release_are_tried_again() -> None:
    world = World()
    world.grace_s = 0.01
    begin, broken = world.begin, [1, 2]

    async def begin_badly(number: int, generation: int) -> FakeRun:
        if number in broken and number and len(world.runs) > 3:
            broken.remove(number)
            world.broken = 1
        return await begin(number, generation)

    world.begin = begin_badly  # type: ignore[method-assign]
    async with world.started(2, hosted=True) as overseer:
        changed(world, alone="memory is short")
        await overseer.restart()
        assert overseer.runs() == ()
        await eventually(lambda: len(overseer.runs()) == 2)
        assert [run.number for run in world.runs[3:]] == [0, 1, 1, 2, 2]


async def test_host_that_crashes_while_it_is_replaced_leaves_none_behind() -> None:
    world = World()
    async with world.started(1, hosted=True) as overseer:
        changed(world)
        world.ready_at_once = False
        restarting = asyncio.create_task(overseer.restart())
        await eventually(lambda: len(world.runs) == 3)
        old, process, new = world.runs
        old.end(-9)
        await eventually(lambda: len(world.runs) == 4)
        again = world.runs[3]
        assert (again.number, again.generation) == (0, old.generation)
        new.get_ready()
        await eventually(lambda: len(world.runs) == 5)
        world.runs[4].get_ready()
        await restarting
        process.end()
        await asyncio.sleep(0.01)
        # It has loaded for a process that is gone.
        again.get_ready()
        await eventually(lambda: again.told == ["SIGTERM"])
        assert new.told == []
        assert world.runs[4] in overseer.runs()


async def test_host_that_crashed_and_is_there_again_serves_until_the_last_has_handed_over() -> None:
    world = World()
    async with world.started(1, hosted=True) as overseer:
        changed(world)
        world.ready_at_once = False
        restarting = asyncio.create_task(overseer.restart())
        await eventually(lambda: len(world.runs) == 3)
        world.runs[0].end(-9)
        await eventually(lambda: len(world.runs) == 4)
        again = world.runs[3]
        again.get_ready()
        world.ready_at_once = True
        world.runs[2].get_ready()
        await restarting
        assert again.told == ["hand over"]
        world.runs[1].end()
        await eventually(lambda: again.told == ["hand over", "SIGTERM"])


async def test_stop_while_a_process_looks_replaces_no_host() -> None:
    world = World()
    overseer = world.overseer(1, hosted=True)
    await overseer.start()
    changed(world)
    seen = asyncio.Event()

    async def look() -> Found:
        await seen.wait()
        return world.now

    overseer._look = look
    restarting = asyncio.create_task(overseer.restart())
    await asyncio.sleep(0)
    await overseer.stop()
    seen.set()
    await restarting
    assert len(world.runs) == 2


SAYS = """
import sys
sys.stdin.readline()
print({words}, flush=True)
print('{{"state": "ready", "welcome": "hello"}}', flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "words", ["'no JSON'", "'[]'", """'{"state": "later"}'""", "'x' * (3 << 20)", r"'\0' * 5"]
)
async def test_report_that_nobody_knows_holds_up_nothing(words: str) -> None:
    program = (sys.executable, "-S", "-c", SAYS.format(words=words))
    run = await start_run(START, (), program)
    async with asyncio.timeout(10):
        assert await run.until_ready() == "hello"
        run.send(signal.SIGKILL)
        assert await run.wait() == -9


async def test_program_that_only_says_what_nobody_knows_is_a_start_that_failed() -> None:
    program = (sys.executable, "-S", "-c", "print('no report')")
    with pytest.raises(ProcessStartError, match="ended before it was ready"):
        await look_with(replace(START, looks=True), program)


@pytest.mark.parametrize("length", [1, 58, 59, 150])
def test_sockets_have_paths_that_every_system_takes(tmp_path: Path, length: int) -> None:
    temporary = tmp_path / ("x" * max(1, length - len(str(tmp_path)) - 1))
    temporary.mkdir()
    with folder_of_sockets(str(temporary)) as folder:
        path = Path(folder) / ENGINES.format(10**6)
        assert len(str(path)) <= LONGEST_SOCKET
        fits = (
            len(str(temporary)) + len("/antiphon-12345678/engines-1000000.sock") <= LONGEST_SOCKET
        )
        assert path.is_relative_to(temporary) == fits
        assert not Path(folder).stat().st_mode & 0o77
