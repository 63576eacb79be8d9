"""The chat templates that a GGUF file has: one, several, or none."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from antiphon.core.prompt import Tool
from antiphon.engines.base import EngineConfig
from antiphon.engines.llama.engine import LlamaEngine, open_llama
from support.conversation import ask
from support.templates import CHATML, QWEN_LIKE
from support.tiny_models import CONTROL, Kind, write_model

pytestmark = pytest.mark.anyio

OPTIONS = {"context": 512, "slots": 1, "threads": 1, "batch_child": False}
LOOK = Tool(name="look", description="Look at it.", input_schema={"type": "object"})
PREFACE = "{% if tools %}Tools!{% else %}No tools!{% endif %}\n" + QWEN_LIKE


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def weights(tmp_path: Path) -> Callable[..., Path]:
    def write(templates: Mapping[str, str], control: Sequence[str] = CONTROL) -> Path:
        path = tmp_path / "tiny.gguf"
        return write_model(Kind.ATTENTION, path, templates=templates, control=control)

    return write


async def opened(stack: AsyncExitStack, weights: Path, **options: object) -> LlamaEngine:
    engine = await open_llama(EngineConfig("tiny", weights, {**OPTIONS, **options}))
    stack.push_async_callback(engine.aclose)
    return engine


async def prompt_of(engine: LlamaEngine, *tools: Tool) -> str:
    tokens = await engine.tokens_of(replace(ask("Hello."), tools=tools))
    return await engine.machine.client.detokenize(tokens)


async def test_template_for_tools_is_used_with_tools(
    stack: AsyncExitStack, weights: Callable[..., Path]
) -> None:
    engine = await opened(stack, weights({"": CHATML, "tool_use": PREFACE, "rag": "RAG"}))
    assert (await prompt_of(engine)).startswith("<|im_start|>user\nHello.")
    assert (await prompt_of(engine, LOOK)).startswith("Tools!")
