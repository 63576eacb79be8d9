import asyncio
import logging
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
from valkey.asyncio import Valkey

from antiphon.core.limits.values import (
    Account,
    Ask,
    Balance,
    Draw,
    Exceeded,
    Granted,
    Hold,
    Settlement,
)
from antiphon.store.counters.base import CountersAwayError
from antiphon.store.counters.fallback import FallbackCounters
from antiphon.store.counters.seeding import Seed
from antiphon.store.counters.valkey import open_valkey
from antiphon.store.database.errors import StoreError
from support.accounts import account
from support.valkey import Server

pytestmark = pytest.mark.anyio

M = account("m")

Start = Callable[..., FallbackCounters]


class Ledger:
    """What every process has recorded; its sums are the truth."""

    def __init__(self) -> None:
        self.spent: dict[Account, int] = {}
        self.settled: list[str] = []
        self.broken = False

    def record(self, settlement: Settlement) -> Settlement:
        for one, cost in settlement.costs.items():
            self.spent[one] = self.spent.get(one, 0) + cost
        self.settled.append(settlement.id)
        return settlement

    async def totals(self) -> Seed:
        if self.broken:
            raise StoreError("The database cannot be reached")
        return Seed(dict(self.spent), tuple(self.settled))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own for each test, that keeps its state over a polite restart."""
    server = Server(tmp_path, save="3600 1")
    yield server
    server.close()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def start(server: Server, ledger: Ledger) -> AsyncGenerator[Start]:
    """Makes the counters of one process after another."""
    opened: list[tuple[FallbackCounters, list[asyncio.Task[None]]]] = []

    def start(watch_s: float = 60) -> FallbackCounters:
        counters = FallbackCounters(
            open_valkey(server.url), grace_s=0, retry_s=0.01, watch_s=watch_s
        )
        works = (counters.keep_whole(ledger.totals), counters.keep_watching())
        opened.append((counters, [asyncio.create_task(work) for work in works]))
        return counters

    yield start
    for counters, tasks in opened:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await counters.aclose()


async def ready(counters: FallbackCounters) -> FallbackCounters:
    await counters.open()
    await counters.mended()
    assert counters.refused is None
    return counters


def ask(name: str, amount: int, limit: int = 100) -> Ask:
    return Ask(name, (Draw("r", 60, 1),), (Hold(M, limit, amount),), 60_000)


async def spent(counters: FallbackCounters) -> Balance:
    (found,) = await counters.balance([M])
    return found


async def spent_or_away(counters: FallbackCounters) -> Balance | None:
    try:
        return await spent(counters)
    except CountersAwayError:
        return None


async def test_new_server_is_seeded_from_the_ledger(start: Start, ledger: Ledger) -> None:
    ledger.spent[M] = 60
    counters = start()
    with pytest.raises(CountersAwayError):
        await counters.admit(ask("1", 10))
    await counters.mended()
    assert await counters.admit(ask("1", 50)) == Exceeded(0)
    assert isinstance(await counters.admit(ask("1", 40)), Granted)


async def test_new_server_is_no_warning_but_one_that_has_forgotten_is(
    start: Start, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "antiphon.store.counters.fallback")
    counters = await ready(start())
    async with Valkey.from_url(server.url) as client:
        await client.flushall()
    with pytest.raises(CountersAwayError):
        await counters.admit(ask("1", 1))
    await counters.mended()
    told = [(record.getMessage().split()[0], record.levelname) for record in caplog.records]
    assert told == [
        ("counters_away", "INFO"),
        ("counters_back", "INFO"),
        ("counters_away", "WARNING"),
        ("counters_back", "INFO"),
    ]


async def test_nothing_is_granted_while_the_ledger_cannot_be_read(
    start: Start, ledger: Ledger
) -> None:
    ledger.broken = True
    counters = start()
    for number in range(5):
        with pytest.raises(CountersAwayError):
            await counters.admit(ask(str(number), 1))
        await asyncio.sleep(0.02)
    ledger.broken = False
    await counters.mended()
    assert isinstance(await counters.admit(ask("5", 1)), Granted)


async def test_only_one_process_seeds(start: Start, ledger: Ledger) -> None:
    ledger.spent[M] = 60
    await asyncio.gather(*(ready(start()) for _ in range(5)))
    assert await spent(start()) == Balance(60, 0)


async def test_asks_are_refused_while_the_server_is_away(start: Start, server: Server) -> None:
    counters = await ready(start())
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(CountersAwayError):
        await counters.admit(ask("1", 10))
    with pytest.raises(CountersAwayError):
        await counters.levels([Draw("r", 60, 1)])
    with pytest.raises(CountersAwayError):
        await counters.balance([M])
    # What runs is not disturbed.
    await counters.draw([Draw("r", 60, 1)])
    await counters.renew(["1"], 60_000)


async def test_silent_valkey_delays_one_ask_only(start: Start, server: Server) -> None:
    counters = await ready(start())
    os.kill(server.pid, signal.SIGSTOP)
    try:
        began = monotonic()
        for number in range(50):
            with pytest.raises(CountersAwayError):
                await counters.admit(ask(str(number), 1))
        # A quarter of a second once; the rest is for a busy machine.
        assert 0.2 < monotonic() - began < 2
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await counters.mended()
    # None of the asks that got no answer holds anything.
    assert await spent(counters) == Balance(0, 0)


async def test_settlement_is_delivered_when_the_server_is_back(
    start: Start, server: Server, ledger: Ledger
) -> None:
    counters = await ready(start())
    await counters.admit(ask("1", 40))
    os.kill(server.pid, signal.SIGSTOP)
    await counters.settle(ledger.record(Settlement("1", {M: 30})))
    assert counters.refused is not None
    assert counters.pending == 1
    os.kill(server.pid, signal.SIGCONT)
    await counters.mended()
    assert counters.pending == 0
    # The first try may have been carried out as well, after its answer was given up.
    assert await spent(counters) == Balance(30, 0)


@pytest.mark.parametrize("recorded", [True, False])
async def test_restarted_valkey_is_seeded_again(
    start: Start, server: Server, ledger: Ledger, *, recorded: bool
) -> None:
    counters = await ready(start())
    await counters.admit(ask("0", 20))
    await counters.settle(ledger.record(Settlement("0", {M: 20})))
    await counters.admit(ask("1", 40))
    server.stop()
    settlement = Settlement("1", {M: 30})
    if recorded:
        ledger.record(settlement)
    await counters.settle(settlement)
    server.start()
    await counters.mended()
    # Whether the sums contained it or not, it counts once.
    assert await spent(counters) == Balance(50, 0)


async def test_restart_keeps_what_running_requests_hold(
    start: Start, server: Server, ledger: Ledger
) -> None:
    counters = await ready(start())
    await counters.admit(ask("1", 40))
    os.kill(server.pid, signal.SIGKILL)  # nothing was written, so nothing is known any more
    with pytest.raises(CountersAwayError):
        await counters.admit(ask("2", 10))
    server._server.stop()
    server.start()
    await counters.mended()
    assert await spent(counters) == Balance(0, 40)
    await counters.settle(ledger.record(Settlement("1", {M: 30})))
    assert await spent(counters) == Balance(30, 0)


async def test_process_that_only_draws_tells_valkey_its_holds_again(
    start: Start, server: Server
) -> None:
    counters = await ready(start())
    await counters.admit(ask("1", 40))
    async with Valkey.from_url(server.url) as client:
        await client.flushall()
    await counters.draw([Draw("r", 60, 1)])
    assert counters.refused is not None
    await counters.mended()
    assert await spent(counters) == Balance(0, 40)


async def test_process_that_makes_no_call_tells_valkey_its_holds_again(
    start: Start, server: Server
) -> None:
    counters = await ready(start(watch_s=0.01))
    await counters.admit(ask("1", 40))
    async with Valkey.from_url(server.url) as client:
        await client.flushall()
    # It may be away for a moment only, so the hold itself is awaited: nothing else brings it back.
    async with asyncio.timeout(20):
        while await spent_or_away(counters) != Balance(0, 40):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_living_process_learns_the_settlements_of_a_dead_one_from_the_ledger(
    start: Start, server: Server, ledger: Ledger
) -> None:
    ledger.record(Settlement("0", {M: 20}))
    counters = await ready(start())
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(CountersAwayError):
        await counters.admit(ask("1", 1))
    # Another process records this settlement and is killed.
    ledger.record(Settlement("2", {M: 30}))
    async with asyncio.timeout(5):
        while not counters._outage:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    os.kill(server.pid, signal.SIGCONT)
    await counters.mended()
    assert await spent(counters) == Balance(50, 0)
    assert await counters.admit(ask("3", 51)) == Exceeded(0)


async def test_ask_that_is_cut_off_holds_nothing(start: Start) -> None:
    counters = await ready(start())
    for moment in range(30):
        task = asyncio.create_task(counters.admit(ask(f"{moment}", 1)))
        for _ in range(moment):
            await asyncio.sleep(0)
        task.cancel()
        (answer,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(answer, Granted):
            await counters.settle(Settlement(f"{moment}", {}))
    await counters.mended()
    assert await spent(counters) == Balance(0, 0)
