"""The folders of snapshots: one for each identity of a model, in one that has their key.

Each has one owner at a time. A folder that nobody owns, of a model that is not served any more, is
emptied as its snapshots end.
"""

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EAGAIN
from pathlib import Path
from threading import Lock
from typing import Final

from antiphon.engines.llama.snapshots.files import SnapshotFiles
from antiphon.engines.llama.snapshots.keys import open_key

LOCK: Final = ".lock"
MODEL: Final = ".model"
"""Beside each folder: the id of the model that used it last, as people know it."""
IDENTITY: Final = re.compile("[0-9a-f]{64}")


class SnapshotsUnavailableError(Exception):
    """Snapshots cannot be kept here. The message is for the operator."""


class SnapshotsTakenError(SnapshotsUnavailableError):
    """Another engine keeps the snapshots of this model, until it ends."""


class OwnedFolder:
    """The folder of one identity, locked until it is closed; `path` is for llama.cpp."""

    def __init__(self, root: Path, identity: str, key: bytes, lock: int) -> None:
        self.path = root / identity
        self.key = key
        self._root = root
        self._lock = lock
        self._remaking = Lock()
        self._model: str | None = None

    @classmethod
    def open(cls, root: Path, identity: str) -> "OwnedFolder":
        """Make and lock the folder. Blocks. Raises `SnapshotsUnavailableError`.

        It is a `SnapshotsTakenError` if another engine has locked it.
        """
        try:
            _make_private(root)
            lock = _lock(root, identity)
            if lock is None:
                raise SnapshotsTakenError(
                    f"another engine keeps the snapshots of this model in {root / identity}"
                )
            try:
                _make_private(root / identity)
                return cls(root, identity, open_key(root), lock)
            except BaseException:
                os.close(lock)
                raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise SnapshotsUnavailableError(f"{root} cannot keep snapshots: {reason}") from error

    def name(self, model: str) -> None:
        """Note the model of the folder, also for when it is made again. Blocks. Raises `OSError`.

        The name is for people: what is kept does not depend on it.
        """
        self._model = model
        name_model(self.path, model)

    def is_held(self) -> bool:
        """Return whether the lock is still ours: its file may have been removed. Blocks."""
        try:
            lock = self._root / f"{self.path.name}{LOCK}"
            return os.path.samestat(os.fstat(self._lock), lock.lstat())
        except FileNotFoundError:
            return False

    def remake(self) -> bool:
        """Make the folder again, with its lock and key, if it was removed; returns whether it was.

        Blocks. Raises `OSError`, also if another engine has locked it meanwhile.
        """
        with self._remaking:
            removed = not self.path.is_dir()
            held = self.is_held()
            if held and not removed:
                return False
            _make_private(self._root)
            if not held:
                self._lock_again()
            open_key(self._root, self.key)
            _make_private(self.path)
            if self._model is not None:
                # Whoever removed the folder may have removed what lay beside it.
                name_model(self.path, self._model)
            return removed

    def _lock_again(self) -> None:
        lock = _lock(self._root, self.path.name)
        if lock is None:
            raise BlockingIOError(EAGAIN, "another engine keeps the snapshots of this model")
        os.close(self._lock)
        self._lock = lock

    def remove_ended_elsewhere(self, now: float) -> None:
        """Remove the snapshots of other identities that have ended, where nobody owns them.

        A folder that cannot be read or emptied stays, and stops no other. Blocks. Raises `OSError`.
        """
        for path in self._root.iterdir():
            if path != self.path and is_of_an_identity(path):
                with suppress(OSError), _owned(self._root, path.name) as owned:
                    if owned:
                        _remove_ended(SnapshotFiles(path, self.key), now)

    def close(self) -> None:
        os.close(self._lock)


def name_model(folder: Path, model: str) -> None:
    """Note the model of a folder of snapshots. Blocks. Raises `OSError`."""
    unfinished = folder.with_suffix(f"{MODEL}.part")
    unfinished.unlink(missing_ok=True)
    # What stands there is replaced, not opened: it may be a link, or a pipe without a reader.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(unfinished, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(model)
    unfinished.replace(folder.with_suffix(MODEL))


def is_of_an_identity(path: Path) -> bool:
    """Return whether a path is the folder of an identity.

    A link is none: what is no snapshot in such a folder is removed, wherever it is.
    """
    named = IDENTITY.fullmatch(path.name) is not None
    return named and path.is_dir() and not path.is_symlink()


def _remove_ended(files: SnapshotFiles, now: float) -> None:
    left = 0
    for found in files.find_all():
        if found.used_at + found.record.lifetime_s <= now:
            files.remove(found.name)
        else:
            left += 1
    if not left:
        files.folder.rmdir()


@contextmanager
def _owned(root: Path, identity: str) -> Iterator[bool]:
    lock = _lock(root, identity)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _lock(root: Path, identity: str) -> int | None:
    """Lock an identity for this process; `None` if another owner has it.

    The lock lies beside the folder and stays, so that all owners lock the same file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(root / f"{identity}{LOCK}", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter; take the rights of others from one that is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is no folder of this user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
