"""The platform, whatever goes wrong: every seed holds every invariant, and comes back the same."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from simulation.run import Runner
from simulation.scenarios import SCENARIOS, STEPS, WRITES

TESTS = Path(__file__).parents[1]
# Of each scenario: about 196 in all, and 9 of tests/simulation/test_batches.py. `make soak` plays
# many.
SEEDS = 6
SEEDS_OF_BATCHES = 2
MANY_SEEDS = 100_000


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


def play(runner: Runner, scenario: str, seeds: Iterable[int]) -> None:
    """Play these seeds, and fail with the command of each that fails."""
    failures = []
    for seed in seeds:
        outcome = runner.run(seed, scenario)
        if outcome.failure is not None:
            failures.append(f"{outcome.failure!r}\nagain: {outcome.command}")
    assert failures == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_invariants_hold(runner: Runner, scenario: str) -> None:
    # A seed of batches takes as long as several of the others.
    seeds = SEEDS_OF_BATCHES if scenario.startswith("batches") else SEEDS
    play(runner, scenario, range(1, seeds + 1))


def test_invariants_hold_whichever_write_of_some_fails(runner: Runner) -> None:
    play(runner, "one_write_fails", range(SEEDS + 1, WRITES + 1, 4))


@pytest.mark.soak
def test_invariants_hold_whichever_write_fails(runner: Runner) -> None:
    play(runner, "one_write_fails", range(SEEDS + 1, WRITES + 1))


@pytest.mark.soak
def test_invariants_hold_whichever_step_is_the_last(runner: Runner) -> None:
    play(runner, "one_step_is_the_last", range(STEPS))


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_invariants_hold_for_many_seeds(runner: Runner, scenario: str) -> None:
    play(runner, scenario, range(1000, 1000 + MANY_SEEDS // len(SCENARIOS)))


def played(seed: int, hash_seed: int, *only: str) -> list[tuple[str, ...]]:
    """Play a seed of each scenario in a process of its own: the names, and what was told."""
    environ = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(
        [sys.executable, "-m", "simulation", "--seed", str(seed), *only],
        cwd=TESTS,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"^(\w+) \d+: .*, told (\w+)$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "scenario", [pytest.param("two_servers", marks=pytest.mark.soak), "cached"]
)
def test_seed_comes_back_the_same_in_another_process(runner: Runner, scenario: str) -> None:
    here = [(scenario, runner.run(7, scenario).told)]
    assert played(7, 1, "--scenario", scenario) == here


@pytest.mark.soak
def test_seed_comes_back_the_same_in_any_process(runner: Runner) -> None:
    here = [(name, runner.run(7, name).told) for name in SCENARIOS]
    assert played(7, hash_seed=1) == here
    # Every scenario and every seed is a story of its own.
    told = {told for _, told in here} | {runner.run(8, "calm").told}
    assert len(told) == len(SCENARIOS) + 1


def test_failure_is_printed_with_the_command_that_repeats_it(runner: Runner) -> None:
    assert runner.run(12, "crash").command == "make simulate SEED=12 SCENARIO=crash"
    done = subprocess.run(
        ["make", "-n", "simulate", "SEED=12", "SCENARIO=crash"],  # noqa: S607 - where the user has it
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    words = " ".join(done.stdout.replace("\\\n", " ").split())
    assert "-m simulation --seed 12 --scenario crash" in words
