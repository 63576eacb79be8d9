"""Each invariant can fail: a planted fault is seen by the one that is there for it."""

from collections.abc import Iterator

import pytest

from simulation.invariants import INVARIANTS
from simulation.planted import PLANTS
from simulation.run import Runner
from simulation.violation import ViolationError


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


@pytest.mark.parametrize("name", PLANTS)
def test_planted_fault_is_seen(runner: Runner, name: str) -> None:
    plant = PLANTS[name]
    seen: list[BaseException | None] = []
    for seed in range(plant.first, plant.first + plant.seeds):
        seen.append(runner.run(seed, plant.scenario, plant.plant()).failure)
        if isinstance(seen[-1], ViolationError) and seen[-1].invariant == plant.invariant:
            return
    pytest.fail(f"nobody saw {name}: {seen}")


def test_every_invariant_has_a_planted_fault() -> None:
    assert {plant.invariant for plant in PLANTS.values()} == set(INVARIANTS)
