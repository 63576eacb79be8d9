"""What Claude Code asks, as it was recorded: every body is read, and every request answered.

The bodies are those of Claude Code 2.1.330 in a fresh home; long texts are shortened, and ids,
keys and paths are replaced.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.wire.faults import BodyDecoder
from antiphon.wire.messages import CreateMessageParams
from support.asgi import KEY, Client

EXAMPLES = Path(__file__).parents[1] / "wire" / "examples"

# What is refused today, and why. An entry whose request is answered has to go.
NO_TOOLS = "this model does not support tools"
REFUSED = {
    "claude_code_first_turn": NO_TOOLS,
    "claude_code_schema": NO_TOOLS,
    "claude_code_tool_results": NO_TOOLS,
    "claude_code_without_betas": NO_TOOLS,
}


def requests(refused: Mapping[str, str]) -> list[Any]:
    return [
        pytest.param(
            json.loads(path.read_bytes()),
            id=path.stem,
            marks=[pytest.mark.xfail(reason=refused[path.stem], strict=True)]
            if path.stem in refused
            else [],
        )
        for path in sorted(EXAMPLES.glob("claude_code_*.json"))
    ]


@pytest.mark.parametrize("request_", requests({}))
def test_a_recorded_body_is_read(request_: dict[str, Any]) -> None:
    body = json.dumps(request_["body"]).encode()
    assert BodyDecoder(CreateMessageParams).decode(body).model == request_["body"]["model"]


@pytest.mark.anyio
@pytest.mark.parametrize("request_", requests(REFUSED))
async def test_a_recorded_request_is_answered(client, request_: dict[str, Any]) -> None:
    caller: Client = await client()
    headers = {**request_["headers"], "x-api-key": KEY}
    call = caller.start(request_["method"], request_["path"], request_["body"], headers)
    answer = await call.task
    assert answer.status == 200, answer.error
    assert [event["type"] for event in answer.events][-1] == "message_stop"
