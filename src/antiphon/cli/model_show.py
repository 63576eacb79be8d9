"""`antiphon models show`: what is known of a model on this machine, without loading it."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from antiphon.cli.command import CommandError
from antiphon.cli.model_check import check
from antiphon.cli.model_files import LocalModel, of_file, of_other, of_store, users_of_files
from antiphon.cli.model_report import lines_of, report
from antiphon.cli.output import decimal_size, say_json, say_unchanged
from antiphon.settings import Settings
from antiphon.store.data_folder import refuse_a_file
from antiphon.weights.catalogue import CatalogueModel, named_in_catalogue, read_catalogue
from antiphon.weights.elsewhere import OtherModel
from antiphon.weights.model_store import Model
from antiphon.weights.pull import check_local, open_shelves, pulled_spec
from antiphon.weights.resolve import on_this_machine
from antiphon.weights.source import PullError
from antiphon.weights.spec import ModelName, SpecError, parse_spec


def show_model(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print what is known; return 1 if the model is not on this machine."""
    refuse_a_file(settings.data_dir)
    name = _name(arguments.model, settings)
    local = _local(name, settings)
    entry = named_in_catalogue(name, read_catalogue()) or named_in_catalogue(
        parse_spec(arguments.model), read_catalogue()
    )
    if local is None:
        if entry is None:
            raise CommandError(
                f"{name} is not on this machine; `antiphon models pull {name}` fetches it, and "
                f"`antiphon models check {name}` reads the beginning of its file"
            )
        _print_entry(arguments, entry)
        return 0
    checked = check(local.path, settings.data_dir)
    if arguments.json:
        say_json(
            {
                **msgspec.to_builtins(local),
                "catalogue": entry,
                "checked": checked.as_json(),
            }
        )
    else:
        rows = [*_place(local), *([] if entry is None else _entry_rows(entry))]
        _, _, learned = report(checked).partition("\n")  # its first line is the path
        say_unchanged("\n".join([*lines_of(rows), learned]))
    return 0


def _name(text: str, settings: Settings) -> ModelName:
    """Return the name of a model, also of a pulled one by the name of its file."""
    try:
        return pulled_spec(text, settings.data_dir)
    except PullError:
        return parse_spec(text)


def _local(name: ModelName, settings: Settings) -> LocalModel | None:
    users = users_of_files(settings)
    try:
        found = on_this_machine(name, open_shelves(settings.data_dir))
    except SpecError as error:
        raise CommandError(str(error)) from error
    match found:
        case Model():
            return of_store(found, users)
        case OtherModel():
            return of_other(found, users)
        case Path():
            return of_file(check_local(found, str(name)), users)
        case None:
            return None


def _place(local: LocalModel) -> list[tuple[str, str]]:
    files = f" in {local.files} files" if local.files > 1 else ""
    rows = [
        ("model", local.spec),
        ("path", local.path),
        ("size", f"{decimal_size(local.size)}{files}"),
    ]
    pulled = f", pulled at {local.pulled_at}" if local.pulled_at else ", used where it is"
    rows.append(("whose", f"{local.owner}{pulled}"))
    if local.sha256 is not None:
        rows.append(("sha256", local.sha256))
    rows.append(("used by", ", ".join(local.used_by) or "no model of these settings"))
    return rows


def _entry_rows(entry: CatalogueModel) -> list[tuple[str, str]]:
    run = "run here" if entry.run_here else "not run here: from pages"
    note = f": {entry.note}" if entry.note else ""
    return [
        ("catalogue", f"{entry.name}, {entry.title}{note}"),
        ("licence", entry.licence),
        ("can", f"{', '.join(entry.can) or 'little'} ({run})"),
        ("sources", "\n".join(entry.sources)),
    ]


def _print_entry(arguments: argparse.Namespace, entry: CatalogueModel) -> None:
    """Print what the catalogue has of a model that is not here."""
    if arguments.json:
        facts: dict[str, Any] = {"spec": entry.model, "path": None, "catalogue": entry}
        say_json(facts)
        return
    rows = [
        ("model", entry.model),
        ("path", f"not on this machine; `antiphon models pull {entry.name}` fetches it"),
        ("size", decimal_size(entry.size)),
        ("context", f"trained for {entry.context:,} tokens"),
        ("memory", f"{decimal_size(entry.token)} of KV cache for each token"),
        *_entry_rows(entry),
    ]
    say_unchanged("\n".join(lines_of(rows)))
