"""What becomes of the engine host at a reload, over processes that are none."""

import asyncio
from functools import partial

import pytest
from msgspec.structs import replace

from support.conversation import eventually
from support.fake_runs import World

pytestmark = pytest.mark.anyio


def changed(world: World, name: str = "release", **how: str) -> None:
    """Have something that the engine host depends on be another one from now on."""
    world.now = replace(world.now, host={**world.now.host, name: "2"}, **how)


def is_last(world: World, number: int) -> bool:
    """Return whether the process that was started last has this number."""
    return world.runs[-1].number == number


async def test_host_of_which_nothing_has_changed_stays() -> None:
    world = World()
    async with world.started(1, hosted=True) as overseer:
        await overseer.restart()
        assert [run.number for run in world.runs] == [0, 1, 1]
        assert world.runs[0].told == []


async def test_new_host_is_ready_before_the_processes_that_ask_it_start() -> None:
    world = World()
    async with world.started(2, hosted=True) as overseer:
        changed(world)
        world.ready_at_once = False
        restarting = asyncio.create_task(overseer.restart())
        await eventually(lambda: len(world.runs) == 4)
        new = world.runs[3]
        assert (new.number, new.generation) == (0, 1)
        assert all(run.told == [] for run in world.runs)
        new.get_ready()
        for number in (1, 2):
            await eventually(partial(is_last, world, number))
            assert world.runs[-1].generation == 1
            # The old processes ask the old host until they have handed over.
            assert world.runs[0].told == []
            world.runs[-1].get_ready()
        await restarting
        old, *others = world.runs[:3]
        assert [run.told for run in others] == [["hand over"], ["hand over"]]
        assert old.told == ["hand over"]
        others[0].end()
        await asyncio.sleep(0.01)
        assert old.told == ["hand over"]
        others[1].end()
        await eventually(lambda: old.told == ["hand over", "SIGTERM"])
        assert new.told == []


async def test_host_that_hands_over_is_not_replaced_when_it_ends() -> None:
    world = World()
    async with world.started(1, hosted=True) as overseer:
        changed(world)
        await overseer.restart()
        number = len(world.runs)
        world.runs[0].end(-9)
        await asyncio.sleep(0.01)
        assert len(world.runs) == number


async def test_new_host_that_does_not_start_changes_nothing() -> None:
    world = World()
    async with world.started(1, hosted=True) as overseer:
        changed(world)
        world.broken = 1
        await overseer.restart()
        assert len(world.runs) == 3
        assert [run.told for run in world.runs] == [[], [], ["SIGKILL"]]
        assert overseer.runs() == (world.runs[1],)
        # The next reload finds the same change.
        await overseer.restart()
        assert [run.number for run in world.runs[3:]] == [0, 1]


async def test_new_host_ends_if_no_new_process_comes_so_far_as_to_ask_it() -> None:
    world = World()
    async with world.started(1, hosted=True) as overseer:
        changed(world)
        world.ready_at_once = False
        restarting = asyncio.create_task(overseer.restart())
        await eventually(lambda: len(world.runs) == 3)
        world.broken = 1
        world.runs[2].get_ready()
        await restarting
        old, process, new, _ = world.runs
        await eventually(lambda: new.told == ["SIGTERM"])
        assert (old.told, process.told) == ([], [])
        world.ready_at_once = True
        # A process that ends has another one that asks the host that is left.
        process.end(-9)
        await eventually(lambda: len(world.runs) == 5)
        assert world.runs[4].generation == 0


async def test_host_that_fits_only_alone_drains_and_ends_before_the_new_one_starts() -> None:
    world = World()
    async with world.started(1, hosted=True) as overseer:
        changed(world, "llama", alone="memory is short")
        restarting = asyncio.create_task(overseer.restart())
        await eventually(lambda: world.runs[0].told == ["drain"])
        assert len(world.runs) == 2
        world.runs[0].end()
        await restarting
        assert [(run.number, run.generation) for run in world.runs[2:]] == [(0, 0), (1, 0)]
        assert world.runs[1].told == ["hand over"]


