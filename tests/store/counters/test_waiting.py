import asyncio
from collections.abc import AsyncGenerator, Iterator
from itertools import count

import pytest

from antiphon.core.limits.values import (
    Account,
    Ask,
    Balance,
    Busy,
    Exceeded,
    Granted,
    Hold,
    Settlement,
)
from antiphon.store.counters.base import Counters
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.counters.valkey import open_valkey
from antiphon.store.counters.waiting import WaitingRoom
from support.accounts import account
from support.valkey import Server

pytestmark = pytest.mark.anyio

LONG_S = 20.0
M, N = map(account, "mn")


@pytest.fixture(params=["memory", "valkey"])
async def counters(
    request: pytest.FixtureRequest, names: Iterator[str]
) -> AsyncGenerator[Counters]:
    counters: Counters = MemoryCounters()
    if request.param == "valkey":
        # Two hundred at once on a busy machine: nothing here is about how fast the server is.
        url = request.getfixturevalue("valkey").url
        counters = open_valkey(url, name=next(names), patience_s=10)
    await counters.seed({})
    yield counters
    await counters.aclose()


def ask(name: str, amount: int, limit: int = 100, where: Account = M) -> Ask:
    return Ask(name, (), (Hold(where, limit, amount),), 60_000)


async def turns(count: int) -> None:
    """Let everything go on that can go on in memory."""
    for _ in range(count):
        await asyncio.sleep(0)


async def stands_in_line(room: WaitingRoom) -> None:
    for _ in range(100_000):
        if room._queues:
            return
        await asyncio.sleep(0)
    pytest.fail("Nobody waits")


async def test_200_at_once_are_all_served_up_to_the_limit(counters: Counters) -> None:
    room = WaitingRoom(counters)
    worst, cost, limit = 50, 7, 7 * 150 + 43

    async def request(number: int) -> str:
        verdict = await room.admit(ask(str(number), worst, limit), LONG_S)
        if isinstance(verdict, Granted):
            await room.settle(Settlement(str(number), {M: cost}))
        return type(verdict).__name__

    answers = await asyncio.gather(*map(request, range(200)))
    # The last one that fits is the one after which the worst case does not fit any more.
    assert answers.count("Granted") == (limit - worst) // cost + 1
    assert answers.count("Exceeded") == 200 - answers.count("Granted")
    assert await counters.balance([M]) == (Balance(answers.count("Granted") * cost, 0),)


async def test_large_request_is_not_starved_by_small_ones() -> None:
    counters = MemoryCounters()
    await counters.seed({})
    room = WaitingRoom(counters)
    order: list[str] = []

    async def request(name: str, amount: int) -> None:
        assert isinstance(await room.admit(ask(name, amount), LONG_S), Granted)
        order.append(name)

    await room.admit(ask("running", 60), LONG_S)
    tasks = [asyncio.create_task(request("large", 90))]
    await turns(5)
    tasks += [asyncio.create_task(request(f"small {number}", 10)) for number in range(3)]
    await turns(5)
    assert order == []
    await room.settle(Settlement("running", {}))
    await turns(20)
    assert order == ["large", "small 0"]
    await room.settle(Settlement("large", {}))
    await asyncio.gather(*tasks)
    assert order == ["large", "small 0", "small 1", "small 2"]


async def test_wait_is_told_and_asks_that_do_not_wait_tell_none() -> None:
    counters = MemoryCounters()
    await counters.seed({})
    room = WaitingRoom(counters)
    waits: list[float] = []
    await room.admit(ask("running", 60), LONG_S, waits.append)
    assert waits == []
    assert await room.admit(ask("late", 90), 0.02, waits.append) == Busy(0)
    assert 0.019 <= waits.pop() < LONG_S
    cancelled = asyncio.create_task(room.admit(ask("large", 90), LONG_S, waits.append))
    await stands_in_line(room)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert len(waits) == 1


async def test_ask_without_patience_left_is_busy_and_gives_up_its_turn(counters: Counters) -> None:
    room = WaitingRoom(counters)
    await room.admit(ask("running", 60), LONG_S)
    assert await room.admit(ask("large", 90), 0.02) == Busy(0)
    assert isinstance(await counters.admit(ask("small", 10)), Granted)
    assert room._queues == {}


async def test_waiting_ask_is_exceeded_when_it_can_never_fit(counters: Counters) -> None:
    room = WaitingRoom(counters)
    await room.admit(ask("running", 60), LONG_S)
    waiting = asyncio.create_task(room.admit(ask("large", 90), LONG_S))
    await stands_in_line(room)
    await room.settle(Settlement("running", {M: 30}))
    assert await waiting == Exceeded(0)


async def test_cancelled_ask_leaves_the_queue(counters: Counters) -> None:
    room = WaitingRoom(counters)
    await room.admit(ask("running", 60), LONG_S)
    waiting = asyncio.create_task(room.admit(ask("large", 90), LONG_S))
    await stands_in_line(room)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert room._queues == {}
    assert await counters.balance([M]) == (Balance(0, 60),)


async def test_ask_that_waits_at_two_accounts_is_granted() -> None:
    counters = MemoryCounters()
    await counters.seed({})
    room = WaitingRoom(counters)
    await room.admit(ask("first", 60, where=M), LONG_S)
    await room.admit(ask("second", 60, where=N), LONG_S)
    both = Ask("both", (), (Hold(M, 100, 90), Hold(N, 100, 90)), 60_000)
    waiting = asyncio.create_task(room.admit(both, LONG_S))
    await turns(5)
    await room.settle(Settlement("first", {M: 0}))
    await turns(5)
    assert not waiting.done()
    await room.settle(Settlement("second", {N: 0}))
    assert isinstance(await waiting, Granted)


async def test_settlement_of_another_process_is_noticed(
    valkey: Server, names: Iterator[str]
) -> None:
    name = next(names)
    here, there = (
        open_valkey(valkey.url, name=name, patience_s=10),
        open_valkey(valkey.url, name=name, patience_s=10),
    )
    await here.seed({})
    await there.admit(ask("there", 60))
    waiting = asyncio.create_task(WaitingRoom(here).admit(ask("here", 90), LONG_S))
    for number in count():
        # An ask that was settled is granted again without being decided, so each has its own id.
        if await there.admit(ask(f"small {number}", 10)) == Busy(0):
            break
        await there.settle(Settlement(f"small {number}", {}))
    await there.settle(Settlement("there", {}))
    assert isinstance(await waiting, Granted)
    await here.aclose()
    await there.aclose()
