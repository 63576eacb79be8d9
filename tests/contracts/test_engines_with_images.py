"""What every engine that takes images must do; see test_engines.py."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from antiphon.engines.base import Engine, EngineConfig, Prompt, Turn
from antiphon.engines.llama.engine import open_llama
from antiphon.engines.scripted import open_scripted
from antiphon.engines.upstream.chat_completions.engine import open_chat_completions
from antiphon.engines.upstream.messages_api.engine import open_messages_api
from antiphon.wire.content import ContentParam, ImageParam, TextParam, ToolResultParam, ToolUseParam
from support import images
from support.conversation import answer, tokens_in, turn
from support.images import image_param
from support.upstreams import EngineWithServer, antiphon_server, llama_server

pytestmark = pytest.mark.anyio

Open = Callable[[Path, Path], Awaitable[Engine]]

WHAT = TextParam(text="What is this?")
PNG = image_param()
JPEG = image_param(images.JPEG, "image/jpeg")
GIF = image_param(images.GIF, "image/gif")


async def llama(tiny_model: Path, projector: Path) -> Engine:
    options = {"context": 1024, "slots": 4, "threads": 1, "mmproj": str(projector)}
    return await open_llama(EngineConfig("llama", tiny_model, options))


async def llama_at_a_url(tiny_model: Path, projector: Path) -> Engine:
    """In front of a llama-server whose `/props` say that it sees."""
    server = llama_server(tiny_model, projector)
    options = await server.__aenter__()
    return EngineWithServer(await open_llama(EngineConfig("llama", options=options)), server)


async def scripted(_: Path, __: Path) -> Engine:
    return await open_scripted(EngineConfig("scripted", options={"images": True}))


async def chat_completions(tiny_model: Path, projector: Path) -> Engine:
    server = llama_server(tiny_model, projector)
    options = {**await server.__aenter__(), "images": True}
    engine = await open_chat_completions(EngineConfig("chat_completions", options=options))
    return EngineWithServer(engine, server)


async def messages_api(tiny_model: Path, projector: Path) -> Engine:
    """In front of llama.cpp's own `/v1/messages`."""
    server = llama_server(tiny_model, projector)
    options = await server.__aenter__()
    engine = await open_messages_api(EngineConfig("messages_api", options=options))
    return EngineWithServer(engine, server)


async def messages_api_on_antiphon(tiny_model: Path, projector: Path) -> Engine:
    """In front of a whole Antiphon."""
    server = antiphon_server(tiny_model, projector)
    options = await server.__aenter__()
    engine = await open_messages_api(EngineConfig("messages_api", options=options))
    return EngineWithServer(engine, server)


ENGINES: list[Open] = [
    llama,
    llama_at_a_url,
    scripted,
    chat_completions,
    messages_api,
    messages_api_on_antiphon,
]


@pytest.fixture(scope="module")
async def engine(
    request: pytest.FixtureRequest,
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    tiny_model: Path,
    projector: Path,
) -> AsyncIterator[Engine]:
    engine = await request.param(tiny_model, projector)
    yield engine
    await engine.aclose()


def ask(*content: ContentParam) -> Prompt:
    return Prompt((Turn("user", content),), 4, 0.0)


def after_a_call(*content: TextParam | ImageParam) -> Prompt:
    call = ToolUseParam(id="toolu_1", name="look", input={})
    result = ToolResultParam(tool_use_id="toolu_1", content=list(content))
    turns = (turn("user", "Look."), Turn("assistant", (call,)), Turn("user", (result,)))
    return Prompt(turns, 4, 0.0)


async def test_engine_declares_images(engine: Engine) -> None:
    assert engine.capabilities.images
    assert engine.capabilities.image_types >= {"image/png", "image/jpeg", "image/gif"}


async def test_prompt_with_images_is_answered(engine: Engine) -> None:
    for prompt in (ask(WHAT, PNG), ask(PNG, JPEG, WHAT, GIF), after_a_call(WHAT, PNG)):
        assert tokens_in(await answer(engine, prompt)) > 0


async def test_every_image_adds_tokens_to_the_count(engine: Engine) -> None:
    none, one, two = (ask(WHAT), ask(WHAT, PNG), ask(WHAT, PNG, PNG))
    counts = [await engine.count_tokens(prompt) for prompt in (none, one, two)]
    assert counts[0] < counts[1] < counts[2]
    assert counts[1] == await engine.count_tokens(ask(WHAT, PNG))
    assert counts[2] - counts[0] < 50, "no image is counted as its base64"


async def test_image_in_a_tool_result_adds_tokens_to_the_count(engine: Engine) -> None:
    without = await engine.count_tokens(after_a_call(WHAT))
    assert without < await engine.count_tokens(after_a_call(WHAT, PNG)) < without + 50
