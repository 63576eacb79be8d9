"""What scenarios are made of: who asks, limits that are set, processes that die, faults in turn."""

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from simulation.faults import Fault, Window
from simulation.processes import DOWN_S, Lifespan, Server

if TYPE_CHECKING:
    from simulation.world import World

# One request of the usual size costs about this, in nano-dollars.
USUAL_COST = 300_000
# Longer than a lease.
LONG_DOWN_S = (62.0, 80.0)
SHORT_DOWN_S = (0.05, 1.0)


def some_die(world: "World", chance: Random, kills: int) -> None:
    for server in world.servers:
        if chance.random() < 0.6:
            kill_soon(server, chance, kills=kills)
            if chance.random() < 0.3:
                # It comes back when what it had held was given up.
                server.down_s = LONG_DOWN_S


async def limit_spend(world: "World", chance: Random) -> None:
    """Set a limit for everybody, and one for a workspace, that some of the requests reach."""
    await world.limit_spend(chance.randint(3, 15) * USUAL_COST)
    if chance.random() < 0.5:
        amount = chance.randint(1, 10) * USUAL_COST
        await world.limit_spend(amount, world.keys[1].workspace)


def kill_soon(server: Server, chance: Random, kills: int) -> None:
    """Kill the process that serves now at a drawn step, and some of those that come after it."""
    server.lifespan = dies_soon(chance, kills - 1)
    server.down_s = chance.choice([SHORT_DOWN_S, DOWN_S])
    if server.life is not None:
        server.life.dies_at = server.life.steps + chance.randint(1, 1500)


def kill_after_commits(server: Server, chance: Random, kills: int) -> None:
    """Kill the process behind a commit of requests of batches, and some that follow it.

    Whatever belongs together and is committed in two transactions is torn apart here, which a kill
    at any step does hardly ever: the time between two commits has few steps.
    """
    left = [kills - 1]

    def lifespan(number: int) -> int | None:
        del number
        if left[0] <= 0:
            return None
        left[0] -= 1
        return chance.randint(1, 12)

    server.last_commit = lifespan
    server.down_s = SHORT_DOWN_S
    if server.life is not None:
        server.life.last_commit = server.life.commits + chance.randint(1, 12)


def dies_soon(chance: Random, kills: int) -> Lifespan:
    """Kill so many lives at a drawn step: early ones, while they start, as often as late ones."""
    left = [kills]

    def lifespan(number: int) -> int | None:
        del number
        if left[0] <= 0:
            return None
        left[0] -= 1
        return int(10 ** chance.uniform(0, 3.5))

    return lifespan


def schedule(world: "World", chance: Random, faults: tuple[Fault, ...], seconds: float) -> None:
    """Let some faults happen within the next seconds, short ones and long ones."""
    now = world.loop.time()
    for _ in range(chance.randint(1, 4)):
        begin = now + seconds * chance.random() ** 2
        lasts = chance.choice([0.05, 0.5, 3, 15, 40]) * chance.random()
        server = chance.choice([None, *(server.name for server in world.servers)])
        window = Window(chance.choice(faults), begin, begin + lasts, server)
        world.faults.windows.append(window)
        world.trace(f"schedules: {window.fault}", begin=begin, end=begin + lasts, server=server)


def some_long(chance: Random) -> dict[str, Any]:
    """Make one of four requests outlive the seeding of lost counters; some of these in silence."""
    if chance.random() > 0.25:
        return {}
    wrong = chance.choice(["", "", f"please hang after {chance.choice([0, 5, 30])}"])
    return {"words": 100, "max_tokens": 100, "wrong": wrong}


async def ask_for_a_while(
    world: "World",
    *,
    number: int,
    seconds: float,
    more: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """Let so many ask within these seconds: with every key, every server, streamed and whole."""
    chance = world.chance_of("callers")

    async def ask(at: float, place: int, fields: Mapping[str, Any]) -> None:
        await asyncio.sleep(at)
        await world.client(place).create(world.request(**fields))

    for _ in range(number):
        fields: dict[str, Any] = {
            "key": chance.choice(world.keys),
            "words": chance.choice([1, 3, 8, 20]),
            "max_tokens": chance.choice([1, 5, 20, 40]),
            "stream": chance.random() < 0.6,
        }
        fields |= more()
        world.begin(ask(chance.uniform(0, seconds), chance.randrange(len(world.servers)), fields))
    await world.asked()
