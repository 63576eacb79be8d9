"""The settings as people may see them: no secret, and nothing that may hold one.

What is shown of a table that engines decode is an allow-list: an option of an engine from elsewhere
may be anything.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from antiphon.secret import Secret
from antiphon.service.setting_lines import file_line, variable_line
from antiphon.service.setting_texts import SETTING_TEXTS
from antiphon.setting_places import SettingSource, leaves
from antiphon.settings import OF_ONE_MODEL, ModelSettings, Settings
from antiphon.wire.admin.settings import (
    EngineOptionInfo,
    EngineSettingsInfo,
    ModelSettingsInfo,
    SettingInfo,
    SettingValue,
)

_SECRETS: Final = frozenset({"database_url", "counters_url", "api_key", "admin_key", "hub_token"})
# What a name ends in that is a secret, also of a setting that is no `Secret`.
_SECRET_NAME: Final = re.compile(r"(?:^|[._])(?:api_key|key|password|secret|token)\Z")
# What describes models stands with them.
_OF_MODELS: Final = ("price", "models", "llama", "scripted", "sources")

_KNOWN_ENGINES: Final = frozenset(
    {"llama", "scripted", "chat_completions", "messages_api", "vllm", "sglang"}
)
# The texts among their options that neither identify anybody nor are a caller's or a prompt's.
_SHOWN_TEXTS: Final = frozenset(
    {"model", "count", "version", "max_tokens_field", "force_with", "thinking_switch"}
)


def shown_settings(settings: Settings) -> tuple[SettingInfo, ...]:
    """Return every setting but those of models.

    Those of the one model are left out where a file lists the models: they have no effect there.
    """
    hidden = {*_OF_MODELS, *(OF_ONE_MODEL if settings.models else ())}
    return tuple(
        _setting(leaf.path, leaf.value, leaf.default, settings.sources)
        for leaf in leaves(settings)
        if leaf.path.partition(".")[0] not in hidden
    )


def shown_model(model: ModelSettings) -> ModelSettingsInfo:
    """Return a model with the options of its engines."""
    return ModelSettingsInfo(
        id=model.id,
        aliases=model.aliases,
        limit_group=model.limit_group or model.id,
        cache_minimum_tokens=model.cache_minimum_tokens,
        has_price=model.price is not None,
        engines=tuple(
            EngineSettingsInfo(
                engine=one.engine,
                weight=one.weight,
                source=None if one.source is None else without_secrets(one.source),
                options=tuple(
                    EngineOptionInfo(name=name, value=_option(one.engine, name, value))
                    for name, value in one.options.items()
                ),
            )
            for one in model.runs_on()
        ),
    )


def without_secrets(address: str) -> str:
    """Return a URL without user, password, query and fragment, which may be secrets.

    What is no URL stays as it is; a URL that cannot be read is `…`.
    """
    if "://" not in address:
        return address
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "…"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def _setting(
    path: str, value: Any, default: Any, sources: Mapping[str, SettingSource]
) -> SettingInfo:
    secret = isinstance(value, Secret) or path in _SECRETS or bool(_SECRET_NAME.search(path))
    source = sources.get(path, SettingSource())
    shown = None if secret else _value(value)
    return SettingInfo(
        name=path,
        value=shown,
        default=None if secret else _value(default),
        is_set=value is not None,
        is_secret=secret,
        source=source.kind,
        place=source.place,
        text=SETTING_TEXTS.get(path, ""),
        file_line=file_line(path, shown),
        variable_line=variable_line(path, shown),
    )


def _value(value: Any) -> SettingValue:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return without_secrets(value)
        case Path() | Decimal():
            return str(value)
        case tuple() | list():
            return tuple(without_secrets(str(one)) for one in value)
        case _:
            # A table of another kind: what is in it is not known here.
            return None


def _option(engine: str, name: str, value: Any) -> SettingValue:
    if engine not in _KNOWN_ENGINES or _SECRET_NAME.search(name):
        return None
    match value:
        case bool() | int() | float():
            return value
        case str() if name == "url":
            return without_secrets(value)
        case str() if name in _SHOWN_TEXTS:
            return value
        case _:
            return None
