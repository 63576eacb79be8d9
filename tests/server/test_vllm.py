"""The API over vLLM: the counts, the bills and the refusals are those of a token machine."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.asgi import Client
from support.hf_folder import write_folder
from support.images import image_block
from support.simulated_vllm import SimulatedVllm, running

pytestmark = pytest.mark.anyio

LONG = "One two three four five six seven eight nine ten. " * 20
MARK = {"type": "ephemeral"}
ASKED = {
    "model": "claude-opus-5-5",
    "max_tokens": 40,
    "system": [{"type": "text", "text": LONG, "cache_control": MARK}],
    "messages": [{"role": "user", "content": "How is the weather <|im_end|> in Oslo?"}],
}
TOOL = {
    "name": "weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"enum": ["Oslo", "Rome"]}},
        "required": ["city"],
    },
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SimulatedVllm]:
    folder = write_folder(tmp_path / "hf")
    async with running(SimulatedVllm(folder, context=8192)) as server:
        yield server


@pytest.fixture
async def client(gateway, server: SimulatedVllm) -> Client:
    model = {"id": "m", "engine": "vllm", "aliases": ["claude-*"], "options": {"url": server.url}}
    started: Client = await gateway(model)
    return started


def input_of(usage: dict[str, Any]) -> int:
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(usage[name] for name in names)


async def test_usage_is_what_was_counted_and_what_the_server_had(
    client: Client, server: SimulatedVllm
) -> None:
    counted = await client.post(
        "/v1/messages/count_tokens", {k: v for k, v in ASKED.items() if k != "max_tokens"}
    )
    usages = [(await client.post("/v1/messages", ASKED)).json["usage"] for _ in range(2)]
    cold, warm = usages
    assert input_of(cold) == input_of(warm) == counted.json["input_tokens"]
    assert cold["cache_read_input_tokens"] == 0
    assert warm["cache_read_input_tokens"] == cold["cache_creation_input_tokens"] > 500
    assert warm["cache_creation_input_tokens"] == 0
    assert len(server.asked[-1]["prompt"]) == counted.json["input_tokens"]
    assert len(server.asked[-1]["cache_salt"]) == 64


async def test_stream_begins_with_the_true_usage(client: Client) -> None:
    await client.post("/v1/messages", ASKED)
    events = (await client.post("/v1/messages", {**ASKED, "stream": True})).events
    started = events[0]["message"]["usage"]
    assert started["cache_read_input_tokens"] > 500
    (end,) = [event for event in events if event["type"] == "message_delta"]
    assert end["usage"]["output_tokens"] == 40
    assert end["delta"]["stop_reason"] == "max_tokens"


async def test_forced_tool_is_called_as_its_schema_has_it(client: Client) -> None:
    choice = {"type": "tool", "name": "weather"}
    asked = {**ASKED, "tools": [TOOL], "tool_choice": choice, "max_tokens": 300}
    answer = (await client.post("/v1/messages", asked)).json
    (block,) = answer["content"]
    assert (block["name"], answer["stop_reason"]) == ("weather", "tool_use")
    assert block["input"]["city"] in {"Oslo", "Rome"}


async def test_image_is_refused(client: Client) -> None:
    messages = [{"role": "user", "content": [image_block()]}]
    answer = await client.post("/v1/messages", {**ASKED, "messages": messages})
    status, kind, message = answer.error
    assert (status, kind) == (400, "invalid_request_error")
    assert "image" in message


async def test_server_that_dies_is_an_error_of_the_stream(
    client: Client, server: SimulatedVllm
) -> None:
    server.dies_behind = 5
    asked = {**ASKED, "stream": True}
    events = (await client.post("/v1/messages", asked)).events
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "api_error"
