"""Batches in runs of their own: how soon they go on after a kill, and that charges count once."""

import asyncio
from collections.abc import Iterator

import pytest

from antiphon.store.batches.rows import RowState
from antiphon.store.counters import tally
from simulation.batches import SentBatch, process
from simulation.run import Runner
from simulation.world import World

ROWS = "SELECT * FROM batch_requests"


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


@pytest.mark.parametrize("scenario", ["batches_killed", "batches_disk", "batches_clock"])
def test_charges_count_once_in_memory_that_forgets_settlements(
    runner: Runner, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "REMEMBERED", 1)
    for seed in range(1, 4):
        outcome = runner.run(seed, scenario)
        assert outcome.failure is None, f"{outcome.command}: {outcome.failure!r}"


def test_lone_server_goes_on_with_a_batch_as_soon_as_it_is_back(runner: Runner) -> None:
    took: list[float] = []

    async def story(world: World) -> None:
        (server,) = world.serve("one", workers=1, options={"tokens_per_second": 20})
        server.down_s = (0.5, 0.5)
        requests = [world.request(key=world.keys[0], words=60, max_tokens=40) for _ in range(20)]
        batch = SentBatch(1, world.keys[0], requests)
        world.batches.append(batch)
        world.begin(process(world, batch))
        await asyncio.sleep(5)
        assert server.life is not None
        assert any(row["state"] == RowState.CLAIMED for row in world.stored(ROWS))
        server.life.kill()
        await asyncio.sleep(1)
        await server.ready()
        back = world.loop.time()
        await world.asked()
        took.append(world.loop.time() - back)

    outcome = runner.run(1, "one kill", story=story)
    assert outcome.failure is None, outcome.failure
    assert outcome.kills == 1
    # Less than the lease of the worker that died.
    assert took[0] < 20
