"""Zed and VS Code: editors, which find models by their files of settings."""

from functools import partial
from pathlib import Path
from typing import Any, Final

from antiphon.cli.launching.agents import CLAUDE
from antiphon.cli.launching.merging import merged, with_item
from antiphon.cli.launching.program import Program, SettingsFile, Setup

# Zed makes the name of a variable of this one, which must not be that of a setting of Antiphon.
ZED_PROVIDER: Final = "Local Antiphon"
ZED_VARIABLE: Final = "LOCAL_ANTIPHON_API_KEY"
_USUAL_CONTEXT: Final = 32_768
"""What stands for the context of a model that does not tell it, where an editor wants a number."""


def _context(setup: Setup) -> int:
    return setup.model.max_input_tokens or _USUAL_CONTEXT


def _answer(setup: Setup) -> int:
    return min(setup.longest_answer or _USUAL_CONTEXT, _context(setup) // 4)


def _zed_files(setup: Setup) -> tuple[SettingsFile, ...]:
    model = {
        "name": setup.model.id,
        "display_name": setup.title,
        # Zed's name of the context.
        "max_tokens": _context(setup),
        "max_output_tokens": _answer(setup),
        "capabilities": {"tools": True, "images": False, "prompt_caching": True},
    }
    provider = {"api_url": setup.url, "available_models": [model]}
    wanted = {"language_models": {"anthropic_compatible": {ZED_PROVIDER: provider}}}
    path = setup.config_folder / "zed" / "settings.json"
    return (SettingsFile(path, partial(merged, wanted=wanted)),)


ZED: Final = Program(
    title="Zed",
    command="zed",
    install="see https://zed.dev/download",
    needs=16_000,
    page="docs/how-to/clients/zed.md",
    variables=lambda setup: {ZED_VARIABLE: setup.key.secret},
    files=_zed_files,
    has_variables=False,
    afterwards=f"Zed finds the key in {ZED_VARIABLE}, which `antiphon launch zed` sets, or asks "
    "for it in its settings of language models.",
)


def _vscode_files(setup: Setup) -> tuple[SettingsFile, ...]:
    answer = _answer(setup)
    model: dict[str, Any] = {
        "id": setup.model.id,
        "name": setup.title,
        "url": f"{setup.url}/v1/messages",
        "toolCalling": True,
        "vision": False,
        # Of the prompt alone: VS Code takes the sum of both for the context.
        "maxInputTokens": _context(setup) - answer,
        "maxOutputTokens": answer,
    }
    wanted = {
        "name": "Antiphon",
        "vendor": "customendpoint",
        "apiKey": "${input:antiphonKey}",
        "apiType": "messages",
        "models": [model],
    }
    path = _vscode_folder(setup) / "chatLanguageModels.json"
    return (SettingsFile(path, partial(with_item, wanted=wanted)),)


def _vscode_folder(setup: Setup) -> Path:
    if setup.platform == "darwin":
        return setup.home / "Library/Application Support/Code/User"
    return setup.config_folder / "Code/User"


VSCODE: Final = Program(
    title="VS Code",
    command="code",
    install="see https://code.visualstudio.com/download",
    needs=16_000,
    page="docs/how-to/clients/vs-code.md",
    # Those of Claude Code, for its extension.
    variables=CLAUDE.variables,
    files=_vscode_files,
    has_variables=False,
    afterwards="VS Code asks for the key when the model is first used; `antiphon launch vscode "
    "--show-key` prints it.",
)
