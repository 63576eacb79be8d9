"""What all counters must do, in memory and in a real Valkey."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.limits.values import (
    Account,
    Ask,
    Balance,
    Busy,
    Draw,
    Exceeded,
    Granted,
    Hold,
    Level,
    Limited,
    Settlement,
    Unseeded,
)
from antiphon.store.counters.base import Counters, DueSlot, UnseededError
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.counters.valkey import open_valkey
from support.accounts import account
from support.examples import examples
from support.valkey import Clock, Server, timed_counters

pytestmark = pytest.mark.anyio

LEASE_MS = 60_000
MONTH = Account("organization", "1", "monthly", date(2126, 11, 1))
A, B, M, N, P = map(account, "abmnp")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "valkey"])
async def unseeded(
    request: pytest.FixtureRequest, clock: Clock, names: Iterator[str]
) -> AsyncGenerator[Counters]:
    counters: Counters = MemoryCounters(clock)
    if request.param == "valkey":
        counters = timed_counters(request.getfixturevalue("valkey").url, next(names), clock)
    yield counters
    await counters.aclose()


@pytest.fixture
async def counters(unseeded: Counters) -> Counters:
    await unseeded.seed({})
    return unseeded


def ask(name: str, *parts: Draw | Hold, lease_ms: int = LEASE_MS, waits: bool = False) -> Ask:
    draws = tuple(part for part in parts if isinstance(part, Draw))
    holds = tuple(part for part in parts if isinstance(part, Hold))
    return Ask(name, draws, holds, lease_ms, waits=waits)


async def spent(counters: Counters, where: Account = MONTH) -> Balance:
    (found,) = await counters.balance([where])
    return found


async def test_granted_ask_tells_the_levels_after_its_draws(counters: Counters) -> None:
    verdict = await counters.admit(ask("1", Draw("requests", 60, 1), Draw("input", 6000, 1500)))
    assert verdict == Granted((Level(59, 1000), Level(4500, 15_000)))


async def test_limited_ask_takes_nothing_and_names_the_longest_wait(counters: Counters) -> None:
    await counters.draw([Draw("b", 60, 59), Draw("c", 60, 60)])
    draws = (Draw("a", 60, 1), Draw("b", 60, 10), Draw("c", 60, 20))
    verdict = await counters.admit(ask("1", *draws, Hold(MONTH, 100, 50)))
    assert verdict == Limited(2, 20_000, (Level(60, 0), Level(1, 59_000), Level(0, 60_000)))
    assert await counters.levels(draws) == verdict.levels
    assert await spent(counters) == Balance(0, 0)


async def test_retry_is_granted_after_retry_after_and_not_a_millisecond_before(
    counters: Counters, clock: Clock
) -> None:
    await counters.draw([Draw("a", 7, 9), Draw("b", 1000, 900)])
    again = ask("1", Draw("a", 7, 2), Draw("b", 1000, 300))
    verdict = await counters.admit(again)
    assert isinstance(verdict, Limited)
    clock.now += verdict.retry_after_ms - 1
    assert isinstance(await counters.admit(again), Limited)
    clock.now += 1
    assert isinstance(await counters.admit(again), Granted)


async def test_output_is_drawn_without_asking_and_refuses_later_asks(
    counters: Counters, clock: Clock
) -> None:
    output = Draw("output", 60, 0, needs_positive=True)
    assert isinstance(await counters.admit(ask("1", output)), Granted)
    await counters.draw([Draw("output", 60, 90)])
    assert await counters.admit(ask("2", output)) == Limited(0, 31_000, (Level(0, 90_000),))
    clock.now += 31_000
    assert isinstance(await counters.admit(ask("2", output)), Granted)


async def test_correction_gives_back_up_to_a_full_bucket(counters: Counters) -> None:
    await counters.draw([Draw("a", 60, 30), Draw("a", 60, -10)])
    assert await counters.levels([Draw("a", 60, 0)]) == (Level(40, 20_000),)
    await counters.draw([Draw("a", 60, -1000)])
    assert await counters.levels([Draw("a", 60, 0)]) == (Level(60, 0),)


async def test_limit_that_changes_keeps_what_is_used(counters: Counters) -> None:
    await counters.draw([Draw("a", 60, 60)])
    assert await counters.levels([Draw("a", 120, 0)]) == (Level(60, 30_000),)
    verdict = await counters.admit(ask("1", Draw("a", 30, 30)))
    assert verdict == Limited(0, 120_000, (Level(0, 120_000),))


async def test_limits_of_any_size_are_exact(counters: Counters) -> None:
    limit = 10**10
    await counters.draw([Draw("a", limit, limit - 1)])
    verdict = await counters.admit(ask("1", Draw("a", limit, 2)))
    assert verdict == Limited(0, 1, (Level(1, 60_000),))
    most = 9 * 10**15
    assert isinstance(await counters.admit(ask("2", Hold(A, most, most - 1))), Granted)
    await counters.settle(Settlement("2", {A: most - 1}))
    assert await counters.admit(ask("3", Hold(A, most, 2))) == Exceeded(0)
    assert isinstance(await counters.admit(ask("3", Hold(A, most, 1))), Granted)


async def test_sum_without_a_limit_may_be_larger_than_a_double_can_count(
    unseeded: Counters,
) -> None:
    await unseeded.seed({A: 2**60 + 1})
    await unseeded.settle(Settlement("1", {A: 2}))
    assert await spent(unseeded, A) == Balance(2**60 + 3, 0)


async def test_worst_case_is_held_and_the_real_cost_is_settled(counters: Counters) -> None:
    assert isinstance(await counters.admit(ask("1", Hold(MONTH, 100, 80))), Granted)
    assert await spent(counters) == Balance(0, 80)
    assert await counters.admit(ask("2", Hold(MONTH, 100, 21))) == Busy(0)
    await counters.settle(Settlement("1", {MONTH: 30}))
    assert await spent(counters) == Balance(30, 0)
    assert await counters.admit(ask("2", Hold(MONTH, 100, 71))) == Exceeded(0)
    assert isinstance(await counters.admit(ask("2", Hold(MONTH, 100, 70))), Granted)


async def test_limit_holds_for_a_process_whose_clock_is_years_behind_the_counters(
    counters: Counters,
) -> None:
    accounts = [Account("key", f"{number}", "daily", date(2020, 1, 1)) for number in range(9)]
    for round_ in range(2):
        for one in accounts:
            name = f"{one} {round_}"
            assert isinstance(await counters.admit(ask(name, Hold(one, 100, 50))), Granted)
            await counters.settle(Settlement(name, {one: 50}))
    assert await counters.balance(accounts) == (Balance(100, 0),) * 9
    for one in accounts:
        assert await counters.admit(ask("more", Hold(one, 100, 1))) == Exceeded(0)


async def test_ask_holds_on_all_accounts_or_on_none(counters: Counters) -> None:
    await counters.admit(ask("1", Hold(B, 100, 60)))
    verdict = await counters.admit(ask("2", Hold(A, None, 50), Hold(B, 100, 50)))
    assert verdict == Busy(1)
    assert await counters.balance([A, B]) == (Balance(0, 0), Balance(0, 60))


async def test_spend_is_decided_before_rates(counters: Counters) -> None:
    await counters.draw([Draw("a", 60, 60)])
    await counters.settle(Settlement("1", {M: 100}))
    assert await counters.admit(ask("2", Draw("a", 60, 1), Hold(M, 100, 1))) == Exceeded(0)
    verdict = await counters.admit(ask("3", Draw("a", 60, 1), Hold(M, 100, 0)))
    assert isinstance(verdict, Limited)


async def test_repeated_settlement_counts_once(counters: Counters) -> None:
    await counters.admit(ask("1", Draw("a", 60, 20), Hold(M, None, 50)))
    settlement = Settlement("1", {M: 40}, (Draw("a", 60, -5),))
    await counters.settle(settlement)
    await counters.settle(settlement)
    assert await spent(counters, M) == Balance(40, 0)
    assert await counters.levels([Draw("a", 60, 0)]) == (Level(45, 15_000),)


async def test_many_settlements_in_one_step_count_once_each(counters: Counters) -> None:
    await counters.seed({})
    await counters.admit(Ask("1", (), (Hold(A, 100, 60),), LEASE_MS))
    await counters.settle(
        Settlement("1", {A: 20}), Settlement("2", {A: 5}), Settlement("1", {A: 9})
    )
    await counters.settle(Settlement("2", {A: 5}), Settlement("3", {A: 1}))
    assert await counters.balance([A]) == (Balance(26, 0),)


async def test_settlement_of_an_unknown_reservation_counts_once(counters: Counters) -> None:
    await counters.settle(Settlement("never asked", {M: 40}))
    await counters.settle(Settlement("never asked", {M: 40}))
    assert await spent(counters, M) == Balance(40, 0)


async def test_cost_above_what_was_held_counts_in_full(counters: Counters) -> None:
    await counters.admit(ask("1", Hold(M, 100, 50)))
    await counters.settle(Settlement("1", {M: 130}))
    assert await spent(counters, M) == Balance(130, 0)


async def test_lease_that_runs_out_gives_up_what_was_held(counters: Counters, clock: Clock) -> None:
    await counters.admit(ask("1", Hold(M, 100, 80)))
    clock.now += LEASE_MS - 1
    assert await counters.admit(ask("2", Hold(M, 100, 80))) == Busy(0)
    clock.now += 1
    assert isinstance(await counters.admit(ask("2", Hold(M, 100, 80))), Granted)
    await counters.settle(Settlement("1", {M: 10}))
    assert await spent(counters, M) == Balance(10, 80)


async def test_renewed_lease_keeps_its_hold(counters: Counters, clock: Clock) -> None:
    await counters.admit(ask("1", Hold(M, 100, 80)))
    await counters.admit(ask("2", Hold(M, 100, 10), lease_ms=10))
    clock.now += 50_000
    await counters.renew(["1", "2", "unknown"], LEASE_MS)
    clock.now += 50_000
    assert await spent(counters, M) == Balance(0, 80)
    clock.now += 10_000
    assert await spent(counters, M) == Balance(0, 0)


async def test_ask_that_comes_again_takes_nothing_twice(counters: Counters) -> None:
    same = ask("1", Draw("a", 60, 10), Hold(M, 100, 80))
    first = await counters.admit(same)
    assert await counters.admit(same) == first
    assert await spent(counters, M) == Balance(0, 80)


async def test_ask_that_comes_after_its_settlement_takes_nothing(counters: Counters) -> None:
    await counters.settle(Settlement("1", {}))
    answer = await counters.admit(ask("1", Draw("a", 60, 10), Hold(M, 100, 80)))
    assert answer == Granted((Level(60, 0),))
    assert await spent(counters, M) == Balance(0, 0)


async def test_waiting_ask_is_not_overtaken(counters: Counters) -> None:
    await counters.admit(ask("running", Hold(M, 100, 50)))
    large = ask("large", Hold(M, 100, 60), waits=True)
    small = ask("small", Hold(M, 100, 10))
    assert await counters.admit(large) == Busy(0)
    assert await counters.admit(small) == Busy(0)
    await counters.settle(Settlement("running", {M: 0}))
    assert await counters.admit(small) == Busy(0)
    assert isinstance(await counters.admit(large), Granted)
    assert isinstance(await counters.admit(small), Granted)


async def test_ask_that_does_not_come_back_loses_its_turn(counters: Counters, clock: Clock) -> None:
    await counters.admit(ask("running", Hold(M, 100, 50)))
    assert await counters.admit(ask("large", Hold(M, 100, 60), waits=True)) == Busy(0)
    clock.now += 1000
    assert isinstance(await counters.admit(ask("small", Hold(M, 100, 10))), Granted)


async def test_unseeded_counters_grant_nothing(unseeded: Counters) -> None:
    assert await unseeded.admit(ask("1")) == Unseeded()
    with pytest.raises(UnseededError):
        await unseeded.settle(Settlement("1", {M: 5}))
    await unseeded.seed({M: 100}, settled=["1"])
    await unseeded.settle(Settlement("1", {M: 5}))
    assert await spent(unseeded, M) == Balance(100, 0)
    assert await unseeded.admit(ask("2", Hold(M, 100, 1))) == Exceeded(0)
    await unseeded.seed({M: 0})
    assert await spent(unseeded, M) == Balance(100, 0)


@pytest.mark.parametrize("limit", [100 * 7, 100 * 7 + 6])
async def test_200_at_once_spend_what_there_is_and_nothing_more(
    counters: Counters, limit: int
) -> None:
    asks = [ask(f"{number}", Hold(M, limit, 7)) for number in range(200)]
    verdicts = await asyncio.gather(*map(counters.admit, asks))
    granted = [one for one, verdict in zip(asks, verdicts, strict=True) if verdict == Granted(())]
    assert len(granted) == 100
    assert verdicts.count(Busy(0)) == 100
    await asyncio.gather(*(counters.settle(Settlement(one.id, {M: 7})) for one in granted))
    assert await spent(counters, M) == Balance(700, 0)


async def test_200_at_once_draw_what_there_is_and_nothing_more(counters: Counters) -> None:
    asks = [ask(f"{number}", Draw("a", 1000, 9)) for number in range(200)]
    verdicts = await asyncio.gather(*map(counters.admit, asks))
    assert sum(isinstance(verdict, Granted) for verdict in verdicts) == 111


# Random operations: both decide the same, to the unit ------------------------------------------

BUCKETS = st.sampled_from(["a", "b", "c"])
ACCOUNTS = st.sampled_from([M, N, P])
RATES = st.sampled_from([1, 7, 60, 1000, 999_999_937])
IDS = st.sampled_from([str(number) for number in range(8)])
DRAWS = st.builds(Draw, BUCKETS, RATES, st.integers(0, 90), st.booleans())
HOLDS = st.builds(Hold, ACCOUNTS, st.one_of(st.none(), st.integers(50, 150)), st.integers(0, 100))
ASKS = st.builds(
    Ask,
    IDS,
    st.lists(DRAWS, max_size=3, unique_by=lambda draw: draw.bucket).map(tuple),
    st.lists(HOLDS, max_size=3, unique_by=lambda hold: hold.account).map(tuple),
    st.sampled_from([500, 5000, 100_000]),
    st.booleans(),
)
CORRECTIONS = st.lists(st.builds(Draw, BUCKETS, RATES, st.integers(-90, 200)), max_size=3).map(
    tuple
)
SETTLEMENTS = st.builds(
    Settlement, IDS, st.dictionaries(ACCOUNTS, st.integers(0, 40), max_size=3), CORRECTIONS
)
PAUSES = st.one_of(st.integers(-2000, 5000), st.integers(0, 100_000))
STEP: st.SearchStrategy[Any] = st.one_of(
    ASKS, ASKS, SETTLEMENTS, CORRECTIONS, PAUSES, st.frozensets(IDS)
)


async def step(counters: Counters, one: Any) -> Any:
    """Do one thing; answer everything that can be seen afterwards."""
    verdict = None
    match one:
        case Ask():
            verdict = await counters.admit(one)
        case Settlement():
            await counters.settle(one)
        case tuple():
            await counters.draw(one)
        case frozenset():
            await counters.renew(sorted(one), 3000)
    looks = [Draw(bucket, 60, 0) for bucket in "abc"]
    return verdict, await counters.levels(looks), await counters.balance([M, N, P])


@given(st.lists(STEP, max_size=30))
@settings(max_examples=examples(4))
async def test_memory_and_valkey_decide_the_same(
    valkey: Server, names: Iterator[str], steps: list[Any]
) -> None:
    clock = Clock()
    memory, shared = MemoryCounters(clock), timed_counters(valkey.url, next(names), clock)
    try:
        await memory.seed({M: 20})
        await shared.seed({M: 20})
        for one in steps:
            if isinstance(one, int):
                clock.now += one
            assert await step(shared, one) == await step(memory, one)
    finally:
        await shared.aclose()


# Several clients, several processes ------------------------------------------------------------


async def test_retry_slots_are_taken_once_in_the_order_in_which_they_are_due(
    counters: Counters, clock: Clock
) -> None:
    second = await counters.add_retry_slot("line", 2000, 500)
    first = await counters.add_retry_slot("line", 1000, 500)
    other = await counters.add_retry_slot("another", 0, 500)
    assert await counters.take_retry_slot("line", 500) == DueSlot(first, 1000)
    clock.now += 1499
    assert await counters.take_retry_slot("line", 500) == DueSlot(first, 0)
    assert await counters.take_retry_slot("line", 500) == DueSlot(second, 501)
    assert [await counters.drop_retry_slot("line", name) for name in (first, second, other)] == [
        False,
        True,
        False,
    ]
    assert await counters.take_retry_slot("line", 500) is None
    assert await counters.drop_retry_slot("another", other)


async def test_retry_slot_that_is_over_cannot_be_taken_and_can_be_dropped(
    counters: Counters, clock: Clock
) -> None:
    place = await counters.add_retry_slot("line", 1000, 500)
    clock.now += 1500
    assert await counters.take_retry_slot("line", 500) is None
    later = await counters.add_retry_slot("line", 10, 500)
    assert await counters.take_retry_slot("line", 500) == DueSlot(later, 10)
    assert await counters.drop_retry_slot("line", place)
    assert not await counters.drop_retry_slot("line", place)


async def test_clients_of_one_server_share_every_limit(
    valkey: Server, names: Iterator[str]
) -> None:
    name = next(names)
    async with AsyncExitStack() as stack:
        clients = [open_valkey(valkey.url, name=name, patience_s=10) for _ in range(2)]
        for client in clients:
            stack.push_async_callback(client.aclose)
        await clients[0].seed({})
        verdicts = await asyncio.gather(
            *(
                clients[number % 2].admit(ask(f"{number}", Hold(M, 1000, 10)))
                for number in range(200)
            )
        )
        assert verdicts.count(Granted(())) == 100
        assert await spent(clients[1], M) == Balance(0, 1000)


_PROCESS = """
import asyncio, json, sys
from datetime import date
from antiphon.core.limits.values import Account, Ask, Draw, Granted, Hold, Settlement
from antiphon.store.counters.valkey import open_valkey

