"""From a name to a file: what is on this machine already, and what has to be fetched for a name."""

from pathlib import Path

import msgspec

from antiphon.weights.catalogue import look_up, read_catalogue
from antiphon.weights.elsewhere import OtherModel, OtherStores, find_elsewhere
from antiphon.weights.file_names import parts_of
from antiphon.weights.hub_access import USUAL_HUB, HubAccess
from antiphon.weights.hub_names import HubSpec, RepositorySpec
from antiphon.weights.model_store import Model, ModelStore
from antiphon.weights.repository import ListedFile, choose, models_of
from antiphon.weights.source import PullError
from antiphon.weights.spec import (
    ModelName,
    PathSpec,
    PypiSpec,
    RemoteSpec,
    ShortName,
    SpecError,
    UrlSpec,
    parse_spec,
)


class Shelves(msgspec.Struct, frozen=True):
    """Where models may be on this machine: the model store, and the stores of other programs."""

    store: ModelStore
    others: OtherStores


def on_this_machine(name: ModelName, shelves: Shelves) -> Model | OtherModel | Path | None:
    """Return the model that a name means here, without asking anybody; `None` if there is none.

    A path is returned as it is, whatever is there; so is a short name that is that of a file. The
    model store comes first. Raises `PullError` for a short name that nothing has.
    """
    match name:
        case PathSpec():
            return Path(name.path)
        case PypiSpec() | UrlSpec():
            return shelves.store.find(name)
        case HubSpec():
            return shelves.store.find(name) or find_elsewhere(name, shelves.others)
        case RepositorySpec():
            return _pulled(name, shelves.store) or find_elsewhere(name, shelves.others)
        case ShortName():
            if Path(str(name)).is_file():
                return Path(str(name))
            found = find_elsewhere(name, shelves.others)
            return found or on_this_machine(stands_for(name), shelves)


def to_fetch(name: ModelName, hub: HubAccess = USUAL_HUB) -> RemoteSpec | PathSpec:
    """Return the one file that a name means; the hub is asked for a repository's.

    Raises `PullError`.
    """
    match name:
        case ShortName():
            return to_fetch(stands_for(name), hub)
        case RepositorySpec():
            from antiphon.weights.hub_listing import resolve_repository  # noqa: PLC0415 - rare

            return resolve_repository(name, hub)
        case _:
            return name


def stands_for(name: ShortName) -> ModelName:
    """Return what a short name of the catalogue stands for. Raises `PullError`."""
    return look_up(name, read_catalogue())


def _pulled(wanted: RepositorySpec, store: ModelStore) -> Model | None:
    """Return the pulled model of a repository that is meant; `None` if that cannot be said."""
    here = dict[str, Model]()
    for model in store.models():
        try:
            spec = parse_spec(model.manifest.spec)
        except SpecError:
            continue  # a later version has pulled it, whose names are not known here
        if isinstance(spec, HubSpec) and wanted.holds(spec):
            here[spec.path] = model
    files = [ListedFile(part, 0) for path in here for part in parts_of(path)]
    if not files:
        return None
    try:
        return here[choose(wanted, models_of(files, wanted.folder)).path]
    except PullError:
        return None
