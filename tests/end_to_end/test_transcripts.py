"""What Claude Code asks, as it was recorded: every body is read, and every request answered.

The bodies are those of Claude Code 2.1.330 in a fresh home; long texts are shortened, and ids,
keys and paths are replaced.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.wire.faults import BodyDecoder
from antiphon.wire.messages import CreateMessageParams
from support.asgi import KEY, Client

EXAMPLES = Path(__file__).parents[1] / "wire" / "examples"


def requests() -> list[Any]:
    paths = sorted(EXAMPLES.glob("claude_code_*.json"))
    return [pytest.param(json.loads(path.read_bytes()), id=path.stem) for path in paths]


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
    caller: Client = await client()
    headers = {**request_["headers"], "x-api-key": KEY}
    call = caller.start(request_["method"], request_["path"], request_["body"], headers)
    answer = await call.task
    assert answer.status == 200, answer.error
    assert [event["type"] for event in answer.events][-1] == "message_stop"
