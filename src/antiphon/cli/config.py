"""`antiphon config`: writes a file of settings, and shows which settings count."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from antiphon.cli.command import actions_of, add_command
from antiphon.cli.new_file import new_file
from antiphon.cli.output import hint, say, say_json
from antiphon.cli.tables import TableForm, say_table
from antiphon.service.settings_file import settings_file_text
from antiphon.service.shown_settings import shown_model, shown_settings
from antiphon.settings import CONFIG_FILE, Settings, settings_file
from antiphon.wire.admin.settings import EngineSettingsInfo, SettingInfo, SettingValue

_HIDDEN = "(secret)"
_FORM = TableForm(
    empty="No setting is set: every one has its default.",
    texts=("value", "from"),
)


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    init = add_command(
        actions,
        "init",
        lambda arguments, _: _init(arguments),
        "write antiphon.toml, with every setting as a comment",
        json=False,
    )
    # It writes a file that is not there yet, and settings elsewhere may be wrong.
    init.set_defaults(without_settings=lambda arguments, _: _init(arguments))
    show = add_command(actions, "show", _show, "show which settings count, and where each is set")
    show.add_argument("--set", action="store_true", help="only those that are set")


def _init(arguments: argparse.Namespace) -> int:
    path = arguments.config or Path(CONFIG_FILE)
    with new_file(path) as file:
        file.write(settings_file_text().encode())
    say(
        f"Wrote {path}. Every setting in it is a comment with its default: remove the # of those "
        "that you change. Then `antiphon config show` says what counts."
    )
    return 0


def _show(arguments: argparse.Namespace, settings: Settings) -> int:
    found = [
        one for one in shown_settings(settings) if not arguments.set or one.source != "default"
    ]
    models = [shown_model(model) for model in settings.served()]
    if arguments.json:
        say_json({"settings": found, "models": models})
        return 0
    say_table([_row(one) for one in found], _FORM)
    say()
    for model in models:
        names = ", ".join(model.aliases)
        say(f"Model {model.id}" + (f", also as {names}" if names else "") + ":")
        for engine in model.engines:
            say(f"  {_engine(engine)}")
    file = settings_file(arguments.config)
    hint(
        f"Read {file}."
        if file
        else f"There is no {CONFIG_FILE} here; `antiphon config init` writes one."
    )
    return 0


def _row(setting: SettingInfo) -> dict[str, Any]:
    return {
        "setting": setting.name,
        "value": _secret(setting) if setting.is_secret else _text(setting.value),
        "from": setting.place or "default",
    }


def _secret(setting: SettingInfo) -> str | None:
    return _HIDDEN if setting.is_set else None


def _text(value: SettingValue) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case tuple():
            return ", ".join(value)
        case _:
            return str(value)


def _engine(engine: EngineSettingsInfo) -> str:
    source = f" runs {engine.source}" if engine.source else ""
    return f"{engine.engine}{source}" + "".join(_options(engine))


def _options(engine: EngineSettingsInfo) -> Iterator[str]:
    for option in engine.options:
        value = "…" if option.value is None else msgspec.json.encode(option.value).decode()
        yield f", {option.name} = {value}"
