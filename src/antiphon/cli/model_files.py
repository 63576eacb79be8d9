"""`antiphon models list` and `rm`: the models on this machine, and whose they are."""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from antiphon.cli.command import confirm
from antiphon.cli.output import decimal_size, print_change, say_json
from antiphon.cli.successor import all_served
from antiphon.cli.tables import TableForm, say_table
from antiphon.core.billing.reports import wire_time
from antiphon.settings import Settings
from antiphon.store.data_folder import refuse_a_file
from antiphon.weights.catalogue import named_in_catalogue, read_catalogue
from antiphon.weights.elsewhere import OtherModel, models_elsewhere
from antiphon.weights.file_names import parts_of
from antiphon.weights.model_store import Model
from antiphon.weights.pull import (
    list_models,
    located,
    open_model_store,
    open_shelves,
    pulled_spec,
    remove_model,
)
from antiphon.weights.source import PullError
from antiphon.weights.spec import SpecError, parse_spec

PULLED: Final = "Antiphon"
OWN: Final = "a file of yours"


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model on this machine: its name here, whose it is, and which served models use it.

    `spec` is what it was fetched by, or what names it in the store of another program. `size` is
    in bytes, of all its files. `sha256` and `pulled_at` are known of what was pulled.
    """

    name: str
    spec: str
    owner: str
    path: str
    size: int
    files: int
    used_by: tuple[str, ...]
    sha256: str | None = None
    pulled_at: str | None = None


def local_models(settings: Settings) -> list[LocalModel]:
    """List the models on this machine: pulled ones, those of other programs, then files in use."""
    users = users_of_files(settings)
    pulled = [of_store(model, users) for model in list_models(settings.data_dir)]
    others = [
        of_other(model, users) for model in models_elsewhere(open_shelves(settings.data_dir).others)
    ]
    known = {Path(one.path) for one in (*pulled, *others)}
    own = [of_file(path, users) for path in sorted(users) if path not in known and path.is_file()]
    return [*pulled, *others, *own]


def users_of_files(settings: Settings) -> Mapping[Path, tuple[str, ...]]:
    """Return which models of the settings use each file."""
    found: dict[Path, tuple[str, ...]] = {}
    for name, path in _used(settings):
        found[path] = (*found.get(path, ()), name)
    return found


def _used(settings: Settings) -> Iterator[tuple[str, Path]]:
    for model in all_served(settings):
        for source in dict.fromkeys(one.source for one in model.runs_on()):
            # A start tells of a name that is wrong.
            with suppress(SpecError, PullError):
                path = None if source is None else located(parse_spec(source), settings.data_dir)
                if path is not None:
                    yield model.id, path


def of_store(model: Model, users: Mapping[Path, tuple[str, ...]]) -> LocalModel:
    """Return a pulled model."""
    return LocalModel(
        name=_short(model.manifest.spec),
        spec=model.manifest.spec,
        owner=PULLED,
        path=str(model.path),
        size=model.size,
        files=1 + len(model.manifest.parts),
        used_by=users.get(model.path, ()),
        sha256=model.manifest.sha256,
        pulled_at=wire_time(model.manifest.pulled_at),
    )


def of_other(model: OtherModel, users: Mapping[Path, tuple[str, ...]]) -> LocalModel:
    """Return a model of another program."""
    return LocalModel(
        name=_short(model.name),
        spec=model.name,
        owner=model.owner,
        path=str(model.path),
        size=model.size,
        files=len(parts_of(model.path.name)),
        used_by=users.get(model.path, ()),
    )


def of_file(path: Path, users: Mapping[Path, tuple[str, ...]]) -> LocalModel:
    """Return a file of the user. Raises `OSError`."""
    parts = [path.with_name(part) for part in parts_of(path.name)]
    return LocalModel(
        name=str(path),
        spec=str(path),
        owner=OWN,
        path=str(path),
        size=sum(part.stat().st_size for part in parts if part.is_file()),
        files=len(parts),
        used_by=users.get(path, ()),
    )


def _short(spec: str) -> str:
    """Return the name of the catalogue for a model that it has; else its spec."""
    try:
        entry = named_in_catalogue(parse_spec(spec), read_catalogue())
    except SpecError:
        return spec
    return spec if entry is None else entry.name


def print_models(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the models on this machine."""
    refuse_a_file(settings.data_dir)
    found = local_models(settings)
    if arguments.json:
        say_json(found)
    else:
        say_table(
            [_row(one) for one in found],
            TableForm(
                empty=f"No models are on this machine yet, in {settings.data_dir} or of Ollama, LM "
                "Studio and the hub: `antiphon models recommended` says which fit it.",
                texts=("used_by",),
                least_useful=("path", "pulled_at", "used_by", "whose"),
            ),
        )
    return 0


def _row(one: LocalModel) -> dict[str, Any]:
    return {
        "model": one.name,
        "size": decimal_size(one.size),
        "whose": one.owner,
        "used_by": ", ".join(one.used_by),
        "pulled_at": one.pulled_at and one.pulled_at[:10],
        "path": one.path,
    }


def remove(arguments: argparse.Namespace, settings: Settings) -> int:
    """Delete a pulled model, after a question on a terminal."""
    refuse_a_file(settings.data_dir)
    spec = pulled_spec(arguments.name, settings.data_dir)
    found = open_model_store(settings.data_dir).find(spec)
    size = "" if found is None else f" ({decimal_size(found.size)})"
    users = () if found is None else users_of_files(settings).get(found.path, ())
    used = f" It is used by {', '.join(users)}, which would be fetched again." if users else ""
    confirm(arguments, f"Remove {spec}{size}?{used}")
    removed = remove_model(str(spec), settings.data_dir)
    done = f"Removed {removed.spec}: {decimal_size(removed.size)} are free again."
    return print_change(arguments, removed, done)
