"""The official SDK's tool runner completes a loop of ten calls in the notation of each template.

Every prompt of the loop is, byte for byte, what Jinja renders by itself of the same messages in the
form of transformers: with thoughts where the template keeps them, and without where it does not.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from antiphon.engines.base import Engine, EngineConfig
from antiphon.engines.registry import open_engine
from antiphon.server.app import build_app
from antiphon.service.platform import Platform
from antiphon.settings import ModelSettings
from support.connections import listening
from support.native_templates import GENERAL, NATIVE
from support.template_corpus import template_corpus
from support.tool_loop import ANSWER, ROUNDS, Model, given, loop_of

pytestmark = pytest.mark.anyio

FAMILIES = (
    "GLM-4.6",
    "Kimi-K2-Thinking",
    "LFM2.5-8B-A1B",
    "MiniMax-M2",
    "Qwen-Qwen3-0.6B",
    "Qwen3.5-4B",
    "deepseek-ai-DeepSeek-V3.2",
    "google-gemma-4-31B-it",
    "mistralai-Ministral-3-14B-Reasoning-2512",
    "openai-gpt-oss-120b",
)
OTHERS = [name for name in (*NATIVE, *GENERAL) if name not in FAMILIES]


async def complete(
    platform: Callable[..., Awaitable[Platform]], models: dict[str, Model]
) -> dict[str, list[int]]:
    """Run the loop on each model, and return where prompts were not those of the reference."""

    async def opened(engine: str, config: EngineConfig) -> Engine:
        if engine == "scripted":
            return await open_engine(engine, config)
        return await models[engine].engine()

    others = [ModelSettings(id=name, engine=name, aliases=(), options={}) for name in models]
    started = await platform(open_engine=opened, others=others)
    found = {}
    async with listening(build_app(started)) as server:
        for name, model in models.items():
            loop = await loop_of(f"http://127.0.0.1:{server.port}", name, model)
            calls = [
                block.input
                for message in loop.messages
                for block in message.content
                if block.type == "tool_use"
            ]
            assert calls == [given(number) for number in range(ROUNDS)], name
            last = loop.messages[-1]
            texts = [block.text for block in last.content if block.type == "text"]
            assert (texts, last.stop_reason) == ([ANSWER], "end_turn"), name
            thoughts = [block.type for block in last.content if block.type == "thinking"]
            assert bool(thoughts) == model.thinks, name
            found[name] = loop.other_prompts
    return found


def models_of(models_dir: Path, names: list[str]) -> dict[str, Model]:
    corpus = template_corpus(models_dir)
    return {name: Model(corpus[name]) for name in names}


async def test_loop_of_ten_calls_is_rendered_as_by_the_reference(
    platform: Callable[..., Awaitable[Platform]], models_dir: Path
) -> None:
    models = models_of(models_dir, [*FAMILIES])
    assert await complete(platform, models) == {name: [] for name in FAMILIES}
    assert sum(model.thinks for model in models.values()) >= 7


@pytest.mark.soak
async def test_loop_of_every_native_template_is_rendered_as_by_the_reference(
    platform: Callable[..., Awaitable[Platform]], models_dir: Path
) -> None:
    models = models_of(models_dir, OTHERS)
    assert await complete(platform, models) == {name: [] for name in OTHERS}
