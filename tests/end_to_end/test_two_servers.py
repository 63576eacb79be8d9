"""Two servers of one organization, each with its own data folder: their limits are the same.

The tests marked `soak` are also played in simulated time, with many more faults: the scenarios
`two_servers`, `counters_away` and `counters_forget` of tests/simulation.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from valkey.asyncio import Valkey

from support.processes import PATIENCE_S, Program, run, serving
from support.servers import (
    CUT,
    CUT_COST,
    Caller,
    Told,
    administer,
    configure,
    environ,
    limit_spend,
    recorded,
    recorded_cost,
)
from support.valkey import Server

pytestmark = pytest.mark.anyio

REMAINING = "anthropic-ratelimit-requests-remaining"


@dataclass
class Pair:
    """Two running servers, and what they share."""

    folder: Path
    database_url: str
    valkey: Server
    more: str = ""
    text: str = "One two three"
    speed: int = 0

    @contextmanager
    def serving(self, name: str) -> Iterator[Program]:
        folder = self.folder / name
        configure(folder, self.text, self.speed, self.more)
        shared = environ(database_url=self.database_url, counters_url=self.valkey.url)
        with serving(folder, environ=shared) as program:
            yield program

    async def end_leases(self) -> None:
        """End all leases at once; they last longer than a test can wait."""
        async with Valkey.from_url(self.valkey.url) as client:
            (leases,) = await client.keys("*:leases")
            names = await client.zrange(leases, 0, -1)
            assert names
            await client.zadd(leases, dict.fromkeys(names, 1))

    @contextmanager
    def both(self) -> Iterator[tuple[Program, Program]]:
        with ExitStack() as stack:
            yield (
                stack.enter_context(self.serving("first")),
                stack.enter_context(self.serving("second")),
            )


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    server = Server(folder)
    yield server
    server.close()


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str, own_valkey: Server) -> Pair:
    return Pair(tmp_path, postgres_url, own_valkey)


@pytest.fixture
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=60) as client:
        yield client


def served(answers: list[Told]) -> int:
    return sum(answer.status == 200 for answer in answers)


async def together(*callers: Caller, number: int = 60) -> list[Told]:
    found = await asyncio.gather(*(caller.many(number, **CUT) for caller in callers))
    return [answer for answers in found for answer in answers]


async def until_answered(caller: Caller, *statuses: int) -> None:
    """Ask until the server knows what another one has changed: PostgreSQL tells it a bit later."""
    async with asyncio.timeout(PATIENCE_S):
        while (await caller.create(**CUT)).status not in statuses:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@pytest.mark.alone  # it counts what is answered in a time, and a slow Valkey server refuses
async def test_limits_are_shared_and_keys_are_revoked_everywhere(
    pair: Pair, client: httpx2.AsyncClient
) -> None:
    pair.more = "limits.requests_per_minute = 30\n"
    with pair.both() as (first, second):
        callers = [Caller(client, first.url), Caller(client, second.url)]
        left = [int((await callers[n % 2].create(**CUT)).headers[REMAINING]) for n in range(6)]
        assert left == sorted(left, reverse=True)
        assert left[0] - left[-1] in {4, 5}

        began = time.monotonic()
        answers = await together(*callers, number=20)
        possible = 30 + (time.monotonic() - began) / 2
        assert 24 <= served(answers) <= possible
        assert {answer.status for answer in answers} == {200, 429}

        made = await administer(client, first.url, "/api_keys", {"name": "guest"})
        guest = Caller(client, second.url, made["secret"])
        await until_answered(guest, 200, 429)
        await administer(client, first.url, f"/api_keys/{made['id']}", {"status": "archived"})
        await until_answered(guest, 401)


@pytest.mark.soak
async def test_spend_limit_holds_for_both_together(pair: Pair, client: httpx2.AsyncClient) -> None:
    pair.speed = 500
    with pair.both() as (first, second):
        callers = [Caller(client, first.url), Caller(client, second.url)]
        await limit_spend(client, first.url, 41 * CUT_COST + 1)
        assert served(await together(*callers)) == 41
        first.stop()
        second.stop()
    assert await recorded_cost(pair.database_url) == 41 * CUT_COST


@pytest.mark.soak
async def test_killed_server_leaves_nothing_held_when_it_is_back(
    pair: Pair, client: httpx2.AsyncClient
) -> None:
    pair.text, pair.speed = "word " * 99, 20
    worst = 5 * 3_000 + 100 * 15_000
    with pair.serving("first") as first:
        await limit_spend(client, first.url, 5 * worst)
        with pair.serving("second") as second:
            killed = Caller(client, second.url)
            told = [Told() for _ in range(5)]
            running = [
                asyncio.create_task(killed.until_killed(one, stream=True, max_tokens=100))
                for one in told
            ]
            while not all(one.output_tokens for one in told):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            second.stop(signal.SIGKILL)
            await asyncio.gather(*running)
        # What it held is held until its lease is over or it is back: there is room for nothing.
        waiting = asyncio.create_task(Caller(client, first.url).create(max_tokens=100, stream=True))
        await asyncio.sleep(0)
        with pair.serving("second"):
            assert (await waiting).status == 200
    rows = {row["id"]: row for row in await recorded(pair.database_url)}
    for one in told:
        assert rows[one.request_id]["outcome"] == "interrupted"
        assert rows[one.request_id]["output_tokens"] >= one.output_tokens
    assert await recorded_cost(pair.database_url) <= 5 * worst


@pytest.mark.soak
async def test_holds_of_a_dead_server_are_released_when_their_lease_is_over(
    pair: Pair, client: httpx2.AsyncClient
) -> None:
    pair.text, pair.speed, pair.more = "word " * 99, 50, "limits.spend_wait_s = 0.2\n"
    worst = 5 * 3_000 + 100 * 15_000
    with pair.serving("first") as first:
        living = Caller(client, first.url)
        await limit_spend(client, first.url, 3 * worst)
        with pair.serving("second") as second:
            killed = Caller(client, second.url)
            told = [Told() for _ in range(3)]
            running = [
                asyncio.create_task(killed.until_killed(one, stream=True, max_tokens=100))
                for one in told
            ]
            while not all(one.output_tokens for one in told):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            second.stop(signal.SIGKILL)
            await asyncio.gather(*running)
        assert (await living.create(max_tokens=100)).status == 529
        await pair.end_leases()
        # It never comes back. All that it held may be spent, and not a token more at once.
        answers = await living.many(6, max_tokens=100)
        assert sorted(answer.status for answer in answers) == [200] * 3 + [529] * 3
        first.stop()


@pytest.mark.soak
async def test_requests_are_refused_while_valkey_is_away_and_served_when_it_is_back(
    pair: Pair, client: httpx2.AsyncClient
) -> None:
    pair.more = "limits.requests_per_minute = 6000\n"
    with pair.both() as (first, second):
        callers = [Caller(client, first.url), Caller(client, second.url)]
        await limit_spend(client, first.url, 20 * CUT_COST)
        assert served(await together(*callers, number=3)) == 6
        pair.valkey.stop()
        refused = await together(*callers, number=10)
        assert {answer.status for answer in refused} == {529}
        pair.valkey.start()
        for caller in callers:
            await until_served(caller)
        answers = await together(*callers, number=20)
        assert {answer.status for answer in answers} == {200, 400}
        assert served(answers) == 20 - 6 - 2
        first.stop()
        second.stop()
    assert await recorded_cost(pair.database_url) == 20 * CUT_COST


def refused(folder: Path, **shared: str) -> str:
    """Start a server that is expected to end at once; return what it says."""
    configure(folder)
    done = run(folder, "serve", "--port", "0", **environ(**shared))
    assert done.returncode == 1
    return done.stderr


@pytest.mark.soak
async def test_second_server_with_counters_of_its_own_does_not_start(
    pair: Pair, client: httpx2.AsyncClient
) -> None:
    alone, shared = {"database_url": pair.database_url}, {"counters_url": pair.valkey.url}
    configure(pair.folder / "first")
    with serving(pair.folder / "first", environ=environ(**alone)) as first:
        for more in ({}, shared):
            said = refused(pair.folder / "second", **alone, **more)
            assert "another server uses this database" in said
            assert "set counters_url to the same Valkey server on both" in said
        assert (await Caller(client, first.url).create(**CUT)).status == 200
        first.stop(signal.SIGKILL)
    # Nothing is left of a server that was killed.
    with pair.serving("first"):
        assert "another server uses this database" in refused(pair.folder / "second", **alone)


@pytest.mark.soak  # `tests/simulation` shows the same in `two_servers` and `counters_away`
async def test_bills_that_a_killed_server_could_not_deliver_count_when_it_is_back(
    pair: Pair, client: httpx2.AsyncClient
) -> None:
    pair.speed = 2
    with pair.serving("first") as first:
        caller = Caller(client, first.url)
        await limit_spend(client, first.url, 20 * CUT_COST)
        told = [Told() for _ in range(7)]
        running = [asyncio.create_task(caller.create(one, stream=True, **CUT)) for one in told]
        while not all(one.output_tokens for one in told):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        # Valkey is away while they end, and has forgotten nothing afterwards.
        os.kill(pair.valkey.pid, signal.SIGSTOP)
        assert served(await asyncio.gather(*running)) == 7
        while len(await recorded(pair.database_url)) < 7:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        first.stop(signal.SIGKILL)
    os.kill(pair.valkey.pid, signal.SIGCONT)
    with pair.serving("first") as first:
        answers = await Caller(client, first.url).many(30, **CUT)
        assert served(answers) == 13
        first.stop()
    assert await recorded_cost(pair.database_url) == 20 * CUT_COST


async def until_served(caller: Caller) -> None:
    """Ask until the first answer: it is one more that is paid."""
    while (await caller.create(**CUT)).status == 529:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)
