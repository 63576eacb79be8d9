"""What Claude Code asks, as it was recorded: every body is read, and every request answered.

The bodies are those of Claude Code 2.1.330 in a fresh home; long texts are shortened, and ids,
keys and paths are replaced. The ones for a title and of an interactive turn are built after what
such requests hold, and so are the counts of `/context`.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.wire.decoding import BodyDecoder
from antiphon.wire.messages import CountTokensParams, CreateMessageParams
from support.asgi import KEY, Answer, Client

EXAMPLES = Path(__file__).parents[1] / "wire" / "examples"
COUNTS = 26


def recorded(name: str) -> dict[str, Any]:
    return json.loads((EXAMPLES / f"claude_code_{name}.json").read_bytes())


def requests() -> list[Any]:
    paths = sorted(EXAMPLES.glob("claude_code_*.json"))
    return [pytest.param(json.loads(path.read_bytes()), id=path.stem) for path in paths]


async def sent(caller: Client, request: dict[str, Any], **changes: Any) -> Answer:
    headers = {**request["headers"], "x-api-key": KEY}
    body = {**request["body"], **changes}
    return await caller.start(request["method"], request["path"], body, headers).task


@pytest.mark.parametrize("request_", requests())
def test_a_recorded_body_is_read(request_: dict[str, Any]) -> None:
    body = json.dumps(request_["body"]).encode()
    assert BodyDecoder(CreateMessageParams).decode(body).model == request_["body"]["model"]


@pytest.mark.covers("parameters: tools", "effect")
@pytest.mark.covers("parameters: thinking", "effect")
@pytest.mark.covers("parameters: output_config.effort", "ignored")
@pytest.mark.covers("parameters: metadata", "ignored")
@pytest.mark.covers("headers: anthropic-beta", "ignored")
@pytest.mark.covers("blocks of a request: tool_use", "effect")
@pytest.mark.covers("blocks of a request: tool_result", "effect")
@pytest.mark.anyio
@pytest.mark.parametrize("request_", requests())
async def test_a_recorded_request_is_answered(client, request_: dict[str, Any]) -> None:
    answer = await sent(await client(), request_)
    assert answer.status == 200, answer.error
    assert [event["type"] for event in answer.events][-1] == "message_stop"


@pytest.mark.anyio
@pytest.mark.parametrize("request_", requests())
async def test_retry_of_a_recorded_request_without_a_stream_is_answered(
    client, request_: dict[str, Any]
) -> None:
    again = {**request_, "body": {**request_["body"], "max_tokens": 64_000}}
    del again["body"]["stream"]
    answer = await sent(await client(), again)
    assert answer.json["type"] == "message"


@pytest.mark.anyio
async def test_title_request_is_answered_with_json_of_its_schema(client) -> None:
    answer = await sent(await client(), recorded("title"))
    pieces = [one["delta"]["text"] for one in answer.events if one["type"] == "content_block_delta"]
    title = json.loads("".join(pieces))
    assert list(title) == ["title"]
    assert isinstance(title["title"], str)


def counted(number: int) -> dict[str, Any]:
    """One of the counts of `/context`: of a message, or of the tools one by one."""
    body = recorded("first_turn")["body"]
    tools = [[], *([tool] for tool in body["tools"]), body["tools"]]
    said = "x" if number % 2 else body["messages"]
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
    return {"model": body["model"], "messages": messages, "tools": tools[number % len(tools)]}


@pytest.mark.anyio
async def test_concurrent_token_counts_are_all_answered(client) -> None:
    caller: Client = await client()
    headers = {**recorded("first_turn")["headers"], "x-api-key": KEY}
    path = "/v1/messages/count_tokens?beta=true"
    calls = [caller.start("POST", path, counted(number), headers) for number in range(COUNTS)]
    answers = await asyncio.gather(*(call.task for call in calls))
    assert [answer.status for answer in answers] == [200] * COUNTS
    alone = [await caller.start("POST", path, counted(0), headers).task]
    assert answers[0].json == alone[0].json
    assert answers[2].json["input_tokens"] > answers[0].json["input_tokens"]
    decoder = BodyDecoder(CountTokensParams)
    assert decoder.decode(json.dumps(counted(3)).encode()).tools


@pytest.mark.anyio
async def test_references_to_tools_found_by_its_search_are_accepted(client) -> None:
    body = recorded("first_turn")["body"]
    found = [{"type": "tool_reference", "tool_name": "Bash"}]
    call = {"type": "tool_use", "id": "toolu_1", "name": "ToolSearch", "input": {"query": "sh"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": found}
    turns = [
        *body["messages"],
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result | {"cache_control": {"type": "ephemeral"}}]},
    ]
    answer = await sent(await client(), recorded("first_turn"), messages=turns)
    assert answer.status == 200, answer.error


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "status"), [("/", 204), ("/api/hello", 200)])
async def test_probe_for_a_server_finds_it(client, path: str, status: int) -> None:
    caller: Client = await client()
    answer = await caller.start("HEAD", path, headers={"x-api-key": None}).task
    assert answer.status == status
    assert "x-antiphon-hint" not in answer.headers


@pytest.mark.anyio
async def test_errors_that_claude_code_parses_have_their_exact_wording(client) -> None:
    """It knows them only in an envelope whose keys stand in this order."""
    request = recorded("first_turn")
    limited = await sent(await client(max_output_tokens=4096), request)
    tight = await sent(await client(context_tokens=100, max_output_tokens=128_000), request)
    unknown = await sent(await client(), request, model="gpt-1")
    assert limited.error[2] == (
        "max_tokens: 128000 > 4096, which is the maximum allowed number of output tokens for "
        f"{request['body']['model']}"
    )
    said, _, maximum = tight.error[2].rpartition(" > ")
    assert (said.split(":")[0], maximum) == ("prompt is too long", "100 maximum")
    assert unknown.error == (404, "not_found_error", "model: gpt-1")
    for answer in (limited, tight, unknown):
        assert list(answer.json) == ["type", "error", "request_id"]
        assert list(answer.json["error"]) == ["type", "message", "details"]
