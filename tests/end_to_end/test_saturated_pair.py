"""The official SDK at a limit of two servers behind a balancer, which sends each try elsewhere."""

import asyncio
import time
from itertools import cycle
from pathlib import Path

import anthropic
import httpx2
import pytest

from support.processes import KEY, serving
from support.servers import configure, environ, recorded
from support.valkey import Server

# Also played in simulated time: the scenario `shared_retries` of tests/simulation.
pytestmark = [pytest.mark.anyio, pytest.mark.soak]

CLIENTS = 24
EACH = 11
LIMIT = 240  # four a second, after the first 240


class RoundRobin(httpx2.AsyncHTTPTransport):
    """Sends every request to the server that has waited longest for one."""

    def __init__(self, *urls: str) -> None:
        super().__init__()
        self._servers = cycle([httpx2.URL(url) for url in urls])

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        server = next(self._servers)
        request.url = request.url.copy_with(host=server.host, port=server.port)
        return await super().handle_async_request(request)


@pytest.mark.covers("headers: retry-after", "effect")
async def test_no_call_fails_while_the_limit_of_two_servers_is_saturated(
    tmp_path: Path, postgres_url: str, valkey: Server
) -> None:
    shared = environ(database_url=postgres_url, counters_url=valkey.url)
    for name in ("first", "second"):
        configure(tmp_path / name, more=f"limits.requests_per_minute = {LIMIT}\n")
    retries: list[int] = []

    async def work(client: anthropic.AsyncAnthropic) -> None:
        for _ in range(EACH):
            answer = await client.messages.with_raw_response.create(
                model="claude-opus-5-5",
                max_tokens=16,
                messages=[{"role": "user", "content": "Hi"}],
            )
            retries.append(answer.retries_taken)

    with (
        serving(tmp_path / "first", environ=shared) as first,
        serving(tmp_path / "second", environ=shared) as second,
    ):
        began = time.monotonic()
        balanced = anthropic.DefaultAsyncHttpxClient(transport=RoundRobin(first.url, second.url))
        async with anthropic.AsyncAnthropic(
            base_url=first.url, api_key=KEY, http_client=balanced
        ) as client:
            await asyncio.gather(*(work(client) for _ in range(CLIENTS)))
        lasted = time.monotonic() - began
        first.stop()
        second.stop()
    assert len(retries) == CLIENTS * EACH == len(await recorded(postgres_url))
    # Either server knows the retry slots that the other one has promised.
    assert set(retries) == {0, 1}
    assert LIMIT + lasted * LIMIT / 60 >= CLIENTS * EACH
