"""What an upstream says of its prompt cache is told, billed, and drawn from the limits."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from antiphon.server.app import build_app
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.settings import ModelSettings, Settings
from support.asgi import KEY, Client
from support.organization import Clock, Organization
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

USAGE = {
    "input_tokens": 3,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 7,
    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 5},
    "output_tokens": 0,
}
SAID = [
    {"type": "message_start", "message": {"usage": USAGE}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 4},
    },
    {"type": "message_stop"},
]
INPUT = "anthropic-ratelimit-input-tokens-remaining"


def frames(events: list[dict[str, Any]]) -> bytes:
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events
    )


@pytest.fixture
async def upstream() -> AsyncGenerator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


@pytest.fixture
async def org(upstream: FakeUpstream, tmp_path: Path) -> AsyncGenerator[Organization]:
    settings = Settings.load(
        {"data_dir": tmp_path, "api_key": KEY, "limits": {"input_tokens_per_minute": 9000}},
        environ={},
    )
    model = ModelSettings(
        id="up",
        engine="messages_api",
        aliases=("claude-*",),
        options={"url": upstream.url, "model": "m", "context_tokens": 100_000},
    )
    clock = Clock()
    building = build_platform(settings, [ModelSource(model)], now=clock, clock=clock.ms)
    async with building as platform:
        await platform.models.open()
        yield Organization(platform, clock)


async def told(org: Organization) -> dict[str, Any]:
    answer = await Client(build_app(org.platform)).create(model="claude-opus-5-5", max_tokens=50)
    assert answer.status == 200, answer.json
    usage: dict[str, Any] = answer.json["usage"]
    return usage


async def drawn(org: Organization) -> int:
    """What is drawn from the bucket of input when everything is settled."""
    await org.platform.ledger.flush()
    caller = await org.platform.access.authenticate(KEY, None)
    headers = await org.platform.admitter.remaining_headers(caller, "up")
    return 9000 - int(headers[INPUT])


async def test_prompt_is_not_counted_where_the_upstream_says_its_size(
    org: Organization, upstream: FakeUpstream
) -> None:
    upstream.streams(frames(SAID))
    await told(org)
    assert [path for path, _, _ in upstream.asked] == ["/v1/messages"]


async def test_bill_equals_the_usage_told_to_the_caller(
    org: Organization, upstream: FakeUpstream
) -> None:
    upstream.streams(frames(SAID))
    usage = await told(org)
    assert usage["input_tokens"] == 3
    assert usage["cache_read_input_tokens"] == 200
    assert usage["cache_creation"] == USAGE["cache_creation"]
    (entry,) = (await org.entries()).values()
    counts = entry.tokens
    assert (counts.input, counts.cache_read, counts.output) == (3, 200, 4)
    assert (counts.cache_write_5m, counts.cache_write_1h) == (2, 5)
    # claude-opus-5-5: 4, 5, 8, 0.20 and 20 dollars for a million.
    assert entry.cost == 3 * 4000 + 2 * 5000 + 5 * 8000 + 200 * 200 + 4 * 20_000


async def test_cache_reads_draw_nothing_from_the_rate_limits(
    org: Organization, upstream: FakeUpstream
) -> None:
    upstream.streams(frames(SAID))
    await told(org)
    assert await drawn(org) == 3 + 2 + 5


async def test_failure_before_the_first_event_is_free_and_draws_nothing(
    org: Organization, upstream: FakeUpstream
) -> None:
    upstream.says(b"{}", status=500)
    answer = await Client(build_app(org.platform)).create(model="claude-opus-5-5")
    assert answer.status == 500
    (entry,) = (await org.entries()).values()
    assert (entry.outcome, entry.cost, entry.tokens.prompt) == ("failed", 0, 0)
    assert await drawn(org) == 0


async def test_broken_off_answer_is_billed_for_its_prompt(
    org: Organization, upstream: FakeUpstream
) -> None:
    upstream.streams(frames(SAID[:3]), then="cut")
    answer = await Client(build_app(org.platform)).create(model="claude-opus-5-5", stream=True)
    assert answer.events[-1]["type"] == "error"
    (entry,) = (await org.entries()).values()
    assert (entry.outcome, entry.tokens.cache_read) == ("interrupted", 200)
