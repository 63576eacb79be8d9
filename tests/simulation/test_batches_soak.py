"""Many requests of batches over three servers that crash again and again: one charge for each."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from antiphon.store.counters import tally
from simulation.batches import SentBatch, process
from simulation.run import Runner
from simulation.world import World

IN_A_BATCH = 1000
AT_ONCE = 10
# Valkey remembers settlements for an hour, the counters that stand for it only so many.
REMEMBERED = 10_000_000


@dataclass
class Crashes:
    """So many requests, in batches, over three servers, of which one is killed so many times."""

    requests: int
    kills: int
    pause_s: float = 1.5
    results: Counter[str] = field(default_factory=Counter)
    charges: int = 0

    async def __call__(self, world: World) -> None:
        world.serve("one", "two", "three", shared=True, workers=1, options={"tokens_per_second": 0})
        await world.found("red")
        for server in world.servers:
            server.down_s = (0.05, 1.0)
        for number in range(1, 1 + self.requests // IN_A_BATCH):
            key = world.keys[number % 2]
            requests = [world.request(key=key, words=1, max_tokens=1) for _ in range(IN_A_BATCH)]
            world.batches.append(SentBatch(number, key, requests))
        sending = asyncio.create_task(self._send(world))
        await self._kill(world, sending)
        await sending
        self.results = Counter(
            line["result"]["type"] for batch in world.batches for line in batch.lines
        )
        self.charges = sum(row["cost"] > 0 for row in world.ledger())

    async def _send(self, world: World) -> None:
        # What a crash leaves of a body that has not arrived whole counts as queued for a minute.
        turn = asyncio.Semaphore(AT_ONCE)

        async def send(batch: SentBatch) -> None:
            async with turn:
                await process(world, batch)

        await asyncio.gather(*map(send, world.batches))

    async def _kill(self, world: World, sending: "asyncio.Task[None]") -> None:
        chance = world.chance_of("kills")
        # A process that was to die may have ended before.
        while sum(server.kills for server in world.servers) < self.kills and not sending.done():
            await asyncio.sleep(chance.uniform(0, 2 * self.pause_s))
            life = chance.choice(world.servers).life
            if life is not None and life.app is not None:
                # At any of its next steps.
                life.dies_at = life.steps + chance.randint(1, 200)


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    runner.close()


def play(runner: Runner, story: Crashes) -> None:
    outcome = runner.run(1, "batches_soak", story=story)
    print(  # noqa: T201 - the figures of a soak test
        f"{story.requests} requests, {outcome.kills} crashes: results {dict(story.results)}, "
        f"{story.charges} charges, {outcome.simulated_s:.0f} s in {outcome.wall_s:.0f} s"
    )
    assert outcome.failure is None, outcome.failure
    assert outcome.kills >= story.kills
    assert story.results.total() == story.requests
    assert story.charges == story.requests
    # One that was alone at an end goes behind the others of its batch, so hardly any is alone at
    # the ends of six processes.
    assert story.results == {"succeeded": story.requests}


@pytest.mark.soak
def test_no_request_is_given_up_over_crashes_that_none_of_them_causes(runner: Runner) -> None:
    play(runner, Crashes(1000, 30))


@pytest.mark.soak
def test_each_of_100_000_requests_is_charged_once_over_1_000_crashes(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "REMEMBERED", REMEMBERED)
    play(runner, Crashes(100_000, 1_000))
