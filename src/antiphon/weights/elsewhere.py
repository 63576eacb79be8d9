"""Model files that other programs have on this machine: Ollama, LM Studio, the hub's own tools.

They are used where they are, and never changed or removed. Folders that cannot be read have none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from antiphon.settings import environment_with
from antiphon.weights.file_names import is_model, parts_of
from antiphon.weights.hub_names import HubSpec, RepositorySpec
from antiphon.weights.repository import ListedFile, choose, models_of
from antiphon.weights.source import PullError
from antiphon.weights.spec import ShortName

Owner: TypeAlias = Literal["Ollama", "LM Studio", "the hub's cache"]

MOST_FILES: Final = 10_000
"""That are looked at in one folder."""
MOST_MANIFEST: Final = 1 << 20
REGISTRY: Final = "registry.ollama.ai"
LIBRARY: Final = "library"
HUBS: Final = ("hf.co", "huggingface.co")
"""The hosts of models that Ollama has from the hub."""
LATEST: Final = "latest"
_MODEL_LAYER: Final = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class OtherStores(msgspec.Struct, frozen=True):
    """Where other programs keep models; folders that need not exist."""

    ollama: tuple[Path, ...] = ()
    lm_studio: tuple[Path, ...] = ()
    hub_cache: tuple[Path, ...] = ()


NO_OTHERS: Final = OtherStores()


class OtherModel(msgspec.Struct, frozen=True):
    """A model of another program: its name here, the file that is loaded, and all its bytes."""

    owner: Owner
    name: str
    path: Path
    size: int


class _Layer(msgspec.Struct):
    mediaType: str = ""  # noqa: N815 - the field of the format
    digest: str = ""
    size: int = 0


class _Manifest(msgspec.Struct):
    layers: list[_Layer] = []


def other_stores(environ: Mapping[str, str] | None = None) -> OtherStores:
    """Return where other programs keep their models, by the variables that they read."""
    variables = environment_with() if environ is None else environ
    home = _expanded(variables.get("HOME") or "~")
    cache = Path(variables.get("XDG_CACHE_HOME") or home / ".cache")
    hub_home = _expanded(variables.get("HF_HOME") or cache / "huggingface")
    # The second is that of the service which its installer makes.
    ollama: tuple[Path, ...] = (home / ".ollama/models", Path("/usr/share/ollama/.ollama/models"))
    if given := variables.get("OLLAMA_MODELS"):
        ollama = (_expanded(given),)
    return OtherStores(
        ollama,
        (home / ".lmstudio/models", home / ".cache/lm-studio/models"),
        (_expanded(variables.get("HF_HUB_CACHE") or hub_home / "hub"),),
    )


def _expanded(path: Path | str) -> Path:
    """Return a path with the home folder for `~`; as it is if the system knows of none."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def find_elsewhere(
    name: HubSpec | RepositorySpec | ShortName, stores: OtherStores
) -> OtherModel | None:
    """Return the model of another program that a name means; `None` if there is none."""
    match name:
        case HubSpec():
            return next(_hub_files(name, stores), None)
        case RepositorySpec():
            return _of_repository(name, stores) or _of_ollama(name, stores)
        case ShortName():
            return _of_ollama(name, stores)


def models_elsewhere(stores: OtherStores) -> list[OtherModel]:
    """List the models of other programs, by name."""
    found = [*_ollama_models(stores), *_studio_models(stores), *_cached_models(stores)]
    return sorted(found, key=lambda model: (model.name, model.owner))


def _of_ollama(name: RepositorySpec | ShortName, stores: OtherStores) -> OtherModel | None:
    tag = name.tag or LATEST
    if isinstance(name, ShortName):
        places = [f"{REGISTRY}/{LIBRARY}/{name.name}/{tag}"]
    elif name.revision or name.folder:
        places = []
    else:
        places = [f"{host}/{name.repo_id}/{tag}" for host in (*HUBS, REGISTRY)]
    for root in stores.ollama:
        for place in places:
            manifest = root / "manifests" / place
            if (found := _ollama_model(root, manifest, str(name))) is not None:
                return found
    return None


def _ollama_models(stores: OtherStores) -> Iterator[OtherModel]:
    for root in stores.ollama:
        for manifest in _files(root / "manifests", "*"):
            parts = manifest.relative_to(root / "manifests").parts
            if len(parts) != 4:  # noqa: PLR2004 - host, owner, model, tag
                continue
            host, owner, model, tag = parts
            if host not in {*HUBS, REGISTRY}:
                continue  # no name means it
            library = (host, owner) == (REGISTRY, LIBRARY)
            name = f"{model}:{tag}" if library else f"{owner}/{model}:{tag}"
            if (found := _ollama_model(root, manifest, name)) is not None:
                yield found


