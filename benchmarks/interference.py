"""What interactive requests lose by a batch on the local model, and what the batch gets done.

In turns: some interactive requests with pauses while no batch is there, then as many while a batch
has work for longer than that. Their prompts are equally long, and none is cached. The times of two
turns differ by what else the machine does; how long batch work went on after an interactive request
had come, the server knows itself.
"""

import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import uvloop

from benchmarks.answers import timed
from benchmarks.report import Figure, Goal, command, finish, positive
from benchmarks.servers import HEADERS, HOST, MESSAGES, Server, antiphon, default_weights

BATCHES = f"{MESSAGES}/batches"
PASSAGE = "The choir sings a line, and the other side of the church answers it. "
QUESTION = "Count from one to one hundred, in words."
WITHIN = 1.05

_NUMBERS = count(100_000)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked for.

    In each turn of each round `asked` interactive requests, each after `pause_s`; prompts have so
    many `sentences`, those of a batch `batch_sentences` and answers of `tokens`.
    """

    rounds: int = 3
    asked: int = 8
    pause_s: float = 4.0
    sentences: int = 4
    batch_requests: int = 400
    batch_sentences: int = 12
    tokens: int = 60


QUICK = Size(1, 2, 2.5, 1, 20, 1, 4)


@dataclass(slots=True)
class Side:
    """Milliseconds to the first tokens, and what batches got done beside."""

    first_ms: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    seconds: float = 0.0


def measure(weights: Path | None, size: Size, batch: int | None = None) -> list[Figure]:
    """Load the model and take turns. `batch` is the setting of the engine with this name."""
    with TemporaryDirectory(prefix="antiphon-bench-") as folder:
        settings = {
            "ANTIPHON_ENGINE": "llama",
            "ANTIPHON_MODEL": str(weights or default_weights()),
        }
        if batch is not None:
            settings["ANTIPHON_LLAMA_BATCH"] = str(batch)
        with antiphon(Path(folder), settings) as server:
            return uvloop.run(_measure(server, size))


async def _measure(server: Server, size: Size) -> list[Figure]:
    alone, beside = Side(), Side()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        f"http://{HOST}:{server.port}", timeout=timeout, headers=HEADERS
    ) as session:
        await _interactive(session, size)  # warms up
        for _ in range(size.rounds):
            await _turn(session, size, alone)
            batch_id = await _begin(session, size)
            began = asyncio.get_running_loop().time()
            await _turn(session, size, beside)
            beside.seconds += asyncio.get_running_loop().time() - began
            beside.tokens.append(await _end(session, batch_id))
            print(f"alone {alone.p50_ms}, beside {beside.p50_ms} ms", file=sys.stderr, flush=True)
        async with session.get("/ready") as response:
            [use] = (await response.json())["batches"].values()
    return [*_figures(alone, beside), *_delays(use)]


def _delays(use: dict[str, Any]) -> list[Figure]:
    told = f"of {use['delayed']} interactive requests"
    mean = use["delay_ms"] / max(1, use["delayed"])
    return [
        Figure("batch work had stopped after: mean", "ms", (mean,), ratio=told),
        Figure("batch work had stopped after: longest", "ms", (use["longest_delay_ms"],)),
    ]


def _figures(alone: Side, beside: Side) -> list[Figure]:
    ratios = tuple(two / one for one, two in zip(alone.p50_ms, beside.p50_ms, strict=True))
    p99 = _p99(beside.first_ms) / _p99(alone.first_ms)
    return [
        Figure("first token without a batch: p50", "ms", tuple(alone.p50_ms)),
        Figure("first token beside a batch: p50", "ms", tuple(beside.p50_ms)),
        Figure("p50 beside a batch, of that without", "times", ratios, Goal(most=WITHIN)),
        Figure("first token without a batch: p99", "ms", (_p99(alone.first_ms),)),
        Figure("first token beside a batch: p99", "ms", (_p99(beside.first_ms),)),
        Figure("p99 beside a batch, of that without", "times", (p99,), Goal(most=WITHIN)),
        Figure("output tokens of the batch meanwhile", "", tuple(beside.tokens)),
        Figure("the same", "/s", (sum(beside.tokens) / beside.seconds,)),
    ]


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[int(0.99 * len(times))]


async def _turn(session: aiohttp.ClientSession, size: Size, side: Side) -> None:
    times = []
    for _ in range(size.asked):
        await asyncio.sleep(size.pause_s)
        times.append(await _interactive(session, size))
    side.first_ms += times
    side.p50_ms.append(statistics.median(times))


async def _interactive(session: aiohttp.ClientSession, size: Size) -> float:
    body = {**_params(size.sentences, 4), "stream": True}
    answer = await timed(
        session.post(MESSAGES, json=body), lambda event: event["type"] == "content_block_delta"
    )
    return answer.first_ms


def _params(sentences: int, tokens: int) -> dict[str, Any]:
    prompt = f"Number {next(_NUMBERS)}. {PASSAGE * sentences}{QUESTION}"
    message = {"role": "user", "content": prompt}
    return {"model": "claude-local", "max_tokens": tokens, "messages": [message]}


async def _begin(session: aiohttp.ClientSession, size: Size) -> str:
    requests = [
        {"custom_id": f"r{number}", "params": _params(size.batch_sentences, size.tokens)}
        for number in range(size.batch_requests)
    ]
    async with session.post(BATCHES, json={"requests": requests}) as response:
        response.raise_for_status()
        return str((await response.json())["id"])


async def _end(session: aiohttp.ClientSession, batch_id: str) -> int:
    """Cancel a batch and wait for its end; return the output tokens of its results."""
    one = f"{BATCHES}/{batch_id}"
    async with session.post(f"{one}/cancel") as response:
        response.raise_for_status()
    while True:
        async with session.get(one) as response:
            if (await response.json())["processing_status"] == "ended":
                break
        await asyncio.sleep(0.2)
    tokens = 0
    async with session.get(f"{one}/results") as response:
        async for line in response.content:
            result = json.loads(line)["result"]
            if result["type"] == "succeeded":
                tokens += result["message"]["usage"]["output_tokens"]
    return tokens


def main() -> None:
    """Measure, print, keep."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--weights", type=Path, metavar="FILE", help="a GGUF file of your own")
    parser.add_argument("--batch", type=positive, help="tokens of prompts that are read at once")
    options = parser.parse_args()
    size = QUICK if options.quick else Size(options.rounds)
    finish(measure(options.weights, size, options.batch), options)


if __name__ == "__main__":
    main()
