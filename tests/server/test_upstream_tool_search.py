"""A search of tools by this server, in front of servers that have none."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web

from support.tool_search import LOOK, QUESTION, REGEX, SEARCH, TOOLS
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

CALLS = (SEARCH, LOOK)
NAMES = [tool["name"] for tool in TOOLS]


def event(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


def messages_stream(call: dict[str, Any], number: int) -> str:
    """Return an answer with one call, whose prompt has so many tokens."""
    block = {"type": "tool_use", "id": f"toolu_{number}", "name": call["name"], "input": {}}
    delta = {"type": "input_json_delta", "partial_json": json.dumps(call["input"])}
    return "".join(
        (
            event("message_start", message={"usage": {"input_tokens": number}}),
            event("content_block_start", index=0, content_block=block),
            event("content_block_delta", index=0, delta=delta),
            event("content_block_stop", index=0),
            event(
                "message_delta",
                delta={"stop_reason": "tool_use"},
                usage={"input_tokens": number, "output_tokens": 3},
            ),
            event("message_stop"),
        )
    )


def chat_stream(call: dict[str, Any], number: int) -> str:
    function = {"name": call["name"], "arguments": json.dumps(call["input"])}
    made = {"index": 0, "id": f"call{number}", "type": "function", "function": function}
    usage = {"prompt_tokens": number, "completion_tokens": 3}
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [made]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": usage},
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


@pytest.fixture
async def upstream() -> AsyncGenerator[FakeUpstream]:
    """Searches first, and then calls what was found; its prompts have 10 and 20 tokens."""
    async with fake_upstream() as server:

        async def script(request: web.Request) -> web.Response:
            number = len(server.asked) - 1
            stream = chat_stream if request.path.endswith("/completions") else messages_stream
            body = stream(CALLS[number], 10 * number + 10)
            return web.Response(text=body, content_type="text/event-stream")

        server.script = script
        yield server


async def asked(gateway: Any, upstream: FakeUpstream, engine: str, **options: Any) -> Any:
    known = {"url": upstream.url, "model": "m", "context_tokens": 100_000, "count": "estimate"}
    client = await gateway(
        {"id": "up", "engine": engine, "aliases": ["claude-*"], "options": {**known, **options}}
    )
    body = {"model": "claude-x", "max_tokens": 100, "tools": TOOLS, "messages": [QUESTION]}
    answer = await client.post("/v1/messages", body)
    assert answer.status == 200, answer.json
    assert [block["type"] for block in answer.json["content"]] == [
        *["server_tool_use", "tool_search_tool_result", "tool_use"]
    ]
    assert answer.json["stop_reason"] == "tool_use"
    usage = answer.json["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (10 + 20, 3 + 3)
    return [body for _, _, body in upstream.asked]


async def test_server_that_loads_tools_gets_what_was_found_as_a_reference(
    upstream: FakeUpstream, gateway: Any
) -> None:
    first, second = await asked(gateway, upstream, "messages_api")
    assert [tool["name"] for tool in first["tools"]] == NAMES
    assert first["tools"] == second["tools"]
    assert "defer_loading" not in first["tools"][0]
    assert "type" not in first["tools"][0]
    (result,) = second["messages"][-1]["content"]
    assert result["content"] == [{"type": "tool_reference", "tool_name": "get_weather"}]


async def test_server_of_the_same_api_that_loads_none_gets_those_that_were_found(
    upstream: FakeUpstream, gateway: Any
) -> None:
    first, second = await asked(gateway, upstream, "messages_api", defer_loading=False)
    assert [tool["name"] for tool in first["tools"]] == [REGEX["name"]]
    assert [tool["name"] for tool in second["tools"]] == [REGEX["name"], "get_weather"]
    (result,) = second["messages"][-1]["content"]
    assert result["content"] == [{"type": "text", "text": "Tool: get_weather"}]


async def test_chat_completions_get_those_that_were_found(
    upstream: FakeUpstream, gateway: Any
) -> None:
    first, second = await asked(gateway, upstream, "chat_completions")
    assert [tool["function"]["name"] for tool in first["tools"]] == [REGEX["name"]]
    assert [tool["function"]["name"] for tool in second["tools"]] == [REGEX["name"], "get_weather"]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool"]
    assert second["messages"][-1]["content"] == "Tool: get_weather"