def _ollama_model(root: Path, manifest: Path, name: str) -> OtherModel | None:
    """Return the model of a manifest, whose weights are a blob that is named by its SHA-256."""
    try:
        layers = msgspec.json.decode(_beginning(manifest), type=_Manifest).layers
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    weights = [layer for layer in layers if layer.mediaType == _MODEL_LAYER]
    digest = _DIGEST.fullmatch(weights[0].digest) if len(weights) == 1 else None
    if digest is None:
        return None
    return _model("Ollama", name, [root / "blobs" / f"sha256-{digest[1]}"])


def _hub_files(spec: HubSpec, stores: OtherStores) -> Iterator[OtherModel]:
    """Yield the models of other programs that are the file of a spec."""
    names = parts_of(spec.path)
    for root in stores.lm_studio if spec.revision is None else ():
        # It keeps the files of a repository without their folders.
        folder = root / spec.owner / spec.repo
        found = _model("LM Studio", str(spec), [folder / name.rpartition("/")[2] for name in names])
        if found is not None:
            yield found
    for snapshot in _snapshots(spec.owner, spec.repo, spec.revision, stores):
        found = _model("the hub's cache", str(spec), [snapshot / name for name in names])
        if found is not None:
            yield found


def _of_repository(wanted: RepositorySpec, stores: OtherStores) -> OtherModel | None:
    studio = [
        (root / wanted.owner / wanted.repo) for root in stores.lm_studio if wanted.revision is None
    ]
    cached = _snapshots(wanted.owner, wanted.repo, wanted.revision, stores)
    for folder in (*studio, *cached):
        files = [
            ListedFile(path.relative_to(folder).as_posix(), size)
            for path in _files(folder, "*.gguf")
            if (size := _size(path)) is not None
        ]
        # What is not told apart here may be told apart by the hub.
        with suppress(PullError):
            path = choose(wanted, models_of(files, wanted.folder)).path
            owner: Owner = "LM Studio" if folder in studio else "the hub's cache"
            return _model(owner, str(wanted), [folder / name for name in parts_of(path)])
    return None


def _snapshots(owner: str, repo: str, revision: str | None, stores: OtherStores) -> Iterator[Path]:
    """Yield the folders of the hub's cache with the files of a repository, one for each commit."""
    for root in stores.hub_cache:
        folder = root / f"models--{owner}--{repo}"
        try:
            named = _beginning(folder / "refs" / (revision or "main"))
            commit = named.decode("ascii").strip()
        except (OSError, ValueError):
            commit = revision or ""
        if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", commit):
            yield folder / "snapshots" / commit


def _studio_models(stores: OtherStores) -> Iterator[OtherModel]:
    for root in stores.lm_studio:
        for path in _files(root, "*.gguf"):
            inside = path.relative_to(root).as_posix()
            if inside.count("/") == 2 and is_model(inside):  # noqa: PLR2004 - owner, repo, file
                yield from _listed("LM Studio", f"hf:{inside}", path)


def _cached_models(stores: OtherStores) -> Iterator[OtherModel]:
    for root in stores.hub_cache:
        for folder in _folders(root, "models--*--*"):
            owner, repo = folder.name.split("--", 2)[1:]
            for snapshot in _snapshots(owner, repo, None, OtherStores(hub_cache=(root,))):
                for path in _files(snapshot, "*.gguf"):
                    inside = path.relative_to(snapshot).as_posix()
                    if is_model(inside):
                        yield from _listed("the hub's cache", f"hf:{owner}/{repo}/{inside}", path)


def _listed(owner: Owner, name: str, path: Path) -> Iterator[OtherModel]:
    found = _model(owner, name, [path.with_name(part) for part in parts_of(path.name)])
    if found is not None:
        yield found


def _model(owner: Owner, name: str, files: Sequence[Path]) -> OtherModel | None:
    """Return a model of these files; `None` if one is missing, or the name hides something."""
    if not name.isprintable():
        return None
    sizes = [_size(file) for file in files]
    known = [size for size in sizes if size]
    return OtherModel(owner, name, files[0], sum(known)) if len(known) == len(files) else None


def _beginning(path: Path) -> bytes:
    """Return what stands in a small file. Raises `OSError`, also for a pipe that nobody fills."""
    if not path.is_file():
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        return file.read(MOST_MANIFEST)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files below a folder in their order."""
    with suppress(OSError):
        yield from (
            one for one in sorted(islice(folder.rglob(pattern), MOST_FILES)) if one.is_file()
        )


def _folders(folder: Path, pattern: str) -> Iterator[Path]:
    with suppress(OSError):
        yield from sorted(islice(folder.glob(pattern), MOST_FILES))
