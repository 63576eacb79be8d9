"""Large and expensive requests leave the event loop to others while they are checked and read."""

import asyncio
import json
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from support.tool_changes import definition

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {"model": "claude-x", "max_tokens": 50}
USER = {"role": "user", "content": "Hi"}
# Each takes some 100,000 steps.
EXPENSIVE = {
    "type": "object",
    "properties": {
        f"p{n}": {
            "anyOf": [{"type": "string", "pattern": f"^[a-z]{{{n},{n + m}}}{m}$"} for m in range(9)]
        }
        for n in range(90)
    },
    "required": [f"p{n}" for n in range(90)],
}
PATTERNS = {
    "type": "object",
    "properties": {
        f"p{n}": {"type": "string", "pattern": "^" + "(a|b)" * 390 + str(n) + "$"}
        for n in range(10)
    },
    "additionalProperties": False,
}
TURNS = [USER, {"role": "assistant", "content": "Ho"}] * 4000
TEXT = "A sentence of a long document. " * 30_000


async def turns_during(request: Awaitable[Any]) -> int:
    """Return how often the event loop came to another task while the request was answered."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    counting = asyncio.create_task(count())
    await asyncio.sleep(0)
    await request
    counting.cancel()
    return turns


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        pytest.param(
            "/v1/messages",
            {
                "tools": [{"name": "t", "input_schema": EXPENSIVE}],
                "tool_choice": {"type": "tool", "name": "t"},
                "messages": [USER],
            },
            id="example of a forced tool",
        ),
        pytest.param(
            "/v1/messages",
            {
                "messages": [
                    USER,
                    {
                        "role": "system",
                        "content": [definition("t", strict=True, input_schema=PATTERNS)],
                    },
                ],
            },
            id="tool that a message defines",
        ),
        pytest.param(
            "/v1/messages",
            {
                "output_config": {"format": {"type": "json_schema", "schema": PATTERNS}},
                "messages": [USER],
            },
            id="schema of a structured output",
        ),
        pytest.param(
            "/v1/messages",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "document",
                                "source": {
                                    "type": "text",
                                    "media_type": "text/plain",
                                    "data": TEXT,
                                },
                                "citations": {"enabled": True},
                            }
                        ],
                    }
                ]
            },
            id="document with citations",
        ),
        pytest.param(
            "/v1/messages/count_tokens",
            {"messages": [{"role": "user", "content": TEXT * 8}]},
            id="count",
        ),
    ],
)
async def test_expensive_request_leaves_the_event_loop_to_others(
    client: Any, path: str, fields: dict[str, Any]
) -> None:
    app = await client(context_tokens=10**9)
    body = {**HELLO, **fields} if path == "/v1/messages" else {"model": "claude-x", **fields}
    # A blocked loop has three turns, a busy machine few.
    assert await turns_during(app.post(path, body)) > 5


async def test_work_for_many_turns_is_done_in_threads(client: Any) -> None:
    app = await client(context_tokens=10**9)
    body = json.dumps({**HELLO, "messages": [*TURNS, USER]}).encode()
    # The first request of a server imports and compiles.
    await app.create()
    whole, own = time.process_time(), time.thread_time()
    await app.post("/v1/messages", body)
    # Of the processor's time, which does not depend on other programs, the event loop's thread has
    # the smaller part: it decodes the body, and does what each request needs.
    assert time.thread_time() - own < (time.process_time() - whole) / 2
