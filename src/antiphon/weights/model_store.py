"""The folder of models. A file becomes a model when its manifest is written."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from antiphon.weights.progress import Progress, SilentProgress
from antiphon.weights.source import FetchedFile, PullError, discard, sha256_of
from antiphon.weights.spec import RemoteSpec, canonical

MANIFEST = "model.json"


class PartFile(msgspec.Struct, frozen=True):
    """A file of a model besides the first."""

    file: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `model.json`; `parts` are the further files of a model that is split."""

    spec: str
    file: str
    size: int
    sha256: str
    source: dict[str, str]
    pulled_at: datetime
    parts: tuple[PartFile, ...] = ()


class Model(msgspec.Struct, frozen=True):
    """A model with its complete files."""

    folder: Path
    manifest: Manifest

    @property
    def path(self) -> Path:
        return self.folder / self.manifest.file

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return self.manifest.size + sum(part.size for part in self.manifest.parts)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ModelStore(msgspec.Struct, frozen=True):
    """The models in one folder, each in a folder of its own."""

    root: Path
    now: Callable[[], datetime] = _utc_now

    def locate(self, spec: RemoteSpec) -> Path | None:
        """Return the file of a model; `None` if the store does not have it."""
        model = self.find(spec)
        return None if model is None else model.path

    def find(self, spec: RemoteSpec) -> Model | None:
        """Return a model; `None` if the store does not have it."""
        return read_model(self.folder(spec))

    def models(self) -> list[Model]:
        """List the models, by spec."""
        folders = self.root.iterdir() if self.root.is_dir() else ()
        found = [model for folder in folders if (model := read_model(folder))]
        return sorted(found, key=lambda model: model.manifest.spec)

    def folder(self, spec: RemoteSpec) -> Path:
        """Return the folder of a model: a readable name with a part of a hash."""
        named = canonical(spec)
        stem = re.sub(r"[^a-z0-9._-]+", "-", named.file.lower()).removesuffix(".gguf")
        digest = hashlib.sha256(str(named).encode()).hexdigest()
        return self.root / f"{stem[:80].strip('.')}-{digest[:12]}"

    @contextmanager
    def claim(self, spec: RemoteSpec, progress: Progress) -> Iterator[Path]:
        """Lock the model's folder against other processes; yield the folder."""
        from filelock import FileLock, Timeout  # noqa: PLC0415 - most starts pull nothing

        folder = self.folder(spec)
        self.root.mkdir(parents=True, exist_ok=True)
        # The lock lies beside the folder, so that removing the folder never removes the lock.
        lock = FileLock(self.root / f"{folder.name}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            progress.note(f"Another process is busy with {spec}; waiting for it")
            lock.acquire()
        try:
            folder.mkdir(exist_ok=True)
            yield folder
        finally:
            with suppress(OSError):  # a folder with files stays
                folder.rmdir()
            lock.release()

    def keep(
        self,
        spec: RemoteSpec,
        fetched: FetchedFile,
        sha256: str,
        parts: Sequence[FetchedFile] = (),
    ) -> Path:
        """Store a checked file as a model: first the file, then the manifest, each atomically.

        `parts` are its further files, each with its SHA-256.
        """
        folder = self.folder(spec)
        for one in (fetched, *parts):
            _sync(one.partial)
            one.partial.replace(folder / one.name)
        path = folder / fetched.name
        manifest = Manifest(
            spec=str(canonical(spec)),
            file=fetched.name,
            size=path.stat().st_size,
            sha256=sha256,
            source=dict(fetched.source),
            pulled_at=self.now(),
            parts=tuple(
                PartFile(one.name, (folder / one.name).stat().st_size, one.sha256 or "")
                for one in parts
            ),
        )
        write_whole(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        for one in (fetched, *parts):
            discard(one.partial)
        return path

    def remove(self, spec: RemoteSpec) -> int:
        """Delete a model and the rest of an interrupted pull; return the number of freed bytes.

        Raises `PullError` for a folder that somebody has put elsewhere, and linked here.
        """
        folder = self.folder(spec)
        if folder.is_symlink():
            raise PullError(f"{folder} is a link to {folder.readlink()}, so it is not removed")
        if not folder.is_dir():
            return 0
        with self.claim(spec, SilentProgress()):
            size = sum(file.lstat().st_size for file in folder.iterdir())
            # Without its manifest it is no model, even if the rest of the deletion fails.
            (folder / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(folder)
        return size


def read_model(folder: Path) -> Model | None:
    """Read a model's folder; `None` if the manifest is missing, unreadable or wrong."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        files = (PartFile(manifest.file, manifest.size, manifest.sha256), *manifest.parts)
        whole = all((folder / one.file).stat().st_size == one.size for one in files)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Model(folder, manifest) if whole else None


def verify(model: Model) -> bool:
    """Read all files and compare them with the checksums of their manifest."""
    manifest = model.manifest
    checks = {manifest.file: manifest.sha256} | {one.file: one.sha256 for one in manifest.parts}
    return all(sha256_of(model.folder / file) == sha256 for file, sha256 in checks.items())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(content)
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
