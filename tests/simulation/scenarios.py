"""What happens in a run: who asks, what goes wrong, and when. Each scenario is one story."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

from simulation.batch_scenarios import (
    batches,
    batches_clock,
    batches_disk,
    batches_killed,
    batches_money,
    batches_poisoned,
    batches_shared,
    batches_taken_over,
)
from simulation.faults import Fault, Window
from simulation.happenings import (
    ask_for_a_while,
    kill_soon,
    limit_spend,
    schedule,
    some_die,
    some_long,
)
from simulation.rounds import SEARCH_PRICE_SET, replies
from simulation.rounds import STEPS as STEPS_OF_ROUNDS

if TYPE_CHECKING:
    from simulation.world import World

Scenario: TypeAlias = Callable[["World"], Awaitable[None]]

# About as many writes and steps as a small run makes until it comes to rest.
WRITES = 60
STEPS = 2000


async def calm(world: "World") -> None:
    """One server and many callers; nothing goes wrong, and everybody is served."""
    world.serve("one", workers=1)
    await world.found("red", "blue")
    await ask_for_a_while(world, number=20, seconds=40)
    if any(answer.status != 200 for answer in world.messages()):
        world.unforeseen.append("somebody was not served, and nothing went wrong")


async def hang_ups(world: "World") -> None:
    """Callers hang up before the first byte and in the middle, and read slowly."""
    world.serve("one")
    await world.found("red")
    chance = world.chance_of("hang-ups")

    def impatient() -> dict[str, Any]:
        if chance.random() < 0.4:
            return {"patience_s": chance.choice([0.001, 0.02, 0.2, 1.0]) * chance.random()}
        if chance.random() < 0.5:
            return {"patience_chunks": chance.randint(1, 12), "stream": True}
        return {"reads_s": chance.choice([0, 0.001, 0.3])}

    await ask_for_a_while(world, number=24, seconds=20, more=impatient)


async def crash(world: "World") -> None:
    """The server is killed at any step, and started again, and money is short."""
    chance = world.chance_of("crash")
    (server,) = world.serve("one")
    await world.found("red")
    await limit_spend(world, chance)
    kill_soon(server, chance, kills=chance.randint(1, 5))
    await ask_for_a_while(world, number=24, seconds=chance.choice([4, 15, 40]))


async def first_start(world: "World") -> None:
    """The server is killed while it starts for the first time, again and again."""
    chance = world.chance_of("crash")
    (server,) = world.serve("one", workers=1)
    server.lifespan = lambda number: chance.randint(1, 400) if number < 6 else None
    await world.found("red")
    await ask_for_a_while(world, number=8, seconds=10)


async def money(world: "World") -> None:
    """Money is short for everybody, so that many wait for what others will not use up."""
    chance = world.chance_of("money")
    world.serve("one", limits={"spend_wait_s": chance.choice([0, 5, 60])})
    await world.found("red")
    await limit_spend(world, chance)
    await ask_for_a_while(world, number=30, seconds=chance.choice([1, 10, 40]))


async def retries(world: "World") -> None:
    """More ask than a limit lets in, and come back when they are told to."""
    await _retries(world, "one")


async def shared_retries(world: "World") -> None:
    """The same with two servers: who comes back may come to the other."""
    await _retries(world, "one", "two")


async def _retries(world: "World", *names: str) -> None:
    chance = world.chance_of("retries")
    counter, most, fit = chance.choice([("requests", 30, 30), ("input_tokens", 510, 30)])
    limits = {f"{counter}_per_minute": most}
    world.serve(*names, shared=len(names) > 1, limits=limits)
    await world.found("red")
    world.most_a_minute = counter, most
    for _ in range(fit + chance.randint(5, 12)):
        world.begin(_come_back(world, chance, chance.uniform(0, 5)))
    await world.asked()
    await _alone(world, chance)


async def output_limit(world: "World") -> None:
    """More output is asked for than its limit allows, on one server or two, slowly or at once."""
    chance = world.chance_of("output")
    names = chance.choice([("one",), ("one", "two")])
    speed = {"tokens_per_second": chance.choice([0, 20])}
    most = 120
    world.serve(
        *names, shared=len(names) > 1, options=speed, limits={"output_tokens_per_minute": most}
    )
    await world.found("red")
    world.most_a_minute = "output_tokens", most
    await ask_for_a_while(world, number=40, seconds=chance.choice([10, 30]))


async def _alone(world: "World", chance: Random) -> None:
    """Ask until that is refused, and once more when there is room, without saying so."""
    client = world.client(chance.randrange(len(world.servers)))
    for _ in range(100):
        request = world.request(key=world.keys[0], words=8, max_tokens=1)
        answer = await client.create(request)
        if answer.status == 429 and answer.retry_after_s is not None:
            await asyncio.sleep(answer.retry_after_s)
            again = await client.create(world.request(key=world.keys[0], words=8, max_tokens=1))
            if again.status == 429:
                told = f"is told {answer.retry_after_s} s, and is refused again"
                world.broken_promises.append(f"request {request.number} {told}")
            return
    world.broken_promises.append("nobody was refused")


async def _come_back(world: "World", chance: Random, at: float) -> None:
    """Ask, and once more when that is said to succeed."""
    await asyncio.sleep(at)
    key, words = world.keys[0], 8
    place = chance.randrange(len(world.servers))
    told: int | None = None
    for tried in range(3):
        await world.servers[place].ready()
        request = world.request(key=key, words=words, max_tokens=8, retries=tried)
        answer = await world.client(place).create(request)
        if answer.status != 429:
            return
        if tried:
            world.broken_promises.append(
                f"request {request.number} came after {told} s, and is refused again"
            )
        told = answer.retry_after_s
        if told is None:
            world.broken_promises.append(f"request {request.number} is not told when to come")
            return
        await asyncio.sleep(told + chance.uniform(0, 3))
        place = chance.randrange(len(world.servers))


async def engine_faults(world: "World") -> None:
    """The engine fails, refuses, hangs and stops without an end, before and in an answer."""
    world.serve("one")
    await world.found("red")
    chance = world.chance_of("engine")

    def wrong() -> dict[str, Any]:
        how = chance.choice(["fail", "refuse", "stop", "hang", "hang"])
        said = f"please {how} after {chance.randint(0, 12)}"
        patience = {"patience_s": 20.0} if chance.random() < 0.2 else {}
        return {"wrong": said if chance.random() < 0.5 else "", **patience}

    await ask_for_a_while(world, number=24, seconds=chance.choice([4, 15, 40]), more=wrong)


async def cached(world: "World") -> None:
    """Callers share prefixes with breakpoints, while servers are killed and engines fail."""
    chance = world.chance_of("cached")
    names = chance.choice([("one",), ("one", "two")])
    kept = {"kept_prefixes": chance.choice([1, 3, 4096])}
    speed = {"tokens_per_second": chance.choice([20, 200])}
    world.serve(*names, shared=len(names) > 1, options={**kept, **speed})
    await world.found("red", "blue")
    if chance.random() < 0.5:
        some_die(world, chance, kills=2)

    def marked() -> dict[str, Any]:
        fields: dict[str, Any] = {"shared": chance.choice(["", "spring", "summer", "winter"])}
        fields["ttl"] = chance.choice(["5m", "5m", "1h"])
        if chance.random() < 0.3:
            how = chance.choice(["fail", "refuse", "stop"])
            fields["wrong"] = f"please {how} after {chance.choice([0, 0, 3])}"
        elif chance.random() < 0.2:
            fields["patience_s"] = chance.random()
        return fields

    # Longer than an entry of five minutes lives, in some runs.
    seconds = chance.choice([4, 40, 900])
    await ask_for_a_while(world, number=40, seconds=seconds, more=marked)


async def rounds(world: "World") -> None:
    """Models look for tools and search the web, while money is short and much goes wrong."""
    chance = world.chance_of("rounds")
    names = chance.choice([("one",), ("one", "two")])
    speed = {"tokens_per_second": chance.choice([0, 20, 200])}
    web = {"search": "own", "url": "http://search.simulated/", "price": SEARCH_PRICE_SET}
    world.serve(*names, shared=len(names) > 1, options={"replies": replies(), **speed}, web=web)
    await world.found("red", "blue")
    if chance.random() < 0.7:
        await limit_spend(world, chance)
    if chance.random() < 0.4:
        some_die(world, chance, kills=2)
    if len(names) > 1:
        lost = (Fault.COUNTERS_AWAY, Fault.COUNTERS_HANG, Fault.COUNTERS_ANSWERS_LOST)
        schedule(world, chance, lost, seconds=20)

    def looking() -> dict[str, Any]:
        fields: dict[str, Any] = {"max_tokens": chance.choice([3, 20, 60, 150])}
        if chance.random() < 0.8:
            fields["searches"] = chance.randint(1, STEPS_OF_ROUNDS)
        if chance.random() < 0.3:
            fields["shared"] = chance.choice(["spring", "summer"])
        how = chance.random()
        if how < 0.2:
            wrong = chance.choice(["fail", "refuse", "stop", "hang"])
            fields["wrong"] = f"please {wrong} after {chance.randint(0, 60)}"
        elif how < 0.4:
            fields["patience_s"] = chance.uniform(0, 6)
        elif how < 0.5:
            fields |= {"patience_chunks": chance.randint(1, 40), "stream": True}
        return fields

    await ask_for_a_while(world, number=24, seconds=chance.choice([2, 15, 40]), more=looking)


async def disk(world: "World") -> None:
    """The disk is full, slow or broken for a while; another program holds the database."""
    chance = world.chance_of("disk")
    (server,) = world.serve("one")
    await world.found("red")
    await limit_spend(world, chance)
    faults = (
        Fault.DISK_FULL,
        Fault.DISK_BROKEN,
        Fault.DATABASE_BUSY,
        Fault.DATABASE_HANGS,
        Fault.COMMIT_UNKNOWN,
        Fault.SYNC_FAILS,
    )
    schedule(world, chance, faults, seconds=40)
    if chance.random() < 0.5:
        kill_soon(server, chance, kills=3)
    await ask_for_a_while(world, number=24, seconds=chance.choice([4, 15, 40]))


async def full_journal(world: "World") -> None:
    """The database is away, requests pile up in the journal, and then it cannot grow."""
    chance = world.chance_of("journal")
    world.serve("one", options={"tokens_per_second": 0})
    await world.found("red")
    now = world.loop.time()
    begin, lasts = now + chance.uniform(0, 6), chance.uniform(5, 20)
    world.faults.windows += [
        Window(Fault.DATABASE_HANGS, now + 1, begin + lasts),
        Window(Fault.DISK_FULL, begin, begin + lasts),
    ]
    fields = {"words": 1, "max_tokens": 1, "stream": False}
    await ask_for_a_while(world, number=330, seconds=8, more=lambda: fields)


async def one_write_fails(world: "World") -> None:
    """One write to the database fails: with `WRITES` seeds each that there is, once."""
    world.faults.failing_write = 1 + world.seed * 37 % WRITES
    world.serve("one", workers=1)
    await world.found("red")
    await ask_for_a_while(world, number=8, seconds=5)


async def one_step_is_the_last(world: "World") -> None:
    """The process is killed once: with `STEPS` seeds at each step that it makes."""
    (server,) = world.serve("one", workers=1)
    last = 1 + world.seed * 211 % STEPS
    server.lifespan = lambda number: last if number == 1 else None
    await world.found("red")
    await ask_for_a_while(world, number=8, seconds=5)


async def clock_jumps(world: "World") -> None:
    """The clock of the machine is set forwards and backwards, over days and ends of months."""
    chance = world.chance_of("clock")
    (server,) = world.serve("one")
    await world.found("red")
    await limit_spend(world, chance)
    for at in sorted(chance.uniform(0, 40) for _ in range(chance.randint(1, 4))):
        seconds = chance.choice([1, 60, 3600, 86400, 9 * 86400]) * chance.uniform(-1, 1)
        world.begin(world.set_clock(server, at, seconds))
    if chance.random() < 0.4:
        kill_soon(server, chance, kills=2)
    await ask_for_a_while(world, number=24, seconds=chance.choice([4, 15, 40]))


async def restarts(world: "World") -> None:
    """The server is stopped politely and started again, while it answers."""
    chance = world.chance_of("restarts")
    (server,) = world.serve("one", workers=1, shutdown_grace_s=chance.choice([0, 0.5, 30]))
    await world.found("red")
    await limit_spend(world, chance)

    async def stop(at: float) -> None:
        await asyncio.sleep(at)
        if server.life is not None:
            await server.life.stop()

    for _ in range(chance.randint(1, 3)):
        world.begin(stop(chance.uniform(0, 40)))
    await ask_for_a_while(world, number=24, seconds=chance.choice([4, 15, 40]))


async def revoked_keys(world: "World") -> None:
    """Keys are revoked while they are used, on one server or on two, which may be killed."""
    chance = world.chance_of("keys")
    names = chance.choice([("one",), ("one", "two")])
    world.serve(*names, shared=len(names) > 1)
    await world.found("red", "blue", "green")
    if chance.random() < 0.5:
        some_die(world, chance, kills=1)
    for key in world.keys[2:]:
        world.begin(world.revoke(key, chance.uniform(0, 30)))
    await ask_for_a_while(world, number=40, seconds=40)


async def two_servers(world: "World") -> None:
    """Two servers share a database, their counters and the limits; one may be killed."""
    chance = world.chance_of("two")
    for server in world.serve("one", "two", shared=True):
        # No two clocks are the same.
        world.turn_clock(server, chance.uniform(-2, 2))
    await world.found("red")
    await limit_spend(world, chance)
    some_die(world, chance, kills=2)
    await ask_for_a_while(world, number=30, seconds=chance.choice([4, 15, 40]))


async def counters_away(world: "World") -> None:
    """The shared counters are away, hang, and lose answers, while servers are killed."""
    chance = world.chance_of("away")
    world.serve("one", "two", shared=True)
    await world.found("red")
    await limit_spend(world, chance)
    faults = (Fault.COUNTERS_AWAY, Fault.COUNTERS_HANG, Fault.COUNTERS_ANSWERS_LOST)
    schedule(world, chance, faults, seconds=40)
    # A call that is lost and no more: the next one is answered again.
    hiccups = chance.choice([0, 5, 20])
    for _ in range(hiccups):
        begin = world.loop.time() + chance.uniform(0, 20)
        lost = chance.choice(faults[1:])
        world.faults.windows.append(Window(lost, begin, begin + chance.uniform(0, 0.2)))
    if chance.random() < 0.5:
        some_die(world, chance, kills=1)
    seconds = chance.choice([4, 15, 40])
    await ask_for_a_while(world, number=30, seconds=seconds, more=lambda: some_long(chance))


async def counters_forget(world: "World") -> None:
    """The shared counters lose all that they knew."""
    chance = world.chance_of("forget")
    world.serve("one", "two", shared=True)
    await world.found("red")
    await limit_spend(world, chance)

    async def forget(at: float) -> None:
        await asyncio.sleep(at)
        world.trace("the counters forget")
        if world.counters is not None:
            world.counters.forget()

    for _ in range(chance.randint(1, 2)):
        world.begin(forget(10 ** chance.uniform(-1, 1.5)))
    seconds = chance.choice([4, 15, 40])
    await ask_for_a_while(world, number=30, seconds=seconds, more=lambda: some_long(chance))


SCENARIOS: Mapping[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        calm,
        hang_ups,
        crash,
        first_start,
        money,
        retries,
        shared_retries,
        output_limit,
        engine_faults,
        cached,
        rounds,
        disk,
        full_journal,
        one_write_fails,
        one_step_is_the_last,
        clock_jumps,
        restarts,
        revoked_keys,
        two_servers,
        counters_away,
        counters_forget,
        batches,
        batches_killed,
        batches_disk,
        batches_clock,
        batches_money,
        batches_poisoned,
        batches_shared,
        batches_taken_over,
    )
}
