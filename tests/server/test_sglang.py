"""The API over SGLang: the counts, the bills and the refusals are those of a token machine."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.test_vllm import ASKED, TOOL, input_of
from support.asgi import Client
from support.hf_folder import write_folder
from support.simulated_sglang import SimulatedSglang
from support.simulated_vllm import running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SimulatedSglang]:
    folder = write_folder(tmp_path / "hf")
    async with running(SimulatedSglang(folder, context=8192)) as server:
        yield server


@pytest.fixture
async def client(gateway: Any, server: SimulatedSglang) -> Client:
    options = {"url": server.url}
    model = {"id": "m", "engine": "sglang", "aliases": ["claude-*"], "options": options}
    started: Client = await gateway(model)
    return started


async def test_usage_is_what_was_counted_and_what_the_server_had(
    client: Client, server: SimulatedSglang
) -> None:
    counted = await client.post(
        "/v1/messages/count_tokens", {k: v for k, v in ASKED.items() if k != "max_tokens"}
    )
    cold = (await client.post("/v1/messages", ASKED)).json["usage"]
    events = (await client.post("/v1/messages", {**ASKED, "stream": True})).events
    warm = events[0]["message"]["usage"]
    assert input_of(cold) == input_of(warm) == counted.json["input_tokens"]
    assert cold["cache_read_input_tokens"] == 0
    assert warm["cache_read_input_tokens"] == cold["cache_creation_input_tokens"] > 500
    (end,) = [event for event in events if event["type"] == "message_delta"]
    assert end["usage"]["output_tokens"] == 40
    assert len(server.asked[-1]["input_ids"]) == counted.json["input_tokens"]
    assert len(server.asked[-1]["extra_key"]) == 64


async def test_forced_tool_is_called_as_its_schema_has_it(client: Client) -> None:
    choice = {"type": "tool", "name": "weather"}
    asked = {**ASKED, "tools": [TOOL], "tool_choice": choice, "max_tokens": 300}
    answer = (await client.post("/v1/messages", asked)).json
    (block,) = answer["content"]
    assert (block["name"], answer["stop_reason"]) == ("weather", "tool_use")
    assert block["input"]["city"] in {"Oslo", "Rome"}
