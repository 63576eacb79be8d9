"""One SDK at one task, in a process of its own.

`python -m benchmarks.sdk_worker SDK TASK URL COUNT` prints what a task cost as JSON: processor and
wall seconds, and the memory of the process. The SDKs have the same names for the same things, so
each task is written once.
"""

import asyncio
import gc
import importlib
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
import psutil
import uvloop

ASKED: Final[dict[str, Any]] = {
    "model": "constant",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Say something."}],
}
KEY: Final = "sk-of-nobody"
LONGEST_S: Final = 300.0


class Cost(msgspec.Struct):
    """What a task cost. `things` is how many calls or events there were."""

    cpu_s: float
    wall_s: float
    things: int
    rss_mb: float = 0.0


def _client(sdk: Any, url: str) -> Any:
    return sdk.Client(api_key=KEY, base_url=url, max_retries=0)


def _async_client(sdk: Any, url: str) -> Any:
    # One bound for everything: by default, a thousand calls at once of the official SDK fail, as
    # connections are not made in 5 s.
    return sdk.AsyncClient(api_key=KEY, base_url=url, max_retries=0, timeout=LONGEST_S)


def call(sdk: Any, url: str, count: int) -> int:
    """Make calls one after the other."""
    client = _client(sdk, url)
    for _ in range(count):
        assert client.messages.create(**ASKED).content[0].text  # noqa: S101
    return count


def stream(sdk: Any, url: str, count: int) -> int:
    """Read the events of long streams."""
    client = _client(sdk, url)
    events = 0
    for _ in range(count):
        for event in client.messages.create(**ASKED, stream=True):
            events += event.type == "content_block_delta"
    return events


def text_stream(sdk: Any, url: str, count: int) -> int:
    """Read the texts of long streams, and the message at the end."""
    client = _client(sdk, url)
    pieces = 0
    for _ in range(count):
        with client.messages.stream(**ASKED) as opened:
            for _text in opened.text_stream:
                pieces += 1
            assert opened.get_final_message().content  # noqa: S101
    return pieces


async def async_call(sdk: Any, url: str, count: int) -> int:
    """Make calls one after the other, on a loop."""
    client = _async_client(sdk, url)
    for _ in range(count):
        await client.messages.create(**ASKED)
    return count


async def async_stream(sdk: Any, url: str, count: int) -> int:
    """Read the events of long streams, on a loop."""
    client = _async_client(sdk, url)
    events = 0
    for _ in range(count):
        async for event in await client.messages.create(**ASKED, stream=True):
            events += event.type == "content_block_delta"
    return events


async def concurrent_calls(sdk: Any, url: str, count: int) -> int:
    """Make so many calls at once."""
    client = _async_client(sdk, url)
    await asyncio.gather(*(client.messages.create(**ASKED) for _ in range(count)))
    return count


async def concurrent_streams(sdk: Any, url: str, count: int) -> int:
    """Read so many short streams at once."""
    client = _async_client(sdk, url)

    async def one() -> None:
        async with client.messages.stream(**ASKED) as opened:
            await opened.get_final_message()

    await asyncio.gather(*(one() for _ in range(count)))
    return count


BLOCKING: Final[dict[str, Callable[[Any, str, int], int]]] = {
    "call": call,
    "stream": stream,
    "text_stream": text_stream,
}
ASYNCHRONOUS: Final[dict[str, Callable[[Any, str, int], Coroutine[Any, Any, int]]]] = {
    "async_call": async_call,
    "async_stream": async_stream,
    "concurrent_calls": concurrent_calls,
    "concurrent_streams": concurrent_streams,
}


def cost_of(name: str, task: str, url: str, count: int) -> Cost:
    """Do a task once to warm up and once for the figures."""
    sdk = importlib.import_module(name)

    def do(amount: int) -> int:
        if task in BLOCKING:
            return BLOCKING[task](sdk, url, amount)
        return uvloop.run(ASYNCHRONOUS[task](sdk, url, amount))

    do(max(1, count // 10))
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    things = do(count)
    return Cost(
        cpu_s=time.process_time() - cpu,
        wall_s=time.perf_counter() - began,
        things=things,
        rss_mb=psutil.Process().memory_info().rss / 1e6,
    )


def main() -> None:
    """Do what the arguments say."""
    name, task, url, count = sys.argv[1:]
    print(msgspec.json.encode(cost_of(name, task, url, int(count))).decode())


if __name__ == "__main__":
    main()