M = Account("key", "m", "monthly", date(2126, 11, 1))

async def main(url, name, who):
    counters = open_valkey(url, name=name, patience_s=10)
    async def one(number):
        id, holds = f"{who}-{number}", (Hold(M, 10**6, 10**4),)
        if not isinstance(await counters.admit(Ask(id, (), holds, 60_000)), Granted):
            return 0, 0
        await counters.settle(Settlement(id, {M: 10**4}))
        limited = await counters.admit(Ask(id + "r", (Draw("r", 1, 1),), (), 60_000))
        return 1, isinstance(limited, Granted)
    sys.stdin.readline()
    found = await asyncio.gather(*(one(number) for number in range(100)))
    print(json.dumps([sum(column) for column in zip(*found)]))
    await counters.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_share_every_limit(valkey: Server, names: Iterator[str]) -> None:
    name = next(names)
    counters = open_valkey(valkey.url, name=name, patience_s=10)
    await counters.seed({})
    programs = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _PROCESS,
            valkey.url,
            name,
            who,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for who in ("left", "right")
    ]
    outputs = await asyncio.gather(*(program.communicate(b"go\n") for program in programs))
    found = [json.loads(output) for output, _ in outputs]
    # How many of them are refused for good depends on who is first; what is spent does not.
    assert (await spent(counters, M)).held == 0
    assert sum(granted for granted, _ in found) * 10**4 == (await spent(counters, M)).spent
    assert (await spent(counters, M)).spent <= 10**6
    assert sum(passed for _, passed in found) == 1
    await counters.aclose()
