"""What the welcome of a server says of each model."""

from collections.abc import Awaitable, Callable

import pytest

from antiphon.cli.welcome import model_line
from antiphon.engines.base import Engine, EngineConfig
from antiphon.engines.registry import open_engine
from antiphon.service.platform import Platform
from antiphon.settings import EngineSettings, ModelSettings
from support.templates import CHATML, QWEN_LIKE
from support.word_machine import THINKING, WordMachine, word_engine

pytestmark = pytest.mark.anyio

TEMPLATES = {"plain": CHATML, "native": QWEN_LIKE, "thinking": THINKING}


async def opened(engine: str, config: EngineConfig) -> Engine:
    if engine == "scripted":
        return await open_engine(engine, config)
    return await word_engine(WordMachine(), TEMPLATES[engine])


async def lines(platform: Callable[..., Awaitable[Platform]], *engines: str) -> list[str]:
    others = [
        ModelSettings(id=f"{engine}-model", engine=engine, aliases=(), options={})
        for engine in engines
    ]
    started = await platform(open_engine=opened, others=others)
    return [model_line(model) for model in started.models.served]


async def test_model_is_told_with_its_calls_its_thoughts_and_its_context(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    plain, native, thinking = (await lines(platform, "plain", "native", "thinking"))[1:]
    indent = "\n" + " " * 11
    general = "general tools (it has no calls)"
    assert plain == f"plain-model: {general}, no thoughts, 10,000{indent}tokens of context"
    assert native == "native-model: native tools, no thoughts, 10,000 tokens of context"
    assert thinking == f"thinking-model: {general}, thoughts, 10,000{indent}tokens of context"


async def test_engine_that_knows_no_format_of_calls_tells_the_rest(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    (line,) = await lines(platform)
    assert line.startswith("scripted: thoughts, ")
    assert line.endswith(" tokens of context")


async def test_model_of_several_engines_is_general_if_one_of_them_is(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    model = ModelSettings(
        id="both",
        engines=(EngineSettings(engine="native"), EngineSettings(engine="plain")),
    )
    started = await platform(open_engine=opened, others=[model])
    line = model_line(started.models.find("both"))
    assert line.startswith("both: general tools (it has no calls), no thoughts")
