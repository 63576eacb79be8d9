"""What a small call costs the interpreter, which no other work on the machine changes."""

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from threading import Thread
from types import CodeType, FrameType
from typing import Any

import msgspec
import pytest
import uvloop

import antiphon
from antiphon.sdk.environment import Environment
from benchmarks.traced import stepping
from support.raw_server import answering, raw_server
from support.sdk import events_of, frames, message_json

MOST_STEPS = 2000
"""A call took 3,700 before its headers were made once and its answer's were left as bytes."""
MOST_STEPS_OF_A_STREAM = 6800
"""One of ten pieces took 10,000."""
MOST_CALLS = 85
CALLS = 5
ASKED: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
# As many headers as a server of the API sends: they should cost nothing until they are asked for.
MORE = b"".join(b"x-of-the-server-%d: some value\r\n" % number for number in range(12))
MORE += b"request-id: req_1\r\n"


class Cost:
    """Counts what the interpreter does in this thread."""

    def __init__(self) -> None:
        self.steps: Counter[CodeType] = Counter()
        self.calls = 0

    def __enter__(self) -> None:
        sys.settrace(self._called)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        if event != "call":
            return None
        self.calls += 1
        return stepping(frame, self.steps, frame.f_code)


def blocking(url: str, cost: Cost) -> None:
    with antiphon.Client(api_key="k", base_url=url, environment=Environment()) as client:
        client.messages.create(**ASKED)
        with cost:
            for _ in range(CALLS):
                client.messages.create(**ASKED)


def streaming(url: str, cost: Cost) -> None:
    with antiphon.Client(api_key="k", base_url=url, environment=Environment()) as client:
        for number in range(CALLS + 1):
            with cost if number else nullcontext(), client.messages.stream(**ASKED) as stream:
                stream.get_final_message()


async def ask(url: str, cost: Cost) -> None:
    async with antiphon.AsyncClient(api_key="k", base_url=url, environment=Environment()) as client:
        await client.messages.create(**ASKED)
        with cost:
            for _ in range(CALLS):
                await client.messages.create(**ASKED)


def on_loop(url: str, cost: Cost) -> None:
    uvloop.run(ask(url, cost))


@pytest.mark.parametrize("make", [blocking, on_loop])
def test_small_call_takes_few_steps(make: Callable[[str, Cost], None]) -> None:
    cost = cost_of(make, b"application/json", msgspec.json.encode(message_json()))
    assert 0 < sum(cost.steps.values()) / CALLS < MOST_STEPS
    assert cost.calls / CALLS < MOST_CALLS


def test_short_stream_takes_few_steps() -> None:
    cost = cost_of(streaming, b"text/event-stream", frames(events_of(*["piece "] * 10)))
    assert 0 < sum(cost.steps.values()) / CALLS < MOST_STEPS_OF_A_STREAM


def cost_of(make: Callable[[str, Cost], None], kind: bytes, body: bytes) -> Cost:
    """Return what answers with this body cost."""
    head = b"HTTP/1.1 200 OK\r\n%bcontent-type: %b\r\ncontent-length: %d\r\n\r\n"
    cost = Cost()
    with raw_server(answering(head % (MORE, kind, len(body)) + body)) as server:
        # A trace is of one thread, and this one may be traced by whoever runs the tests.
        thread = Thread(target=make, args=(server.url, cost))
        thread.start()
        thread.join()
    return cost
