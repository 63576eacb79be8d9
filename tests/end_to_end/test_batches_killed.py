"""A server that is killed while it works on a batch, and started again: one result, one charge.

Real kills for each database. tests/simulation kills at every step, with many more faults.
"""

import asyncio
import json
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from support.processes import KEY, serving
from support.servers import (
    CUT,
    CUT_COST,
    Caller,
    configure,
    limit_spend,
    recorded,
    recorded_cost,
)

pytestmark = pytest.mark.anyio

KILLS = 2
REQUESTS = 300
TEXT = "one two three four five six"
HEADERS = {"x-api-key": KEY, "anthropic-version": "2026-10-21"}
# Longer than the lease of a worker that was killed.
PATIENCE_S = 120.0


def body() -> dict[str, Any]:
    message = {"role": "user", "content": "Hi"}
    params = {"model": "claude-x", "max_tokens": 20, "messages": [message]}
    return {"requests": [{"custom_id": f"r{at}", "params": params} for at in range(REQUESTS)]}


class Batch:
    """The batch, as the server at `url` shows it."""

    def __init__(self, client: httpx2.AsyncClient, url: str, path: str = "") -> None:
        self._client = client
        self._url = f"{url}/v1/messages/batches{path}"

    async def create(self) -> str:
        headers = {**HEADERS, "idempotency-key": "the batch"}
        answer = await self._client.post(self._url, json=body(), headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    async def finished(self) -> int:
        answer = await self._client.get(self._url, headers=HEADERS)
        counts = answer.json()["request_counts"]
        assert sum(counts.values()) == REQUESTS
        return REQUESTS - int(counts["processing"])

    async def until(self, number: int) -> int:
        """Wait until so many requests have a result; return how many have."""
        async with asyncio.timeout(PATIENCE_S):
            while (finished := await self.finished()) < number:  # noqa: ASYNC110 - no events
                await asyncio.sleep(0.02)
        return finished

    async def results(self) -> list[dict[str, Any]]:
        answer = await self._client.get(f"{self._url}/results", headers=HEADERS)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]


# A server on PostgreSQL is killed in test_killed.py.
@pytest.mark.sql_elsewhere
async def test_killed_batch_has_one_result_and_one_charge_for_each_request(
    tmp_path: Path, database: tuple[str, dict[str, str]]
) -> None:
    url, settings = database
    chance = random.Random(7)  # noqa: S311 - a failure has to come back
    configure(tmp_path, TEXT, speed=60)
    before = 0
    for _ in range(KILLS):
        with serving(tmp_path, environ=settings) as program:
            async with httpx2.AsyncClient(timeout=60) as client:
                # The batch that the first call made, and no other.
                batch_id = await Batch(client, program.url).create()
                batch = Batch(client, program.url, f"/{batch_id}")
                before = await batch.until(before + chance.randint(1, 40))
            assert program.stop(signal.SIGKILL) == -signal.SIGKILL
    assert before < REQUESTS
    with serving(tmp_path, environ=settings) as program:
        async with httpx2.AsyncClient(timeout=60) as client:
            batch = Batch(client, program.url, f"/{batch_id}")
            await batch.until(REQUESTS)
            lines = await batch.results()
            told = Counter(line["custom_id"] for line in lines)
            assert told == Counter(f"r{at}" for at in range(REQUESTS))
            assert {line["result"]["type"] for line in lines} == {"succeeded"}
            rows = await recorded(url)
            assert len(rows) == REQUESTS
            assert {row["batch_id"] for row in rows} == {batch_id}
            output = sum(line["result"]["message"]["usage"]["output_tokens"] for line in lines)
            spent = await recorded_cost(url)
            assert spent == (REQUESTS * 5 * 3_000 + output * 15_000) // 2

            # The counters have each charge once: as much as fits is served, and no more.
            caller = Caller(client, program.url)
            await limit_spend(client, program.url, spent + 3 * CUT_COST)
            answers = await caller.many(10, **CUT)
            assert sorted(answer.status for answer in answers) == [200] * 3 + [400] * 7
        assert program.stop() == 0
    assert await recorded_cost(url) == spent + 3 * CUT_COST
