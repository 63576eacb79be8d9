"""Scenarios with Message Batches: who sends them, and what goes wrong while they are worked on."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from simulation.batches import SentBatch, process
from simulation.faults import Fault
from simulation.happenings import (
    LONG_DOWN_S,
    USUAL_COST,
    ask_for_a_while,
    kill_after_commits,
    kill_soon,
    schedule,
)
from simulation.limits import nothing_is_overspent
from simulation.processes import Server

if TYPE_CHECKING:
    from simulation.world import World

DAY_S = 86_400.0
QUICK = {"tokens_per_second": 200}
# Longer than the lease of a worker, and shorter.
HANGS_S = (10.0, 33.0, 50.0)


async def batches(world: "World") -> None:
    """Batches of two workspaces, some cancelled or deleted, beside interactive requests."""
    chance = world.chance_of("batches")
    world.serve("one", workers=1, options={"tokens_per_second": chance.choice([20, 200, 0])})
    await world.found("red", "blue")
    send_batches(world, chance, number=chance.randint(1, 4))
    await ask_for_a_while(world, number=chance.choice([0, 10]), seconds=20)


async def batches_killed(world: "World") -> None:
    """The server is killed while it makes, runs and commits batches: at a step, behind a commit."""
    chance = world.chance_of("batches")
    (server,) = world.serve("one", workers=1, options=QUICK)
    await world.found("red")
    kill = chance.choice([kill_soon, kill_after_commits])
    kill(server, chance, kills=chance.randint(1, 5))
    send_batches(world, chance, number=2)
    await ask_for_a_while(world, number=chance.choice([0, 6]), seconds=20)


async def batches_disk(world: "World") -> None:
    """The disk is full, slow or broken; commits are done and reported as errors."""
    chance = world.chance_of("batches")
    (server,) = world.serve("one", workers=1, options=QUICK)
    await world.found("red")
    faults = (
        Fault.DISK_FULL,
        Fault.DISK_BROKEN,
        Fault.DATABASE_BUSY,
        Fault.DATABASE_HANGS,
        Fault.COMMIT_UNKNOWN,
    )
    schedule(world, chance, faults, seconds=20)
    if chance.random() < 0.3:
        kill_soon(server, chance, kills=2)
    send_batches(world, chance, number=2)
    await ask_for_a_while(world, number=chance.choice([0, 6]), seconds=20)


async def batches_clock(world: "World") -> None:
    """The clock is set while batches run: leases seem to end or not to, and batches expire."""
    chance = world.chance_of("batches")
    (server,) = world.serve("one", workers=1, options={"tokens_per_second": 20})
    await world.found("red")
    for at in sorted(chance.uniform(0, 30) for _ in range(chance.randint(1, 3))):
        seconds = chance.choice([5, 60, 3600, DAY_S, 2 * DAY_S]) * chance.uniform(-1, 1.2)
        world.begin(world.set_clock(server, at, seconds))
    if chance.random() < 0.4:
        kill_soon(server, chance, kills=2)
    send_batches(world, chance, number=2)
    await world.asked()


async def batches_money(world: "World") -> None:
    """A spend limit stops batches in the middle, and is not exceeded; later it is raised."""
    chance = world.chance_of("batches")
    (server,) = world.serve("one", workers=1, options=QUICK)
    await world.found("red")
    await world.limit_spend(chance.randint(1, 8) * USUAL_COST)
    if chance.random() < 0.4:
        kill_soon(server, chance, kills=2)
    send_batches(world, chance, number=2)

    async def raised(at: float) -> None:
        await asyncio.sleep(at)
        await nothing_is_overspent(world)
        world.limits.clear()
        await world.limit_spend(1000 * USUAL_COST)

    world.begin(raised(chance.uniform(10, 90)))
    await world.asked()


async def batches_poisoned(world: "World") -> None:
    """Some requests end the process that runs them, each time; engines fail at others."""
    chance = world.chance_of("batches")
    world.serve("one", workers=1, options=QUICK)
    await world.found("red")
    poison = {chance.randint(0, 20) for _ in range(chance.randint(1, 2))}
    how = chance.choice(["please kill after 0", "please kill after 3"])
    send_batches(world, chance, number=2, wrong=dict.fromkeys(poison, how))
    await world.asked()


async def batches_shared(world: "World") -> None:
    """Two or three servers share the work; they are killed, or hang for longer than a lease."""
    chance = world.chance_of("batches")
    names = chance.choice([("one", "two"), ("one", "two", "three")])
    world.serve(
        *names, shared=True, workers=1, options={"tokens_per_second": chance.choice([20, 200])}
    )
    await world.found("red", "blue")
    for server in world.servers:
        world.turn_clock(server, chance.uniform(-2, 2))
        if chance.random() < 0.4:
            kill_soon(server, chance, kills=chance.randint(1, 3))
            if chance.random() < 0.3:
                server.down_s = LONG_DOWN_S
        if chance.random() < 0.4:
            world.begin(_is_killed(server, chance.uniform(2, 15)))
        if chance.random() < 0.4:
            world.begin(_hangs(server, chance.uniform(1, 12), chance.choice(HANGS_S)))
    if chance.random() < 0.3:
        faults = (Fault.COUNTERS_AWAY, Fault.COUNTERS_HANG, Fault.COUNTERS_ANSWERS_LOST)
        schedule(world, chance, faults, seconds=20)
    send_batches(world, chance, number=4)
    await ask_for_a_while(world, number=chance.choice([0, 6]), seconds=20)


async def batches_taken_over(world: "World") -> None:
    """One of two servers is killed, or hangs for longer than its lease, while it works."""
    chance = world.chance_of("batches")
    victim, _ = world.serve("one", "two", shared=True, workers=1, options={"tokens_per_second": 20})
    await world.found("red")
    # About two seconds each, a few at a time.
    fields = {"words": 60, "max_tokens": 40}
    for number in (1, 2):
        key = world.keys[number - 1]
        requests = [world.request(key=key, **fields) for _ in range(20)]
        batch = SentBatch(number, key, requests)
        world.batches.append(batch)
        world.begin(process(world, batch))
    if chance.random() < 0.5:
        victim.down_s = LONG_DOWN_S
        world.begin(_is_killed(victim, chance.uniform(4, 9)))
    else:
        world.begin(_hangs(victim, chance.uniform(4, 9), 50))
    await world.asked()


async def _is_killed(server: Server, at: float) -> None:
    await asyncio.sleep(at)
    if server.life is not None:
        server.life.kill()


async def _hangs(server: Server, at: float, seconds: float) -> None:
    await asyncio.sleep(at)
    if server.life is not None:
        await server.life.hang(seconds)


def send_batches(
    world: "World", chance: Random, *, number: int, wrong: dict[int, str] | None = None
) -> None:
    """Let somebody send so many batches; `wrong` is what is wrong with which of all requests."""
    place = 0
    for _ in range(number):
        requests = []
        key = chance.choice(world.keys)
        for _ in range(chance.choice([1, 5, 20, 60])):
            said = (wrong or {}).get(place, _engine_fault(chance))
            place += 1
            fields: dict[str, Any] = {
                "words": chance.choice([1, 3, 8, 20]),
                "max_tokens": chance.choice([1, 5, 20, 40]),
            }
            requests.append(world.request(key=key, wrong=said, **fields))
        batch = SentBatch(len(world.batches) + 1, key, requests)
        if chance.random() < 0.3:
            batch.stops_after_s = chance.uniform(0, 10)
        batch.is_deleted = chance.random() < 0.3
        world.batches.append(batch)
        world.begin(_send(world, batch, chance.uniform(0, 8)))


def _engine_fault(chance: Random) -> str:
    if chance.random() > 0.05:
        return ""
    return f"please {chance.choice(['fail', 'stop', 'hang'])} after {chance.randint(0, 5)}"


async def _send(world: "World", batch: SentBatch, at: float) -> None:
    await asyncio.sleep(at)
    await process(world, batch)