async def test_processes_of_the_old_release_answer_and_end_before_a_host_that_is_alone() -> None:
    world = World()
    world.grace_s = 0.05
    async with world.started(2, hosted=True) as overseer:
        changed(world, alone="memory is short")
        restarting = asyncio.create_task(overseer.restart())
        host, first, second = world.runs
        await eventually(lambda: first.told == second.told == ["hand over"])
        first.end()
        assert host.told == []
        # The second one still has requests when its time is over.
        await eventually(lambda: second.told == ["hand over", "SIGINT"])
        await eventually(lambda: host.told == ["drain"])
        assert len(world.runs) == 3
        host.end()
        await restarting
        assert [run.number for run in world.runs[3:]] == [0, 1, 2]
        assert overseer.runs() == tuple(world.runs[4:])


async def test_new_release_that_does_not_start_is_tried_again_with_all_processes() -> None:
    world = World()
    world.grace_s = 0.01
    async with world.started(1, hosted=True) as overseer:
        changed(world, alone="memory is short")
        world.broken = 2
        await overseer.restart()
        assert overseer.runs() == ()
        await eventually(lambda: len(overseer.runs()) == 1)
        assert [run.number for run in world.runs[2:]] == [0, 0, 0, 1]


async def test_reload_that_mends_a_host_ends_the_tries_of_the_old_one() -> None:
    world = World()
    world.grace_s = 0.01
    async with world.started(1, hosted=True) as overseer:
        changed(world, "llama", alone="memory is short")
        world.broken = 1
        world.may_pause.clear()
        await overseer.restart()
        await overseer.restart()
        assert [(run.number, run.generation) for run in world.runs[3:]] == [(0, 1), (1, 1)]
        number = len(world.runs)
        world.may_pause.set()
        await asyncio.sleep(0.02)
        assert len(world.runs) == number


async def test_host_that_still_computes_after_the_grace_time_is_ended() -> None:
    world = World()
    world.grace_s = 0.01
    async with world.started(1, hosted=True) as overseer:
        changed(world, "llama", alone="memory is short")
        await overseer.restart()
        assert world.runs[0].told == ["drain", "SIGTERM"]
        assert [run.number for run in world.runs[2:]] == [0, 1]


async def test_host_that_was_drained_and_does_not_start_again_is_tried_again() -> None:
    world = World()
    async with world.started(1, hosted=True) as overseer:
        changed(world, "llama", alone="memory is short")
        world.broken = 2
        restarting = asyncio.create_task(overseer.restart())
        await eventually(lambda: world.runs[0].told == ["drain"])
        world.runs[0].end()
        await restarting
        # The processes stay: they say that the model is away.
        assert overseer.runs() == (world.runs[1],)
        await eventually(lambda: len(world.runs) == 5 and world.runs[4]._ready.done())
        assert [run.number for run in world.runs[2:]] == [0, 0, 0]
        await asyncio.sleep(0.01)
        assert len(world.runs) == 5
        assert world.pauses == [0.1, 0.2]


async def test_setting_that_all_share_is_refused_and_nothing_is_restarted() -> None:
    world = World()
    async with world.started(1, hosted=True) as overseer:
        world.now = replace(world.now, fixed={"port": "2", "data_dir": "there"})
        await overseer.restart()
        assert len(world.runs) == 2


async def test_setting_that_only_a_restart_changes_holds_up_no_reload() -> None:
    world = World()
    async with world.started(1) as overseer:
        world.now = replace(world.now, fixed={"port": "2", "data_dir": "here"})
        await overseer.restart()
        assert [run.number for run in world.runs] == [1, 1]


async def test_stop_while_a_host_drains_starts_no_other() -> None:
    world = World()
    overseer = world.overseer(1, hosted=True)
    await overseer.start()
    changed(world, "llama", alone="memory is short")
    restarting = asyncio.create_task(overseer.restart())
    await eventually(lambda: world.runs[0].told == ["drain"])
    await overseer.stop()
    await restarting
    assert [run.told for run in world.runs] == [["drain", "SIGTERM"], ["SIGTERM"]]


async def test_stop_ends_every_host_after_the_processes() -> None:
    world = World()
    overseer = world.overseer(1, hosted=True)
    await overseer.start()
    changed(world)
    await overseer.restart()
    await overseer.stop()
    assert [run.told[-1:] for run in world.runs] == [["SIGTERM"]] * 4
