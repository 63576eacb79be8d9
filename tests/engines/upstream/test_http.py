"""What both engines in front of other servers make of one that misbehaves."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web

from antiphon.engines.base import (
    Engine,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineEvent,
    EngineStartError,
    OpenEngine,
    Started,
    TextChunk,
)
from antiphon.engines.upstream.chat_completions.engine import open_chat_completions
from antiphon.engines.upstream.http import LARGEST_FRAME
from antiphon.engines.upstream.messages_api.engine import open_messages_api
from antiphon.engines.upstream.options import CONTEXT_BY_DEFAULT
from antiphon.engines.upstream.refusals import seconds
from support.conversation import answer, ask, first_piece, text_of, tokens_in
from support.raw_server import nobody
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

KEY = "sk-of-the-upstream"
PROMPT = "the secret of the prompt"
OPENERS: list[OpenEngine] = [open_chat_completions, open_messages_api]
TOKEN = {
    open_chat_completions: b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
    open_messages_api: (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":"a"}}\n\n'
    ),
}
WHOLE = {
    open_chat_completions: TOKEN[open_chat_completions]
    + b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
    open_messages_api: TOKEN[open_messages_api]
    + b'data: {"type":"content_block_stop","index":0}\n\n'
    + b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    + b'"usage":{"output_tokens":2}}\n\n'
    + b'data: {"type":"message_stop"}\n\n',
}


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


@pytest.fixture(params=OPENERS, ids=["chat_completions", "messages_api"])
def opener(request: pytest.FixtureRequest) -> OpenEngine:
    return request.param


@pytest.fixture
async def engine(upstream: FakeUpstream, opener: OpenEngine) -> AsyncIterator[Engine]:
    engine = await opened(opener, upstream.url)
    yield engine
    await engine.aclose()


async def opened(opener: OpenEngine, url: str, **options: Any) -> Engine:
    given = {
        "url": url,
        "model": "m",
        "context_tokens": 1000,
        "api_key": KEY,
        "count": "estimate",
        "connect_timeout_s": 1.0,
        "first_token_timeout_s": 0.6,
        "silence_timeout_s": 0.2,
    }
    return await opener(EngineConfig("m", options={**given, **options}))


async def fails(engine: Engine) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await answer(engine, ask(PROMPT))
    said = str(caught.value)
    assert KEY not in said
    assert PROMPT not in said
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, EngineErrorKind.FAILED),
        (302, EngineErrorKind.FAILED),
        (400, EngineErrorKind.UNSUPPORTED),
        (401, EngineErrorKind.FAILED),
        (403, EngineErrorKind.FAILED),
        (404, EngineErrorKind.FAILED),
        (408, EngineErrorKind.TIMEOUT),
        (413, EngineErrorKind.UNSUPPORTED),
        (422, EngineErrorKind.UNSUPPORTED),
        (429, EngineErrorKind.OVERLOADED),
        (500, EngineErrorKind.FAILED),
        (502, EngineErrorKind.FAILED),
        (503, EngineErrorKind.OVERLOADED),
        (504, EngineErrorKind.TIMEOUT),
        (529, EngineErrorKind.OVERLOADED),
    ],
)
async def test_http_status_maps_to_an_error_kind(
    engine: Engine, upstream: FakeUpstream, status: int, kind: EngineErrorKind
) -> None:
    upstream.says(b"", status)
    assert (await fails(engine)).kind is kind


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"too \\u001b[31mlong"}}',
        b'{"error":"too [31mlong"}',
        b'{"message":"too [31mlong"}',
        b'{"detail":"too [31mlong"}',
    ],
)
async def test_refusal_carries_the_message_of_the_upstream(
    engine: Engine, upstream: FakeUpstream, body: bytes
) -> None:
    upstream.says(body, 400)
    expected = "The model's server refused this request: too [31mlong"
    assert str(await fails(engine)) == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"detail":[{}]}', b"[" * 60_000])
async def test_refusal_without_a_message_has_the_default_one(
    engine: Engine, upstream: FakeUpstream, body: bytes
) -> None:
    upstream.says(body, 400)
    assert str(await fails(engine)) == "The model's server refused this request."


@pytest.mark.parametrize("status", [200, 500])
async def test_huge_error_body_is_a_failure_of_the_upstream(
    engine: Engine, upstream: FakeUpstream, status: int
) -> None:
    upstream.says(b"x" * 3_000_000, status)
    assert (await fails(engine)).kind is EngineErrorKind.FAILED


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b": only a comment\n\n"],
        [b"data: no JSON\n\n"],
        [b"data: \xff\xfe\n\n"],
        [b"event: error\ndata: {}\n\n"],
        [b"x" * (LARGEST_FRAME // 2)] * 3,
    ],
)
async def test_unreadable_stream_is_a_failure_of_the_upstream(
    engine: Engine, upstream: FakeUpstream, parts: list[bytes]
) -> None:
    upstream.streams(*parts)
    assert (await fails(engine)).kind is EngineErrorKind.FAILED


@pytest.mark.parametrize("then", ["cut", "end"])
async def test_stream_without_its_end_is_a_failure_of_the_upstream(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine, then: str
) -> None:
    upstream.streams(TOKEN[opener], then=then, pause_s=0.05)
    seen: list[EngineEvent] = []

    async def watch() -> None:
        async with aclosing(engine.generate(ask("Hi"))) as events:
            async for event in events:
                seen.append(event)  # noqa: PERF401 - they are wanted in spite of the error

    with pytest.raises(EngineError) as caught:
        await watch()
    assert [event for event in seen if not isinstance(event, Started)] == [TextChunk("a", 1)]
    assert caught.value.kind is EngineErrorKind.FAILED


async def test_silent_upstream_times_out(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine
) -> None:
    for parts in ((), (b": ping\n\n",), (TOKEN[opener],)):
        upstream.streams(*parts, then="stall")
        assert (await fails(engine)).kind is EngineErrorKind.TIMEOUT


async def test_headers_that_never_come_time_out(engine: Engine, upstream: FakeUpstream) -> None:
    async def script(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    upstream.script = script
    assert (await fails(engine)).kind is EngineErrorKind.TIMEOUT


async def test_connection_that_closes_at_once_is_retried_a_few_times(
    engine: Engine, upstream: FakeUpstream
) -> None:
    async def script(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    upstream.script = script
    assert (await fails(engine)).kind is EngineErrorKind.FAILED
    assert len(upstream.asked) == 3


async def test_unreachable_upstream_is_overloaded(opener: OpenEngine) -> None:
    with nobody() as url:
        engine = await opened(opener, url)
        assert (await fails(engine)).kind is EngineErrorKind.OVERLOADED
        await engine.aclose()


async def test_hanging_up_closes_the_connection(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine
) -> None:
    upstream.streams(TOKEN[opener], then="stall")
    async with aclosing(engine.generate(ask("Hi"))) as events:
        await first_piece(events)
    await asyncio.wait_for(upstream.gone.wait(), 5)


async def test_answer_in_single_bytes_is_read(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine
) -> None:
    whole = WHOLE[opener]
    upstream.streams(*(whole[place : place + 1] for place in range(len(whole))))
    events = await answer(engine, ask("Hi"))
    assert text_of(events) == "a"
    assert tokens_in(events) >= 1


async def test_answer_ends_even_if_the_connection_stays_open(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine
) -> None:
    upstream.streams(WHOLE[opener], then="stall")
    assert text_of(await answer(engine, ask("Hi"))) == "a"


async def test_connection_of_an_answer_is_used_again(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine
) -> None:
    # The end of the body comes a moment after all that is needed of it.
    upstream.streams(WHOLE[opener], pause_s=0.01)
    script, peers = upstream.script, set[Any]()

    async def watched(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await script(request)

    upstream.script = watched
    for _ in range(4):
        assert text_of(await answer(engine, ask("Hi"))) == "a"
    # A machine that stands still for a moment may cost one.
    assert len(peers) < len(upstream.asked) == 4


async def test_proxies_of_the_environment_are_not_used(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    upstream.streams(WHOLE[opener])
    assert text_of(await answer(engine, ask("Hi"))) == "a"


async def test_the_key_is_sent_and_hidden(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine
) -> None:
    upstream.streams(WHOLE[opener])
    await answer(engine, ask("Hi"))
    assert KEY in str(upstream.asked[0][1].values())
    assert KEY not in repr(engine._dialect._options)


async def test_only_model_of_a_server_is_chosen_with_its_context(
    upstream: FakeUpstream, opener: OpenEngine
) -> None:
    upstream.says(b'{"data":[{"id":"only","max_model_len":77}]}')
    engine = await opened(opener, upstream.url + "/v1/", model=None, context_tokens=None)
    assert engine.capabilities.context_tokens == 77
    assert upstream.asked[0][0] == "/v1/models"
    await engine.aclose()


@pytest.mark.parametrize(
    "card", [b'{"id":"m","meta":{"n_ctx":78}}', b'{"id":"m","max_input_tokens":78}']
)
async def test_context_comes_from_the_server(
    upstream: FakeUpstream, opener: OpenEngine, card: bytes
) -> None:
    upstream.says(b'{"data":[' + card + b',{"id":"n"}]}')
    engine = await opened(opener, upstream.url, context_tokens=None)
    assert engine.capabilities.context_tokens == 78
    await engine.aclose()


async def test_context_without_a_source_is_the_default(
    upstream: FakeUpstream, opener: OpenEngine
) -> None:
    upstream.says(b'{"data":[]}')
    engine = await opened(opener, upstream.url, context_tokens=None)
    assert engine.capabilities.context_tokens == CONTEXT_BY_DEFAULT
    await engine.aclose()


async def test_several_models_without_a_choice_are_a_start_error(
    upstream: FakeUpstream, opener: OpenEngine
) -> None:
    upstream.says(b'{"data":[{"id":"a"},{"id":"b"}]}')
    with pytest.raises(EngineStartError, match="a, b"):
        await opened(opener, upstream.url, model=None)


async def test_a_server_that_cannot_say_its_model_is_a_start_error(
    upstream: FakeUpstream, opener: OpenEngine
) -> None:
    upstream.says(b"", 500)
    with pytest.raises(EngineStartError, match="500"):
        await opened(opener, upstream.url, model=None)


@pytest.mark.parametrize(
    "options", [{"url": "localhost"}, {"tool": True}, {"context_tokens": 0}, {"count": "no"}]
)
async def test_wrong_options_are_a_start_error(opener: OpenEngine, options: dict[str, Any]) -> None:
    with pytest.raises(EngineStartError, match="Model `m`"):
        await opened(opener, **{"url": "http://127.0.0.1:1", **options})


@pytest.mark.parametrize(
    ("header", "expected"),
    [("7", 7.0), ("0.5", 0.5), ("86400", 3600.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None),
     ("-1", None), ("nan", None), ("\u0663", None), ("", None)],
)  # fmt: skip
async def test_retry_after_header_is_read_as_seconds(header: str, expected: float | None) -> None:
    assert seconds(header) == expected


async def test_overload_carries_the_retry_after_of_the_upstream(
    engine: Engine, upstream: FakeUpstream
) -> None:
    async def script(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"retry-after": "7"})

    upstream.script = script
    error = await fails(engine)
    assert (error.kind, error.retry_after_s) == (EngineErrorKind.OVERLOADED, 7.0)


async def test_body_that_stalls_times_out(upstream: FakeUpstream) -> None:
    async def script(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"input_tokens":')
        await asyncio.sleep(60)
        return response

    upstream.script = script
    engine = await opened(open_messages_api, upstream.url, count="upstream")
    with pytest.raises(EngineError) as caught:
        await engine.count_tokens(ask("Hi"))
    assert caught.value.kind is EngineErrorKind.TIMEOUT
    await engine.aclose()


async def test_numbers_of_models_and_counts_may_be_texts(upstream: FakeUpstream) -> None:
    upstream.says(b'{"data":[{"id":"m","max_model_len":"77"}],"input_tokens":"12"}')
    engine = await opened(
        open_messages_api, upstream.url, count="upstream", model=None, context_tokens=None
    )
    assert engine.capabilities.context_tokens == 77
    assert await engine.count_tokens(ask("Hi")) == 12
    await engine.aclose()


async def test_last_event_needs_no_blank_line(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine
) -> None:
    whole = WHOLE[opener].removesuffix(b"data: [DONE]\n\n")
    upstream.streams(whole.removesuffix(b"\n\n"))
    assert text_of(await answer(engine, ask("Hi"))) == "a"


async def test_last_event_that_was_cut_is_left_out(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine
) -> None:
    upstream.streams(WHOLE[opener] + b'data: {"choices":[{"del')
    assert text_of(await answer(engine, ask("Hi"))) == "a"
    upstream.streams(WHOLE[opener].removesuffix(b"data: [DONE]\n\n") + b"data: [DO")
    assert text_of(await answer(engine, ask("Hi"))) == "a"


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream"])
async def test_stream_of_another_type_is_read(
    engine: Engine, upstream: FakeUpstream, opener: OpenEngine, kind: str
) -> None:
    upstream.says(WHOLE[opener], kind=kind)
    assert text_of(await answer(engine, ask("Hi"))) == "a"


async def test_page_for_people_is_no_answer(engine: Engine, upstream: FakeUpstream) -> None:
    upstream.says(b"<html>", kind="text/html")
    assert (await fails(engine)).kind is EngineErrorKind.FAILED


async def test_headers_of_the_operator_are_in_place_of_those_of_the_engine(
    upstream: FakeUpstream, opener: OpenEngine
) -> None:
    sent: list[Mapping[str, str]] = []

    async def script(request: web.Request) -> web.Response:
        sent.append({name: ", ".join(request.headers.getall(name)) for name in own})
        return web.Response(body=WHOLE[opener], content_type="text/event-stream")

    upstream.script = script
    own = {"User-AGENT": "mine", "host": "b.example", "anthropic-beta": "one"}
    engine = await opened(opener, upstream.url, headers=own)
    await answer(engine, ask("Hi"))
    assert sent == [own]
    await engine.aclose()
