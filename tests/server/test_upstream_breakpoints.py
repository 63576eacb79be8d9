"""Breakpoints of the prompt cache reach a server of the Claude API behind this one."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from support.asgi import Client
from support.marked_requests import MarkedRequest, prefixes
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

END = (
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":9}}}'
    b'\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":1}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)


@pytest.fixture
async def upstream() -> AsyncGenerator[FakeUpstream]:
    async def script(request: web.Request) -> web.Response:
        if request.path.endswith("/count_tokens"):
            return web.json_response({"input_tokens": 9})
        return web.Response(body=END, content_type="text/event-stream")

    async with fake_upstream() as server:
        server.script = script
        yield server


@pytest.fixture
async def client(upstream: FakeUpstream, gateway: Callable[..., Awaitable[Client]]) -> Client:
    options = {"url": upstream.url, "model": "m", "context_tokens": 100_000, "images": True}
    return await gateway(
        {"id": "up", "engine": "messages_api", "aliases": ["claude-*"], "options": options}
    )


async def asked(client: Client, upstream: FakeUpstream, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post("/v1/messages", body)
    assert answer.status == 200, answer.json
    sent: dict[str, Any] = upstream.asked[-1][2]
    return sent


@pytest.mark.covers("parameters: cache_control", "effect")
async def test_every_breakpoint_reaches_the_upstream_behind_the_same_content(
    client: Client, upstream: FakeUpstream
) -> None:
    for seed in range(40):
        marked = MarkedRequest(seed)
        sent = await asked(client, upstream, marked.body)
        said = [sent.get("tools", []), sent.get("system", []), sent["messages"]]
        assert prefixes(said, marked.meanings) == marked.prefixes, seed
        assert "cache_control" not in sent


@pytest.mark.parametrize("mark", [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
async def test_automatic_breakpoint_is_sent_on_the_last_block_with_its_lifetime(
    client: Client, upstream: FakeUpstream, mark: dict[str, Any]
) -> None:
    said = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    body = {
        "model": "claude-x",
        "max_tokens": 10,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": said}],
        "cache_control": mark,
    }
    sent = await asked(client, upstream, body)
    assert sent["messages"][0]["content"] == [said[0], {**said[1], "cache_control": mark}]
    assert sent["system"] == [{"type": "text", "text": "Be brief."}]


async def test_breakpoints_on_tools_system_and_messages_are_sent_upstream(
    client: Client, upstream: FakeUpstream
) -> None:
    short, long = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
    plain = {"type": "text", "media_type": "text/plain", "data": "Plain."}
    body = {
        "model": "claude-x",
        "max_tokens": 10,
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": long}],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": long}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "document", "source": plain, "cache_control": long},
                    {"type": "text", "text": "What does it say?"},
                ],
            }
        ],
        "cache_control": {"type": "ephemeral"},
    }
    sent = await asked(client, upstream, body)
    assert sent["tools"][0]["cache_control"] == long
    assert sent["system"] == [{"type": "text", "text": "Be brief.", "cache_control": long}]
    document, question = sent["messages"][0]["content"]
    assert document == {
        "type": "text",
        "text": "<document>\nPlain.\n</document>",
        "cache_control": long,
    }
    assert question == {"type": "text", "text": "What does it say?", "cache_control": short}
