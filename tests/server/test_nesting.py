"""Values that are nested as deeply as JSON is read are answered or refused, never a failure."""

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

# The decoder takes some 950 levels, and what is written or walked later has less of the stack left.
DEPTHS = [*range(300, 900, 150), *range(900, 1000, 2)]
FRAMES = 20


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def with_input(value: str) -> str:
    """A call of an earlier turn, which the engine gets again."""
    call = f'{{"type": "tool_use", "id": "toolu_1", "name": "t", "input": {value}}}'
    result = '{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}'
    return (
        '"messages": [{"role": "user", "content": "Hi"}, '
        f'{{"role": "assistant", "content": [{call}]}}, {{"role": "user", "content": [{result}]}}]'
    )


def with_schema(value: str) -> str:
    return (
        '"messages": [{"role": "user", "content": "Hi"}], "tools": [{"name": "t", '
        f'"input_schema": {{"type": "object", "default": {value}}}}}]'
    )


@pytest.mark.parametrize("fields", [with_input, with_schema])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_deep_value_is_answered_or_refused(client: Any, fields: Any, path: str) -> None:
    app = await client(context_tokens=10**6)
    head = '{"model": "claude-x", ' + ('"max_tokens": 5, ' if path == "/v1/messages" else "")
    statuses = set()
    for depth in DEPTHS:
        answered = await app.post(path, f"{head}{fields(nested(depth))}}}".encode())
        statuses.add(answered.status)
        if answered.status != 200:
            assert answered.error[:2] == (400, "invalid_request_error")
            assert "nested" in answered.error[2]
    assert statuses == {200, 400}


@pytest.mark.parametrize("fields", [with_input, with_schema])
async def test_prompt_cache_takes_values_as_deep_as_without_it(client: Any, fields: Any) -> None:
    app = await client(context_tokens=10**6)
    deepest = []
    for more in (
        "",
        '"cache_control": {"type": "ephemeral"}, ',
        '"diagnostics": {"previous_message_id": "m"}, ',
    ):
        answered = []
        for depth in DEPTHS:
            body = f'{{"model": "claude-x", "max_tokens": 5, {more}{fields(nested(depth))}}}'
            status = (await app.post("/v1/messages", body.encode())).status
            assert status in {200, 400}
            if status == 200:
                answered.append(depth)
        deepest.append(max(answered))
    # What is written is counted with the calls that led there: a few of them differ.
    assert max(deepest) - min(deepest) <= FRAMES
