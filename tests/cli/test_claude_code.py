"""The note on models whose context is too small for Claude Code."""

from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.claude_code import PAGE, context_note
from antiphon.engines.base import Engine, EngineConfig
from antiphon.engines.scripted import open_scripted
from antiphon.service.models import Models, ModelSource
from antiphon.settings import ModelSettings
from antiphon.weights.catalogue import Machine, best, read_catalogue
from engines.llama.test_memory import gguf

pytestmark = pytest.mark.anyio


async def opened(_: str, config: EngineConfig) -> Engine:
    return await open_scripted(EngineConfig(config.model, options=config.options))


async def note(
    tmp_path: Path, *models: dict[str, Any], trained: int | None = None, memory: int = 5 << 30
) -> str | None:
    weights: tuple[Path | None, ...] = (None,)
    if trained is not None:
        file = tmp_path / "model.gguf"
        file.write_bytes(gguf({"general.architecture": "llama", "llama.context_length": trained}))
        weights = (file,)
    sources = [ModelSource(ModelSettings(engine="scripted", **one), weights) for one in models]
    served = Models(sources, tmp_path, opened)
    await served.open()
    return context_note(served, sources, lambda: best(Machine(memory), read_catalogue()))


def model(context: int, name: str = "small", alias: str = "claude-*") -> dict[str, Any]:
    return {"id": name, "aliases": (alias,), "options": {"context_tokens": context}}


async def test_model_with_enough_context_has_no_note(tmp_path: Path) -> None:
    assert await note(tmp_path, model(32_768)) is None


async def test_model_that_claude_code_does_not_ask_for_has_no_note(tmp_path: Path) -> None:
    assert await note(tmp_path, model(8192, alias="gpt-*"), model(40_000, "big", "x-*")) is None


async def test_model_that_can_have_more_is_told_with_the_setting(tmp_path: Path) -> None:
    assert await note(tmp_path, model(8192), trained=131_072) == (
        "Claude Code needs about 32,000 tokens of context; small has 8,192. "
        "It can have more: set `[llama] context = 32768` (docs/how-to/use-claude-code.md)."
    )


async def test_model_that_cannot_have_more_is_told_with_the_command(tmp_path: Path) -> None:
    said = await note(tmp_path, model(40_000, "big", "claude-b*"), model(8192), trained=8192)
    assert said == (
        "Claude Code needs about 32,000 tokens of context; small has 8,192 and can have no more. "
        "Choose another one: `antiphon serve --model qwen3.5-4b` (docs/how-to/use-claude-code.md)."
    )


async def test_machine_without_room_for_a_better_model_is_told_of_a_file(tmp_path: Path) -> None:
    said = await note(tmp_path, model(8192), trained=8192, memory=1 << 30)
    assert said is not None
    assert "`antiphon serve --model FILE.gguf`" in said


async def test_model_of_another_server_is_told_without_a_file(tmp_path: Path) -> None:
    said = await note(tmp_path, model(8192))
    assert said is not None
    assert "Give its server more" in said


def test_page_that_the_note_names_exists() -> None:
    assert (Path(__file__).parents[2] / PAGE).is_file()
