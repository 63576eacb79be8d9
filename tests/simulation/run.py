"""One run from its seed to its verdict, and what is left of it afterwards: nothing."""

import asyncio
import gc
import shutil
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.database.migrations import migrate
from simulation.invariants import check
from simulation.loop import SimulatedLoop, inline_threads
from simulation.planted import NOTHING, Planted
from simulation.scenarios import SCENARIOS, Scenario
from simulation.world import World, logged

# What so many runs leave is collected together, which takes as long as for one.
RUNS_AT_ONCE = 16


@dataclass
class Outcome:
    """What a run came to. `told` is a digest of all that callers were told, and when."""

    seed: int
    scenario: str
    told: str = ""
    simulated_s: float = 0.0
    wall_s: float = 0.0
    requests: int = 0
    kills: int = 0
    failure: BaseException | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def command(self) -> str:
        """Return what repeats this run."""
        return f"make simulate SEED={self.seed} SCENARIO={self.scenario}"


class Runner:
    """Runs seeds, each in a folder of its own, beginning with the same empty database."""

    def __init__(self) -> None:
        self._folder = Path(mkdtemp(prefix="antiphon-simulation-"))
        self._template = self._folder / "template.db"
        self._runs = 0
        asyncio.run(_make_template(self._template))
        # What is there now stays: the collector need not look at it after each run.
        gc.collect()
        gc.freeze()

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        gc.unfreeze()

    def run(
        self, seed: int, scenario: str, planted: Planted = NOTHING, story: Scenario | None = None
    ) -> Outcome:
        """Run a seed; `story` is a scenario without a place among the others.

        What fails is in the outcome, not raised.
        """
        outcome = Outcome(seed, scenario)
        began = time.perf_counter()
        folder = self._folder / f"{scenario}-{seed}"
        loop = SimulatedLoop(Random(f"{seed} loop"))  # noqa: S311 - a run has to come back
        world = World(seed, loop, folder, self._template)
        world.planted = planted
        with _no_collector(), inline_threads(), logged(world):
            try:
                loop.run_until_complete(_play(world, story or SCENARIOS[scenario]))
            except (AssertionError, Exception) as error:  # noqa: BLE001 - it is what is looked for
                outcome.failure = error
            outcome.told = world.told()
            outcome.simulated_s = loop.time()
            outcome.requests = len(world.messages())
            outcome.kills = sum(server.kills for server in world.servers)
            outcome.lines = list(world.lines)
            _clear(world)
        shutil.rmtree(folder, ignore_errors=True)
        self._runs += 1
        if self._runs % RUNS_AT_ONCE == 0:
            gc.collect()
        outcome.wall_s = time.perf_counter() - began
        return outcome


async def _play(world: World, story: Scenario) -> None:
    await story(world)
    await world.rest()
    await check(world)


def _clear(world: World) -> None:
    """End all that is left, the dead as well: nothing that it does counts any more."""
    loop = world.loop
    loop.set_exception_handler(lambda *_: None)
    world.thawing = True
    for life in world.lives:
        life.kill()
        life.thaw()
    for _ in range(20):
        left = asyncio.all_tasks(loop)
        if not left:
            break
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.sleep(1))
    loop.close()


@contextmanager
def _no_collector() -> Generator[None]:
    """Let nothing be collected in a run: when that happens is no part of its seed."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _make_template(path: Path) -> None:
    database = await open_database(sqlite_url(path))
    try:
        await migrate(database)
    finally:
        await database.aclose()
    # One file, without a log beside it.
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
