"""A server that is killed while it answers, and started again: nothing is lost, and all is paid.

One real kill for each store. tests/simulation kills at every step, with many more faults; that keys
survive is also shown by tests/end_to_end/test_serve.py.
"""

import asyncio
import random
import signal
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from antiphon.store.database.database import sqlite_url
from support.processes import run_json, serving
from support.servers import (
    CUT,
    CUT_COST,
    Caller,
    Told,
    configure,
    environ,
    limit_spend,
    recorded,
    recorded_cost,
)

pytestmark = pytest.mark.anyio

# After how many answers each server is killed.
KILLS = (14, 40, 25, 63)
AT_ONCE = 40
PATIENCE_S = 120.0
TEXT = "one two three " * 10


async def live(
    url: str, chance: random.Random, enough: Callable[[list[Told]], bool], end: Callable[[], None]
) -> list[Told]:
    """Send many requests of every kind; end the server once enough is told."""
    told: list[Told] = []

    async def keep_asking(caller: Caller, number: int) -> None:
        while True:
            noted = Told()
            told.append(noted)
            stream = number % 3 > 0
            await caller.until_killed(noted, stream=stream, max_tokens=chance.randint(1, 100))
            if not noted.whole:
                return

    async def look() -> None:
        while not enough(told):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        end()

    async with httpx2.AsyncClient(timeout=60) as client, asyncio.timeout(PATIENCE_S):
        caller = Caller(client, url)
        asking = (keep_asking(caller, number) for number in range(AT_ONCE))
        await asyncio.gather(look(), *asking)
    return [noted for noted in told if noted.status == 200]


def whole(told: list[Told]) -> int:
    return sum(noted.whole for noted in told)


async def test_answered_requests_are_in_the_ledger_once_and_count_after_a_kill(
    tmp_path: Path, database: tuple[str, dict[str, str]]
) -> None:
    url, settings = database
    chance = random.Random(7)  # noqa: S311 - a failure has to come back
    configure(tmp_path, TEXT, speed=100)
    told: list[Told] = []
    for answers in KILLS:

        def enough(told: list[Told], answers: int = answers) -> bool:
            return whole(told) >= answers

        with serving(tmp_path, environ=settings) as program:
            told += await live(program.url, chance, enough, program.process.kill)
            assert program.wait() == -signal.SIGKILL

    assert whole(told) >= sum(KILLS)
    assert len(told) - whole(told) > len(KILLS)
    with serving(tmp_path, environ=settings) as program:
        rows = {row["id"]: row for row in await recorded(url)}
        for noted in told:
            row = rows[noted.request_id]
            if noted.whole:
                # The kill may come between the last byte and the end of the entry.
                assert row["outcome"] in {"completed", "interrupted"}
                assert row["output_tokens"] == noted.output_tokens
            assert row["output_tokens"] >= noted.output_tokens
            assert row["input_tokens"] == 5
            assert row["cost"] == 5 * 3_000 + row["output_tokens"] * 15_000

        # What was spent before counts: as much as fits is served, and no more.
        spent = await recorded_cost(url)
        async with httpx2.AsyncClient(timeout=60) as client:
            caller = Caller(client, program.url)
            await limit_spend(client, program.url, spent + 3 * CUT_COST)
            answers = await caller.many(10, **CUT)
            assert sorted(answer.status for answer in answers) == [200] * 3 + [400] * 7
        assert program.stop() == 0
    assert await recorded_cost(url) == spent + 3 * CUT_COST
    assert len(await recorded(url)) == len(rows) + 3


async def test_server_that_is_stopped_bills_what_it_cuts_off(tmp_path: Path) -> None:
    chance = random.Random(8)  # noqa: S311 - a failure has to come back
    configure(tmp_path, 4 * TEXT, speed=20)
    with serving(tmp_path, environ=environ(shutdown_grace_s="0")) as program:
        told = await live(
            program.url,
            chance,
            # Streams are cut in the middle.
            lambda told: any(noted.output_tokens and not noted.whole for noted in told),
            lambda: program.process.send_signal(signal.SIGTERM),
        )
        assert program.wait() == 0
    rows = {row["id"]: row for row in await recorded(sqlite_url(tmp_path / "antiphon.db"))}
    assert whole(told) < len(told)
    for noted in told:
        row = rows[noted.request_id]
        assert row["output_tokens"] >= noted.output_tokens
        assert row["outcome"] == ("completed" if noted.whole else "interrupted")


@pytest.mark.soak
async def test_keys_survive_kills(tmp_path: Path) -> None:
    configure(tmp_path)
    made = []
    for number in range(3):
        with serving(tmp_path, environ=environ()) as program:
            made.append(run_json(tmp_path, "keys", "create", f"key {number}"))
            program.stop(signal.SIGKILL)
    with serving(tmp_path, environ=environ()) as program:
        async with httpx2.AsyncClient(timeout=60) as client:
            for key in made:
                caller = Caller(client, program.url, key["secret"])
                assert (await caller.create()).status == 200
