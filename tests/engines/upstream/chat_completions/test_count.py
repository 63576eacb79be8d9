"""How tokens are counted, on servers that can and on servers that cannot."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from antiphon.engines.base import (
    Engine,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    Prompt,
    Tool,
    Turn,
)
from antiphon.engines.upstream.chat_completions.engine import open_chat_completions
from antiphon.engines.upstream.options import TURN_TOKENS
from antiphon.wire.content import TextParam
from support import images
from support.conversation import ask
from support.images import image_param
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


async def opened(url: str, **options: Any) -> Engine:
    given = {"url": url, "model": "m", "context_tokens": 1000, **options}
    return await open_chat_completions(EngineConfig("m", options=given))


def serve(upstream: FakeUpstream, **paths: Any) -> None:
    async def script(request: web.Request) -> web.Response:
        said = paths.get(request.path.strip("/").replace("-", "_"), 404)
        return web.Response(status=said) if isinstance(said, int) else web.json_response(said)

    upstream.script = script


async def test_llama_server_counts_its_rendered_template(upstream: FakeUpstream) -> None:
    serve(upstream, apply_template={"prompt": "<user>Hi"}, tokenize={"tokens": [1, 2, 3]})
    engine = await opened(upstream.url)
    assert await engine.count_tokens(ask("Hi")) == 3
    assert upstream.asked[-1][2]["content"] == "<user>Hi"
    await engine.aclose()


async def test_vllm_counts_messages(upstream: FakeUpstream) -> None:
    serve(upstream, tokenize={"count": 7, "tokens": [1]})
    engine = await opened(upstream.url)
    assert await engine.count_tokens(ask("Hi")) == 7
    assert await engine.count_tokens(ask("Ho")) == 7
    assert [path for path, *_ in upstream.asked] == ["/apply-template", "/tokenize", "/tokenize"]
    await engine.aclose()


def seen(text: str) -> Prompt:
    content = (TextParam(text=text), image_param(images.png(56, 57)))
    return Prompt((Turn("user", content),), 8)


async def test_llama_server_counts_images(upstream: FakeUpstream) -> None:
    serve(upstream, **{"v1/chat/completions/input_tokens": {"input_tokens": 36}})
    engine = await opened(upstream.url, images=True)
    assert await engine.count_tokens(seen("Hi")) == 36
    ((_, _, asked),) = upstream.asked
    assert asked["messages"][0]["content"][1]["type"] == "image_url"
    await engine.aclose()


async def test_uncounted_images_are_added_as_the_api_counts_them(upstream: FakeUpstream) -> None:
    serve(upstream, tokenize={"count": 7})
    engine = await opened(upstream.url, images=True)
    for _ in range(2):
        assert await engine.count_tokens(seen("Hi")) == 7 + 2 * 3
    paths = [path for path, *_ in upstream.asked]
    assert paths.count("/v1/chat/completions/input_tokens") == 1
    assert upstream.asked[-1][2]["messages"] == [{"role": "user", "content": "Hi\n"}]
    await engine.aclose()


async def test_images_that_are_refused_are_not_estimated(upstream: FakeUpstream) -> None:
    serve(upstream, **{"v1/chat/completions/input_tokens": 400})
    engine = await opened(upstream.url, images=True)
    with pytest.raises(EngineError) as error:
        await engine.count_tokens(seen("Hi"))
    assert error.value.kind is EngineErrorKind.UNSUPPORTED
    await engine.aclose()


@pytest.mark.parametrize("tokenize", [404, 400, {"tokens": []}])
async def test_a_server_that_cannot_count_is_asked_once(
    upstream: FakeUpstream, tokenize: Any
) -> None:
    serve(upstream, tokenize=tokenize)
    engine = await opened(upstream.url)
    for _ in range(3):
        assert await engine.count_tokens(ask("Hello")) == 2 + TURN_TOKENS
    assert len(upstream.asked) == 2
    await engine.aclose()


async def test_concurrent_first_counts_all_succeed(upstream: FakeUpstream) -> None:
    serve(upstream, tokenize={"count": 7})
    engine = await opened(upstream.url)
    counts = await asyncio.gather(*(engine.count_tokens(ask("Hi")) for _ in range(20)))
    assert counts == [7] * 20
    await engine.aclose()


async def test_a_prompt_is_counted_once(upstream: FakeUpstream) -> None:
    serve(upstream, tokenize={"count": 7})
    engine = await opened(upstream.url)
    prompt = ask("Hi")
    assert await engine.count_tokens(prompt) == await engine.count_tokens(prompt)
    assert len(upstream.asked) == 2
    await engine.aclose()


async def test_failed_count_is_an_error_and_no_estimate(upstream: FakeUpstream) -> None:
    serve(upstream, apply_template=503)
    engine = await opened(upstream.url)
    with pytest.raises(EngineError) as caught:
        await engine.count_tokens(ask("Hi"))
    assert caught.value.kind is EngineErrorKind.OVERLOADED
    await engine.aclose()


async def test_estimates_need_no_server() -> None:
    engine = await opened("http://127.0.0.1:1", count="estimate")
    short = await engine.count_tokens(ask("Hi"))
    prompt = ask("Hi", "Hello there, how are you?")
    assert await engine.count_tokens(prompt) > short
    tool = Tool(name="f", input_schema={"type": "object"})
    assert await engine.count_tokens(type(prompt)(prompt.turns, 1, tools=(tool,))) > short + 10
    await engine.aclose()
