"""A polite client: small requests at a steady rate, whose answers are checked and timed."""

import asyncio
import json
import time
from dataclasses import dataclass, field

import httpx2

from support.processes import KEY
from support.servers import Caller

RATE = 20
TOKENS = 20


@dataclass
class Politeness:
    """What the polite client was told, and the seconds that each request took."""

    took_s: list[float] = field(default_factory=list)
    told: dict[str, tuple[int, int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Return the time in milliseconds that this share of the requests did not exceed."""
        times = sorted(self.took_s)
        return 1000 * times[min(len(times) - 1, int(share * len(times)))]


async def be_polite(url: str, seconds: float) -> Politeness:
    """Send `RATE` requests a second, half of them streams.

    A request is timed from the moment at which it was due, so that one that waits for another
    counts in full.
    """
    found = Politeness()
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=RATE)
    async with httpx2.AsyncClient(timeout=60, limits=limits) as client:
        caller = Caller(client, url, KEY)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(round(seconds * RATE)):
                due = began + number / RATE
                await asyncio.sleep(max(0, due - time.perf_counter()))
                tasks.create_task(_ask(caller, found, number, due))
    return found


async def _ask(caller: Caller, found: Politeness, number: int, due: float) -> None:
    try:
        told = await caller.create(max_tokens=TOKENS, stream=number % 2 == 0)
    except (httpx2.HTTPError, json.JSONDecodeError) as error:
        found.failures.append(f"request {number}: {error!r}")
        return
    found.took_s.append(time.perf_counter() - due)
    if told.status != 200 or not told.whole or told.output_tokens != TOKENS:
        found.failures.append(f"request {number}: {told}")
    found.told[told.request_id] = (told.input_tokens, told.output_tokens)
