"""Callers, bills, limits and reports have what a loose upstream counted; nothing of it is a 500."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from antiphon.server.app import build_app
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.settings import ModelSettings, Settings
from antiphon.store.data_folder import database_path
from support.asgi import KEY, Client
from support.databases import copy_database
from support.organization import ADMIN, NOON, Clock, Organization
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

PER_MINUTE = 9000


def frames(*events: Any, done: bool = False) -> bytes:
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join([*lines, *(["data: [DONE]\n\n"] if done else [])]).encode()


def chat(*deltas: dict[str, Any], reason: str | None = "stop", **usage: Any) -> bytes:
    chunks: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    return frames(*chunks, {"choices": [], "usage": usage}, done=True)


def messages(start: dict[str, Any], end: dict[str, Any], *texts: str) -> bytes:
    return frames(
        {"type": "message_start", "message": {"usage": start}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": x}}
            for x in texts
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end},
        {"type": "message_stop"},
    )


@pytest.fixture
async def upstream() -> AsyncGenerator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


Start = Callable[..., Awaitable[Organization]]


@pytest.fixture
async def start(
    upstream: FakeUpstream, tmp_path: Path, sqlite_template: Path
) -> AsyncGenerator[Start]:
    async with AsyncExitStack() as stack:

        async def started(engine: str, **options: Any) -> Organization:
            settings = Settings.load(
                {
                    "data_dir": tmp_path,
                    "api_key": KEY,
                    "admin_key": ADMIN,
                    "limits": {"input_tokens_per_minute": PER_MINUTE},
                },
                environ={},
            )
            copy_database(sqlite_template, database_path(tmp_path))
            given = {"url": upstream.url, "model": "m", "context_tokens": 100_000, **options}
            model = ModelSettings(
                id="up",
                engine=engine,
                aliases=("claude-*",),
                options={**given, "count": "estimate"},
            )
            clock = Clock()
            building = build_platform(settings, [ModelSource(model)], now=clock, clock=clock.ms)
            platform = await stack.enter_async_context(building)
            await platform.models.open()
            return Organization(platform, clock)

        yield started


async def ask(org: Organization, **more: Any) -> Any:
    client = Client(build_app(org.platform))
    return await client.create(model="claude-opus-5-5", max_tokens=50, **more)


async def drawn(org: Organization) -> int:
    await org.platform.ledger.flush()
    caller = await org.platform.access.authenticate(KEY, None)
    headers = await org.platform.admitter.remaining_headers(caller, "up")
    return PER_MINUTE - int(headers["anthropic-ratelimit-input-tokens-remaining"])


CASES = [
    (
        "chat_completions",
        chat({"content": "Hi"}, prompt_tokens=100, cached_tokens=80, completion_tokens=4),
        (20, 80, 4),
    ),
    (
        "chat_completions",
        chat(
            {"content": "Hi"},
            prompt_tokens=100.0,
            prompt_tokens_details={"cached_tokens": "80"},
            completion_tokens="4",
        ),
        (20, 80, 4),
    ),
    (
        "chat_completions",
        chat(*({"content": sign} for sign in "Hi there"), prompt_tokens=3, completion_tokens=2),
        (3, 0, 2),
    ),
    (
        "messages_api",
        messages(
            {"input_tokens": 0},
            {"input_tokens": 33, "cache_read_input_tokens": 11, "output_tokens": 4},
            "Hi",
        ),
        (33, 11, 4),
    ),
    (
        "messages_api",
        messages({"input_tokens": 9}, {"input_tokens": 0, "output_tokens": 4}, "Hi"),
        (9, 0, 4),
    ),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", CASES)
async def test_what_the_upstream_counted_is_told_billed_limited_and_reported(
    start: Start,
    upstream: FakeUpstream,
    case: tuple[str, bytes, tuple[int, int, int]],
    stream: bool,
) -> None:
    engine, said, counts = case
    upstream.streams(said)
    org = await start(engine)
    answer = await ask(org, stream=stream)
    assert answer.status == 200
    usage = answer.events[-2]["usage"] if stream else answer.json["usage"]
    names = ("input_tokens", "cache_read_input_tokens", "output_tokens")
    assert tuple(usage[name] for name in names) == counts
    (entry,) = (await org.entries()).values()
    tokens = entry.tokens
    assert (tokens.input, tokens.cache_read, tokens.output) == counts
    # claude-opus-5-5: 4, 0.20 and 20 dollars for a million.
    assert entry.cost == counts[0] * 4000 + counts[1] * 200 + counts[2] * 20_000
    assert await drawn(org) == counts[0]
    since = f"starting_at={NOON:%Y-%m-%d}T00:00:00Z"
    report = await org.get(f"/usage_report/messages?{since}&bucket_width=1d")
    lines = [line for bucket in report["data"] for line in bucket["results"]]
    reported = [
        (line["uncached_input_tokens"], line["cache_read_input_tokens"], line["output_tokens"])
        for line in lines
    ]
    assert reported == [counts]


async def test_estimated_prompt_is_held_at_its_upper_bound(
    start: Start, upstream: FakeUpstream
) -> None:
    """So that the tokens that the server counts in the end never cost more than was held."""
    upstream.streams(chat({"content": "Hi"}, prompt_tokens=900, completion_tokens=1))
    org = await start("chat_completions")
    await org.spend_limit({"type": "organization"}, 900 * 4000)
    answer = await ask(org)
    assert answer.status == 400, answer.json
    assert not upstream.asked


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        chat({"content": "Hi"}, reason="eos"),
        chat({"content": "Hi"}, reason=""),
        chat({"content": [{"type": "text", "text": "Hi"}]}),
        b"\xef\xbb\xbf: comment\r\n\r\nid: 1\r\ndata:\r\n\r\n" + chat({"content": "Hi"}).replace(
            b"\n", b"\r\n"
        ),
        chat({"content": "Hi"}).replace(b"[DONE]", b"[DONE] "),
        chat({"content": "Hi"}).replace(b"data: [DONE]\n\n", b""),
        chat({"content": "Hi"}).removesuffix(b"\n\n"),
        chat({"content": "Hi"}).replace(b"data: {", b"event: completion\ndata: {"),
        chat({"content": "Hi"}).replace(b'"Hi"', b'"\\ud83d"}}]}\n\ndata: {"choices":[{"delta":'
                                        b'{"content":"\\ude00Hi"'),
    ],
)  # fmt: skip
async def test_plain_answers_are_answers(
    start: Start, upstream: FakeUpstream, said: bytes, stream: bool
) -> None:
    upstream.streams(said)
    answer = await ask(await start("chat_completions"), stream=stream)
    assert answer.status == 200
    if stream:
        deltas = [one["delta"] for one in answer.events if one["type"] == "content_block_delta"]
        assert "".join(delta["text"] for delta in deltas).endswith("Hi")
        assert answer.events[-2]["delta"]["stop_reason"] == "end_turn"
    else:
        assert answer.json["content"][0]["text"].endswith("Hi")
        assert answer.json["stop_reason"] == "end_turn"


async def test_whole_answers_of_servers_that_do_not_stream_are_read(
    start: Start, upstream: FakeUpstream
) -> None:
    message = {"role": "assistant", "content": "Hi"}
    whole = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4},
    }
    upstream.says(json.dumps(whole).encode())
    answer = await ask(await start("chat_completions"))
    assert answer.json["content"][0]["text"] == "Hi"
    assert answer.json["usage"]["input_tokens"] == 9


@pytest.mark.parametrize("engine", ["chat_completions", "messages_api"])
async def test_long_prompt_is_the_callers_fault_in_the_words_of_the_api(
    start: Start, upstream: FakeUpstream, engine: str
) -> None:
    said = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
    upstream.says(json.dumps({"error": {"message": said}}).encode(), 400)
    answer = await ask(await start(engine), stream=True)
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["message"] == "prompt is too long: 9000 tokens > 8192 maximum"
