"""Claude Code, OpenCode and the Copilot CLI: agents in a terminal."""

import shlex
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from antiphon.cli.command import CommandError
from antiphon.cli.launching.jsonc import JsoncError
from antiphon.cli.launching.merging import merged
from antiphon.cli.launching.program import Program, SettingsFile, Setup
from antiphon.weights.catalogue import CLAUDE_CODE

PROVIDER: Final = "antiphon"
_CLASSES: Final = ("OPUS", "SONNET", "HAIKU", "FABLE")
_PROVIDERS: Final = (
    *("BEDROCK", "MANTLE", "VERTEX", "FOUNDRY"),
    *("ANTHROPIC_AWS", "ANTHROPIC_GOOGLE_CLOUD"),
)
_ELSEWHERE: Final = tuple(f"CLAUDE_CODE_USE_{name}" for name in _PROVIDERS)
_LONG_CONTEXT: Final = 1_000_000
_OPENCODE_SCHEMA: Final = "https://opencode.ai/config.json"
_OPENCODE_CONTENT: Final = "OPENCODE_CONFIG_CONTENT"


def _claude_variables(setup: Setup) -> dict[str, str]:
    context = setup.model.max_input_tokens
    sizes = {
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": context,
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": setup.longest_answer,
    }
    # Without these, the program takes a model of its default class for one of a million tokens.
    is_long = context is not None and context >= _LONG_CONTEXT
    return {
        "ANTHROPIC_BASE_URL": setup.url,
        "ANTHROPIC_AUTH_TOKEN": setup.key.secret,
        # Another key would go before the token.
        "ANTHROPIC_API_KEY": "",
        "ANTHROPIC_MODEL": setup.claude_name,
        **({} if is_long else {"CLAUDE_CODE_DISABLE_1M_CONTEXT": "1"}),
        **{f"ANTHROPIC_DEFAULT_{name}_MODEL": setup.claude_name for name in _CLASSES},
        **{name: str(size) for name, size in sizes.items() if size is not None},
        # What sends it to another server, of those that the user has set.
        **{name: "" for name in _ELSEWHERE if setup.environ.get(name)},
        "CLAUDE_CODE_GATEWAY_HINT_HEADERS": "1",
        "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
    }


def _claude_files(setup: Setup) -> tuple[SettingsFile, ...]:
    folder = setup.environ.get("CLAUDE_CONFIG_DIR")
    path = (Path(folder) if folder else setup.home / ".claude") / "settings.json"
    variables = _claude_variables(setup)
    # A file of settings is no place for a key; this command prints it when it is needed.
    del variables["ANTHROPIC_AUTH_TOKEN"]
    wanted: dict[str, Any] = {"env": variables}
    if setup.key.file is not None:
        wanted["apiKeyHelper"] = f"cat {shlex.quote(str(setup.key.file))}"
    return (SettingsFile(path, partial(merged, wanted=wanted)),)


CLAUDE: Final = Program(
    title="Claude Code",
    command="claude",
    install="`npm install -g @anthropic-ai/claude-code`",
    needs=CLAUDE_CODE,
    page="docs/how-to/use-claude-code.md",
    variables=_claude_variables,
    files=_claude_files,
)


def _opencode_config(setup: Setup) -> dict[str, Any]:
    """Return the server as a provider of its own: that of Anthropic stays what it is."""
    model: dict[str, Any] = {"name": setup.title}
    if setup.model.max_input_tokens is not None:
        model["limit"] = {
            "context": setup.model.max_input_tokens,
            "output": setup.longest_answer,
        }
    return {
        "$schema": _OPENCODE_SCHEMA,
        "provider": {
            PROVIDER: {
                "name": "Antiphon",
                "npm": "@ai-sdk/anthropic",
                "options": {"baseURL": f"{setup.url}/v1", "apiKey": _opencode_key(setup)},
                "models": {setup.model.id: model},
            }
        },
        "model": f"{PROVIDER}/{setup.model.id}",
    }


def _opencode_key(setup: Setup) -> str:
    if setup.key.file is not None:
        return f"{{file:{setup.key.file}}}"
    return f"{{env:{setup.key.variable}}}"


def _opencode_variables(setup: Setup) -> dict[str, str]:
    # What the user says in the same variable goes before this.
    own = setup.environ.get(_OPENCODE_CONTENT, "")
    if own.strip():
        try:
            return {_OPENCODE_CONTENT: merged(own, _opencode_config(setup)).text}
        except JsoncError as error:
            raise CommandError(f"{_OPENCODE_CONTENT} cannot be read: {error}") from error
    return {_OPENCODE_CONTENT: msgspec.json.encode(_opencode_config(setup)).decode()}


def _opencode_files(setup: Setup) -> tuple[SettingsFile, ...]:
    folder = setup.config_folder / "opencode"
    names = ("opencode.jsonc", "opencode.json")
    path = next((folder / name for name in names if (folder / name).exists()), folder / names[1])
    return (SettingsFile(path, partial(merged, wanted=_opencode_config(setup))),)


OPENCODE: Final = Program(
    title="OpenCode",
    command="opencode",
    install="`npm install -g opencode-ai`",
    needs=16_000,
    page="docs/how-to/clients/opencode.md",
    variables=_opencode_variables,
    files=_opencode_files,
)


def _copilot_variables(setup: Setup) -> dict[str, str]:
    context, answer = setup.model.max_input_tokens, setup.longest_answer
    sizes = {
        "COPILOT_PROVIDER_MAX_PROMPT_TOKENS": context - answer if context and answer else None,
        "COPILOT_PROVIDER_MAX_OUTPUT_TOKENS": answer,
    }
    return {
        "COPILOT_PROVIDER_TYPE": "anthropic",
        "COPILOT_PROVIDER_BASE_URL": setup.url,
        "COPILOT_PROVIDER_API_KEY": setup.key.secret,
        "COPILOT_MODEL": setup.model.id,
        **{name: str(size) for name, size in sizes.items() if size is not None},
    }


COPILOT: Final = Program(
    title="Copilot CLI",
    command="copilot",
    install="`npm install -g @github/copilot`",
    needs=32_000,
    page="docs/how-to/clients/copilot-cli.md",
    variables=_copilot_variables,
)
