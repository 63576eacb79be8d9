"""The chat templates that a GGUF file has: one, several, or none."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from antiphon.core.prompt import Tool
from antiphon.engines.base import EngineConfig, EngineStartError
from antiphon.engines.llama.engine import LlamaEngine, open_llama
from antiphon.engines.llama.gguf import MOST_BYTES, MOST_KEYS, has_template
from antiphon.engines.token.prompt.family_templates import FAMILIES, Family
from support.conversation import ask
from support.logs import capture_logs
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


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
async def test_model_without_a_template_has_that_of_its_tokens(
    stack: AsyncExitStack, weights: Callable[..., Path], family: Family
) -> None:
    with capture_logs() as lines:
        engine = await opened(stack, weights({}, ("<s>", *family.marks)))
    told = [line for line in lines if "has no chat template" in line["event"]]
    assert [(line["family"], line["log_level"]) for line in told] == [(family.name, "warning")]
    tokens = await engine.tokens_of(ask("Hello."))
    # Each mark is one token: the first ones of the tiny model's vocabulary.
    written = {mark for mark in family.marks if mark in await prompt_of(engine)}
    assert written
    assert {family.marks.index(mark) + 1 for mark in written} <= {*tokens}


async def test_model_without_a_template_and_a_family_is_refused(
    stack: AsyncExitStack, weights: Callable[..., Path], tmp_path: Path
) -> None:
    file = weights({}, ("<s>", "[INST]", "[/INST]", "</s>"))
    with pytest.raises(EngineStartError) as refused:
        await opened(stack, file)
    assert "`tiny`: its file has no chat template" in str(refused.value)
    assert 'chat_template = "./my-template.jinja"' in str(refused.value)
    named = tmp_path / "mine.jinja"
    named.write_text("{% for m in messages %}[INST]{{ m.content }}[/INST]{% endfor %}")
    engine = await opened(stack, file, chat_template=str(named))
    assert await prompt_of(engine) == "[INST]Hello.[/INST]"


async def test_template_of_a_file_stays_whatever_its_tokens_are(
    stack: AsyncExitStack, weights: Callable[..., Path]
) -> None:
    """It may write ChatML as plain text, as models do that were trained without new tokens."""
    engine = await opened(stack, weights({"": CHATML}, ("<s>", "</s>")))
    assert (await prompt_of(engine)).startswith("<|im_start|>user\nHello.")


def test_template_is_found_behind_the_tokens(weights: Callable[..., Path]) -> None:
    assert has_template(weights({"": CHATML}))
    assert has_template(weights({"tool_use": CHATML}))
    assert not has_template(weights({}))


@pytest.mark.parametrize("size", [0, 3, 30, 1_000])
def test_file_that_is_cut_off_is_taken_to_have_a_template(
    weights: Callable[..., Path], size: int
) -> None:
    file = weights({})
    file.write_bytes(file.read_bytes()[:size])
    assert has_template(file)


def test_file_of_something_else_is_taken_to_have_a_template(tmp_path: Path) -> None:
    file = tmp_path / "other.gguf"
    file.write_bytes(b"GGUF" + (9).to_bytes(4, "little") + bytes(100))
    assert has_template(file)


@pytest.mark.parametrize(("keys", "length"), [(MOST_KEYS + 1, 1), (1, MOST_BYTES + 1)])
def test_header_that_is_too_large_is_not_read_to_its_end(
    tmp_path: Path, keys: int, length: int
) -> None:
    """A file may be of a stranger, and have holes: what it says would take minutes."""
    file = tmp_path / "large.gguf"
    key = length.to_bytes(8, "little") + bytes(length) + bytes(4) + bytes(1)
    head = b"GGUF" + (3).to_bytes(4, "little") + bytes(8) + keys.to_bytes(8, "little")
    file.write_bytes(head + key * keys)
    assert has_template(file)
