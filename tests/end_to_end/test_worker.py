"""`antiphon worker` beside a server that leaves the batches to it, on PostgreSQL and Valkey."""

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from antiphon.store.database.database import Database, open_database
from support.asgi import HELLO
from support.batches import charged, stored_rows
from support.metrics import Metrics
from support.processes import run, serving, working
from support.servers import configure, environ
from support.valkey import Server

pytestmark = pytest.mark.anyio

REQUESTS = 6


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.close()


async def until_claimed(database: Database) -> None:
    async with asyncio.timeout(30):
        while (1,) not in await stored_rows(database, "state"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_worker_answers_what_servers_leave_and_gives_back_what_it_has_not_finished(
    tmp_path: Path, postgres_url: str, valkey: Server
) -> None:
    shared = environ(database_url=postgres_url, counters_url=valkey.url, workers="0")
    for name, speed in (("server", 0), ("slow", 1), ("fast", 0)):
        configure(tmp_path / name, speed=speed)
    lines = [{"custom_id": f"r{n}", "params": HELLO} for n in range(REQUESTS)]
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    database = await open_database(postgres_url)
    try:
        with serving(tmp_path / "server", environ=shared):
            made = await asyncio.to_thread(
                run, tmp_path / "server", "batches", "create", str(file), "--json", **shared
            )
            batch_id = json.loads(made.stdout)["id"]
            with working(tmp_path / "slow", environ=shared) as worker:
                assert "works on the batches of " in worker.output
                await until_claimed(database)
                assert await asyncio.to_thread(worker.stop, signal.SIGTERM) == 0
            # What ran was not tried: it was given back.
            rows = await stored_rows(database, "state", "tries", "worker")
            assert rows == [(0, 0, None)] * REQUESTS
            assert await charged(database) == []

            read = {**shared, **environ(metrics_listen="127.0.0.1:0")}
            with working(tmp_path / "fast", environ=read) as worker:
                watched = await asyncio.to_thread(
                    run, tmp_path / "server", "batches", "watch", batch_id, **shared
                )
                (url,) = re.findall(r"http://\S+/metrics", worker.output)
                metrics = Metrics((await asyncio.to_thread(httpx2.get, url)).text)
            assert f"has ended: {REQUESTS} succeeded, 0 errored" in watched.stdout
            answered = metrics.of("antiphon_answers_total")
            assert {number for labels, number in answered.items() if "completed" in labels} == {
                REQUESTS
            }
            assert len(await charged(database)) == REQUESTS
    finally:
        await database.aclose()


def test_worker_without_a_shared_database_says_what_it_needs(tmp_path: Path) -> None:
    refused = run(tmp_path, "worker", ANTIPHON_ENGINE="scripted")
    assert refused.returncode == 1
    assert "set database_url to the PostgreSQL database of the servers and counters_url" in (
        refused.stderr
    )
    half = run(tmp_path, "worker", ANTIPHON_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert "set counters_url to their Valkey server." in half.stderr
    assert "database_url to" not in half.stderr
