"""The official SDK at a limit, with the retries that it has by default."""

import asyncio
import time
from pathlib import Path

import anthropic
import pytest

from antiphon.store.database.database import sqlite_url
from support.processes import KEY, run, serving
from support.servers import configure, environ, recorded

pytestmark = pytest.mark.anyio

CLIENTS = 24
EACH = 11
LIMIT = 240  # four a second, after the first 240


@pytest.mark.covers("headers: retry-after", "effect")
async def test_no_call_fails_while_the_limit_is_saturated(tmp_path: Path) -> None:
    configure(tmp_path, more=f"limits.requests_per_minute = {LIMIT}\n")
    retries: list[int] = []

    async def work(client: anthropic.AsyncAnthropic) -> None:
        for _ in range(EACH):
            answer = await client.messages.with_raw_response.create(
                model="claude-opus-5-5",
                max_tokens=16,
                messages=[{"role": "user", "content": "Hi"}],
            )
            assert (await answer.parse()).usage.output_tokens == 4
            retries.append(answer.retries_taken)

    with serving(tmp_path, environ=environ()) as program:
        began = time.monotonic()
        async with anthropic.AsyncAnthropic(base_url=program.url, api_key=KEY) as client:
            await asyncio.gather(*(work(client) for _ in range(CLIENTS)))
        lasted = time.monotonic() - began
        assert program.stop() == 0
    assert (
        len(retries) == CLIENTS * EACH == len(await recorded(sqlite_url(tmp_path / "antiphon.db")))
    )
    # Some calls had to wait, each at most once, and the limit held.
    assert set(retries) == {0, 1}
    assert LIMIT + lasted * LIMIT / 60 >= CLIENTS * EACH


def test_second_server_on_a_data_folder_does_not_start(tmp_path: Path) -> None:
    configure(tmp_path)
    with serving(tmp_path, environ=environ()) as first:
        second = run(tmp_path, "serve", "--port", "0", **environ())
    assert second.returncode == 1
    assert f"another server (process {first.process.pid} on " in second.stderr
    assert f"uses the data folder {tmp_path}" in second.stderr
    assert "set counters_url" in second.stderr
    with serving(tmp_path, environ=environ()):
        pass
