"""What both engines in front of other servers do alike: size of the prompt, calls, the limit."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web

from antiphon.core.hints import OF_BATCH
from antiphon.engines.base import (
    Engine,
    EngineConfig,
    Finished,
    FinishReason,
    Prompt,
    Started,
    TextChunk,
    Tool,
    ToolChoice,
)
from antiphon.engines.upstream.chat_completions.engine import open_chat_completions
from antiphon.engines.upstream.messages_api.engine import open_messages_api
from support.conversation import all_events, ask, calls_in, turn
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

COUNT = "/v1/messages/count_tokens"


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


def config(upstream: FakeUpstream, **options: Any) -> EngineConfig:
    given = {"url": upstream.url, "model": "m", "context_tokens": 10_000, **options}
    return EngineConfig("m", options=given)


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))
        for event in events
    )


def message(input_tokens: int | None) -> bytes:
    usage = {} if input_tokens is None else {"usage": {"input_tokens": input_tokens}}
    return frames(
        {"type": "message_start", "message": usage},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    )


def serves(upstream: FakeUpstream, answer: bytes, count: int) -> None:
    async def script(request: web.Request) -> web.Response:
        if request.path == COUNT:
            return web.json_response({"input_tokens": count})
        return web.Response(body=answer, content_type="text/event-stream")

    upstream.script = script


async def messages_api(upstream: FakeUpstream, **options: Any) -> Engine:
    return await open_messages_api(config(upstream, **options))


async def test_the_upstream_itself_says_how_long_the_prompt_is(upstream: FakeUpstream) -> None:
    serves(upstream, message(12), 99)
    engine = await messages_api(upstream)
    assert not engine.capabilities.counts_exactly
    assert await all_events(engine, ask("Hi")) == [
        Started(input_tokens=12), TextChunk("Hi", 1), Finished(FinishReason.END_TURN),
    ]  # fmt: skip
    assert [path for path, _, _ in upstream.asked] == ["/v1/messages"]
    await engine.aclose()


async def test_size_that_the_upstream_does_not_send_is_counted(upstream: FakeUpstream) -> None:
    serves(upstream, message(None), 12)
    engine = await messages_api(upstream)
    assert (await all_events(engine, ask("Hi")))[0] == Started(input_tokens=12)
    await engine.aclose()


async def test_a_prompt_is_counted_first_where_its_answer_may_not_fit(
    upstream: FakeUpstream,
) -> None:
    serves(upstream, message(12), 12)
    engine = await messages_api(upstream)
    await all_events(engine, ask("Hi", max_tokens=9_995))
    (counted, _, _), (_, _, asked) = upstream.asked
    assert counted == COUNT
    assert asked["max_tokens"] == 10_000 - 12
    await engine.aclose()


async def test_max_tokens_of_zero_returns_the_size_of_the_prompt(upstream: FakeUpstream) -> None:
    serves(upstream, message(12), 99)
    engine = await messages_api(upstream)
    events = await all_events(engine, ask("Hi", max_tokens=0))
    assert events == [Started(input_tokens=12), Finished(FinishReason.MAX_TOKENS)]
    await engine.aclose()


async def test_second_call_without_parallel_use_ends_answer_and_connection(
    upstream: FakeUpstream,
) -> None:
    def call(index: int) -> bytes:
        made = {"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": "{}"}}
        chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [made]}}]}
        return b"data: %b\n\n" % msgspec.json.encode(chunk)

    upstream.streams(call(0), call(1), then="stall")
    engine = await open_chat_completions(config(upstream, count="estimate"))
    prompt = Prompt(
        (turn("user", "Hi"),),
        50,
        tools=(Tool(name="f", input_schema={}),),
        tool_choice=ToolChoice(parallel=False),
    )
    events = await all_events(engine, prompt)
    assert calls_in(events) == [("f", "{}")]
    assert events[-1] == Finished(FinishReason.END_TURN)
    assert upstream.asked[0][2]["parallel_tool_calls"] is False
    await upstream.gone.wait()
    await engine.aclose()


SALT = "salt of a workspace"


@pytest.mark.parametrize(
    ("owner", "option", "sent"),
    [
        ("vllm", {}, SALT),
        ("sglang", {}, SALT),
        ("llamacpp", {}, None),
        (["vllm"], {}, None),
        (None, {}, None),
        (None, {"cache_salt": True}, SALT),
        ("vllm", {"cache_salt": False}, None),
    ],
)
async def test_salt_goes_to_servers_that_know_it_and_where_the_option_says_so(
    upstream: FakeUpstream, owner: Any, option: dict[str, Any], sent: str | None
) -> None:
    async def script(request: web.Request) -> web.Response:
        if request.path == "/v1/models":
            return web.json_response({"data": [{"id": "m", "owned_by": owner}]})
        usage = {"prompt_tokens": 9, "completion_tokens": 1}
        chunk = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}], "usage": usage}
        body = b"data: %b\n\ndata: [DONE]\n\n" % msgspec.json.encode(chunk)
        return web.Response(body=body, content_type="text/event-stream")

    upstream.script = script
    options = {"url": upstream.url, "count": "estimate", **option}
    engine = await open_chat_completions(EngineConfig("m", options=options))
    await all_events(engine, Prompt((turn("user", "Hi"),), 5, cache_salt=SALT))
    path, _, asked = upstream.asked[-1]
    assert path == "/v1/chat/completions"
    assert asked.get("cache_salt") == sent
    await engine.aclose()


async def test_server_that_schedules_by_priority_learns_which_requests_are_of_batches(
    upstream: FakeUpstream,
) -> None:
    chunk = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    upstream.streams(b"data: %b\n\n" % msgspec.json.encode(chunk))
    engine = await open_chat_completions(config(upstream, count="estimate", priority=True))
    prompt = Prompt((turn("user", "Hi"),), 5)
    for one in (prompt, msgspec.structs.replace(prompt, hints=OF_BATCH)):
        await all_events(engine, one)
    assert [asked.get("priority") for _, _, asked in upstream.asked] == [None, 100]
    await engine.aclose()


async def test_tokens_that_a_server_read_from_its_cache_are_those_of_the_answer(
    upstream: FakeUpstream,
) -> None:
    def chunk(**fields: Any) -> bytes:
        return b"data: %b\n\n" % msgspec.json.encode(fields)

    upstream.streams(
        chunk(choices=[{"delta": {"content": "Hi"}, "finish_reason": "stop"}]),
        chunk(
            choices=[],
            usage={
                "prompt_tokens": 2006,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": 1920},
            },
        ),
        b"data: [DONE]\n\n",
    )
    engine = await open_chat_completions(config(upstream, count="estimate"))
    events = await all_events(engine, ask("Hi"))
    size = Started(input_tokens=2006, cache_read_tokens=1920)
    assert events[-1] == Finished(FinishReason.END_TURN, prompt=size)
    await engine.aclose()
