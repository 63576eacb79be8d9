"""The overseer over processes that are none: what it starts, replaces and ends, and when."""

import asyncio

import pytest

from antiphon.cli.processes.overseer import MOST_UNHEARD
from antiphon.cli.processes.pauses import STABLE_S, pause_after
from antiphon.cli.processes.run import ProcessStartError
from support.conversation import eventually
from support.fake_runs import World

pytestmark = pytest.mark.anyio


async def test_engine_host_and_first_process_are_ready_before_the_others_start() -> None:
    world = World()
    world.ready_at_once = False
    overseer = world.overseer(3, hosted=True)
    starting = asyncio.create_task(overseer.start())
    for begun in ([0], [0, 1], [0, 1, 2, 3]):
        await eventually(lambda begun=begun: [run.number for run in world.runs] == begun)
        assert not starting.done()
        for run in world.runs:
            if not run._ready.done():
                run.get_ready()
    assert await starting == "welcome of 1"
    await overseer.stop()


async def test_start_fails_with_the_reason_of_the_process_and_all_others_end() -> None:
    world = World()
    world.broken = 1
    overseer = world.overseer()
    with pytest.raises(ProcessStartError, match="out of order"):
        await overseer.start()
    await overseer.stop(now=True)
    assert all("SIGKILL" in run.told for run in world.runs)


async def test_process_that_ends_is_replaced_after_pauses_that_double() -> None:
    world = World()
    async with world.started() as overseer:
        world.runs[1].end(-9)
        await eventually(lambda: len(world.runs) == 3)
        assert world.runs[2].number == 2
        world.broken = 2
        await eventually(lambda: world.runs[2] in overseer.runs())
        world.runs[2].end(1)
        await eventually(lambda: len(world.runs) == 6 and world.runs[5] in overseer.runs())
        assert world.pauses == [0.1, 0.2, 0.4, 0.8]
        assert world.runs[0] in overseer.runs()


async def test_pauses_begin_anew_after_a_stable_run() -> None:
    world = World()
    async with world.started() as overseer:
        world.runs[1].end(-9)
        await eventually(lambda: len(world.runs) == 3 and world.runs[2] in overseer.runs())
        world.time = STABLE_S
        await asyncio.sleep(0)
        world.runs[2].end(-9)
        await eventually(lambda: len(world.runs) == 4)
        assert world.pauses == [0.1, 0.1]


async def test_old_process_hands_over_only_when_the_new_one_is_ready() -> None:
    world = World()
    async with world.started() as overseer:
        world.ready_at_once = False
        restarting = asyncio.create_task(overseer.restart())
        await eventually(lambda: len(world.runs) == 3)
        assert world.told() == [[], [], []]
        world.runs[2].get_ready()
        await eventually(lambda: len(world.runs) == 4)
        assert world.told() == [["hand over"], [], [], []]
        world.runs[3].get_ready()
        await restarting
        assert world.told() == [["hand over"], ["hand over"], [], []]
        assert overseer.runs() == tuple(world.runs[2:])
        # They end when they have answered, and nothing takes their place.
        world.runs[0].end()
        world.runs[1].end()
        await asyncio.sleep(0.01)
        assert len(world.runs) == 4


async def test_process_that_ends_during_its_restart_gets_one_successor() -> None:
    world = World()
    async with world.started(1) as overseer:
        world.ready_at_once = False
        restarting = asyncio.create_task(overseer.restart())
        await eventually(lambda: len(world.runs) == 2)
        world.runs[0].end(-9)
        await eventually(lambda: len(world.runs) == 3)
        world.runs[1].get_ready()
        await restarting
        world.runs[2].get_ready()
        await eventually(lambda: world.runs[2].told == ["hand over"])
        assert overseer.runs() == (world.runs[1],)


async def test_restart_stops_at_a_new_process_that_does_not_start() -> None:
    world = World()
    async with world.started() as overseer:
        old = overseer.runs()
        world.broken = 1
        await overseer.restart()
        assert overseer.runs() == old
        assert world.told()[:2] == [[], []]


async def test_process_that_hands_over_is_ended_by_a_stop() -> None:
    world = World()
    overseer = world.overseer(1)
    await overseer.start()
    await overseer.restart()
    assert overseer.working() == (world.runs[1], world.runs[0])
    await overseer.stop()
    assert world.told() == [["hand over", "SIGTERM"], ["SIGTERM"]]


async def test_engine_host_ends_after_the_processes_that_need_it() -> None:
    world = World()
    overseer = world.overseer(1, hosted=True)
    await overseer.start()
    host, process = world.runs
    process.send = lambda number: process.told.append(number.name)  # type: ignore[method-assign]
    stopping = asyncio.create_task(overseer.stop())
    await eventually(lambda: process.told == ["SIGTERM"])
    overseer.hurry()
    assert process.told == ["SIGTERM", "SIGINT"]
    assert host.told == []
    process.end()
    await stopping
    assert host.told == ["SIGTERM"]


async def test_process_that_gives_no_sign_of_life_is_ended_and_replaced() -> None:
    world = World()
    async with world.started(1):
        world.runs[0].deaf = True
        world.may_ping.set()
        await eventually(lambda: len(world.runs) == 2)
        assert world.runs[0].told == ["SIGKILL"]
        assert world.pings >= MOST_UNHEARD


async def test_process_that_answers_pings_lives_on() -> None:
    world = World()
    async with world.started(1):
        world.may_ping.set()
        await eventually(lambda: world.pings > 3 * MOST_UNHEARD)
        assert world.runs[0].told == []


async def test_nothing_is_replaced_while_all_stop() -> None:
    world = World()
    async with world.started(2):
        pass
    await asyncio.sleep(0.01)
    assert len(world.runs) == 2


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [pause_after(n) for n in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert pause_after(10) == pause_after(10_000) == 30.0
