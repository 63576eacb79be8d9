import pytest

from support.asgi import HELLO

pytestmark = pytest.mark.anyio

BETA = "claude-code-20250219, prompt-caching-scope-2026-01-05"
SCOPED = {"type": "ephemeral", "scope": "global"}
BODY = HELLO | {
    "system": [{"type": "text", "text": "Be brief.", "cache_control": SCOPED}],
    "tools": [{"name": "a", "input_schema": {"type": "object"}, "cache_control": SCOPED}],
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_scope_of_a_breakpoint_needs_its_beta(client, path) -> None:
    caller = await client(text="Hello there.")
    body = BODY if path == "/v1/messages" else {k: v for k, v in BODY.items() if k != "max_tokens"}
    assert (await caller.post(path, body, anthropic_beta=BETA)).status == 200
    assert (await caller.post(path, body)).error == (
        400,
        "invalid_request_error",
        "tools.0.custom.cache_control.ephemeral.scope: Extra inputs are not permitted",
    )
    system = {**body, "tools": []}
    assert (await caller.post(path, system, anthropic_beta="other-2026-01-01")).error[2] == (
        "system.0.cache_control.ephemeral.scope: Extra inputs are not permitted"
    )
