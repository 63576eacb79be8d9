"""The note on models whose context is too small for Claude Code."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.cli.claude_code import PAGE, context_note, more_context
from antiphon.engines.base import Engine, EngineConfig
from antiphon.engines.scripted import open_scripted
from antiphon.service.models import Models, ModelSource
from antiphon.settings import ModelSettings
from antiphon.weights.catalogue import Machine, best, read_catalogue
from engines.llama.test_memory import LLAMA, gguf

pytestmark = pytest.mark.anyio


async def opened(_: str, config: EngineConfig) -> Engine:
    return await open_scripted(EngineConfig(config.model, options=config.options))


async def note(
    tmp_path: Path,
    *models: dict[str, Any],
    trained: int | None = None,
    slots: int | None = None,
    memory: int = 5 << 30,
) -> str | None:
    weights: tuple[Path | None, ...] = (None,)
    if trained is not None:
        file = tmp_path / "model.gguf"
        facts = LLAMA if slots is not None else {"general.architecture": "llama"}
        file.write_bytes(gguf({**facts, "llama.context_length": trained}))
        weights = (file,)
    sources = [ModelSource(ModelSettings(engine="scripted", **one), weights) for one in models]
    served = Models(sources, tmp_path, opened)
    await served.open()
    if slots is not None:
        of_llama = {"slots": slots}
        sources = [
            replace(one, settings=replace(one.settings, engine="llama", options=of_llama))
            for one in sources
        ]
    return context_note(served, sources, lambda: best(Machine(memory), read_catalogue()))


def model(context: int, name: str = "small", alias: str = "claude-*") -> dict[str, Any]:
    return {"id": name, "aliases": (alias,), "options": {"context_tokens": context}}


async def test_model_with_enough_context_has_no_note(tmp_path: Path) -> None:
    assert await note(tmp_path, model(57_344)) is None
    assert await note(tmp_path, model(40_000)) is not None


async def test_model_that_claude_code_does_not_ask_for_has_no_note(tmp_path: Path) -> None:
    assert await note(tmp_path, model(8192, alias="gpt-*"), model(40_000, "big", "x-*")) is None


ANOTHER = "choose another model: `antiphon serve --model qwen3.5-4b`"
START = "small on this machine: {} tokens of context; Claude Code needs about 57,000: "


@pytest.mark.parametrize(
    ("context", "slots", "advice"),
    [
        (38_400, 4, "set `[llama] slots = 2`, and each has 76,800"),
        (16_384, 4, "set `[llama] slots = 1`, and each has 65,536"),
        (43_008, 4, "set `[llama] slots = 3`, and each has 57,344"),
        # It has half of its context in each of many slots, and was made for no more.
        (56_832, 64, "set `[llama] slots = 63`, and each has 57,600"),
        (
            8_192,
            4,
            f"with `[llama] slots = 1` it has 32,768 at most, so {ANOTHER}",
        ),
    ],
)
async def test_model_that_lacks_memory_is_told_how_many_slots_leave_enough(
    tmp_path: Path, context: int, slots: int, advice: str
) -> None:
    said = await note(tmp_path, model(context), trained=262_144, slots=slots)
    assert said == f"{START.format(f'{context:,}')}{advice} ({PAGE})."


async def test_model_of_unknown_memory_is_told_with_a_context_to_try(tmp_path: Path) -> None:
    said = await note(tmp_path, model(8192), trained=131_072)
    assert said is not None
    assert said.endswith(f"is not known; try `[llama] context = 65536` ({PAGE}).")


async def test_context_of_the_settings_is_told_to_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf({**LLAMA, "llama.context_length": 131_072}))
    settings = ModelSettings(id="small", options={"context": 8192})
    assert more_context(ModelSource(settings, (file,)), 8192) == (
        "leave out `[llama] context`, and a start takes what fits into memory"
    )


async def test_model_that_cannot_have_more_is_told_with_the_command(tmp_path: Path) -> None:
    said = await note(tmp_path, model(60_000, "big", "claude-b*"), model(8192), trained=8192)
    assert said == (f"{START.format('8,192')}it was made for 8,192, so {ANOTHER} ({PAGE}).")


async def test_machine_without_room_for_a_better_model_is_told_of_a_file(tmp_path: Path) -> None:
    said = await note(tmp_path, model(8192), trained=8192, memory=1 << 30)
    assert said is not None
    assert "`antiphon serve --model FILE.gguf`" in said


async def test_model_of_another_server_is_told_without_a_file(tmp_path: Path) -> None:
    said = await note(tmp_path, model(8192))
    assert said is not None
    assert "57,000: give its server more (" in said


def test_page_that_the_note_names_exists() -> None:
    assert (Path(__file__).parents[2] / PAGE).is_file()
