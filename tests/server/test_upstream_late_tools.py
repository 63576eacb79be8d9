"""Tools that are loaded late, in front of a server of the Claude API."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web

from support.tool_changes import addition, definition, removal
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

END = (
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":9}}}'
    b'\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":1}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)
SEARCH, LATE, OTHER = (
    {"name": name, "input_schema": {"type": "object"}} for name in ("search", "late", "other")
)
DEFERRED = {"defer_loading": True}
FOUND = {"type": "tool_reference", "tool_name": "late"}
TURNS = [
    {"role": "user", "content": "Which tools are there?"},
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}}],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [FOUND]}],
    },
]


@pytest.fixture
async def upstream() -> AsyncGenerator[FakeUpstream]:
    async def script(_request: web.Request) -> web.Response:
        return web.Response(body=END, content_type="text/event-stream")

    async with fake_upstream() as server:
        server.script = script
        yield server


@pytest.mark.parametrize(
    ("loads", "more", "found"),
    [(True, DEFERRED, FOUND), (False, {}, {"type": "text", "text": "Tool: late"})],
)
async def test_upstream_loads_late_tools_unless_its_options_say_no(
    upstream: FakeUpstream, gateway: Any, loads: bool, more: dict[str, Any], found: dict[str, Any]
) -> None:
    known = {"url": upstream.url, "model": "m", "context_tokens": 100_000, "count": "estimate"}
    client = await gateway(
        {
            "id": "up",
            "engine": "messages_api",
            "aliases": ["claude-*"],
            "options": {**known, "defer_loading": loads},
        }
    )
    tools = [SEARCH, LATE | DEFERRED, OTHER | DEFERRED]
    body = {"model": "claude-x", "max_tokens": 10, "tools": tools, "messages": TURNS}
    answer = await client.post("/v1/messages", body)
    assert answer.status == 200, answer.json
    sent = upstream.asked[-1][2]
    assert sent["tools"] == [SEARCH, LATE | more, OTHER | more]
    assert sent["messages"][-1]["content"][0]["content"] == [found]


CHANGES = [addition("late"), definition("new"), removal("search")]
NEW = {"name": "new", "description": "d", "input_schema": {"type": "object"}}


BETAS = "mid-conversation-tool-changes-2026-07-01,inline-tools-2026-09-15"
TEXTS = [
    {"type": "text", "text": "You can call this tool: late"},
    {"type": "text", "text": "You can call this tool: new"},
    {"type": "text", "text": "You can no longer call this tool: search"},
]
DECLARED = [SEARCH, LATE | DEFERRED, OTHER | DEFERRED]


@pytest.mark.parametrize(
    ("loads", "expected"),
    [(True, (DECLARED, CHANGES, BETAS)), (False, ([LATE, OTHER, NEW], TEXTS, None))],
)
async def test_changes_of_tools_reach_an_upstream_as_it_takes_them(
    upstream: FakeUpstream, gateway: Any, loads: bool, expected: tuple[Any, Any, str | None]
) -> None:
    known = {"url": upstream.url, "model": "m", "context_tokens": 100_000, "count": "estimate"}
    client = await gateway(
        {
            "id": "up",
            "engine": "messages_api",
            "aliases": ["claude-*"],
            "options": {**known, "defer_loading": loads},
        }
    )
    said = [TURNS[0], {"role": "system", "content": CHANGES}]
    body = {"model": "claude-x", "max_tokens": 10, "tools": DECLARED, "messages": said}
    answer = await client.post("/v1/messages", body)
    assert answer.status == 200, answer.json
    _, headers, sent = upstream.asked[-1]
    tools, changes, betas = expected
    assert sent["tools"] == tools
    assert sent["messages"][-1] == {"role": "system", "content": changes}
    assert headers.get("anthropic-beta") == betas


async def test_chat_completions_get_the_tools_of_the_end(
    upstream: FakeUpstream, gateway: Any
) -> None:
    known = {"url": upstream.url, "model": "m", "context_tokens": 100_000, "count": "estimate"}
    client = await gateway(
        {"id": "up", "engine": "chat_completions", "aliases": ["claude-*"], "options": known}
    )
    said = [TURNS[0], {"role": "system", "content": CHANGES}]
    body = {"model": "claude-x", "max_tokens": 10, "tools": [SEARCH, LATE | DEFERRED]}
    await client.post("/v1/messages", {**body, "messages": said})
    sent = upstream.asked[-1][2]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["late", "new"]
    assert sent["messages"][-1] == {
        "role": "system",
        "content": "You can call this tool: late\nYou can call this tool: new\n"
        "You can no longer call this tool: search",
    }
