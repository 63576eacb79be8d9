"""Copies of an SQLite database, made while others use it, and their way into a data folder."""

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from antiphon.store.database.errors import DatabaseUnavailableError, StoreError, explained
from antiphon.store.database.sqlite import path_text

PATIENCE_S = 5.0
# The files of a database: itself, its log, the index of the log, and its journal.
_SUFFIXES = ("", "-wal", "-shm", "-journal")
_ASIDE = ".before-restore"
# Errors that only a file that is written can have.
_OF_WRITING = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE")


def create_copy(path: Path, wanted: Path | None = None) -> None:
    """Create the file of a copy, readable only by its owner. Raises `StoreError` if it exists.

    `wanted` is what the copy is made for: a path that the reader of the error knows.
    """
    with _explained(path):
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError as error:
            raise StoreError(
                f"{path} exists: another process writes it, or was killed; then delete it"
            ) from error
        except OSError as error:
            raise StoreError(f"{wanted or path}: {os.strerror(error.errno or 0)}") from error


def copy_database(source: Path, target: Path, patience_s: float = PATIENCE_S) -> None:
    """Copy one consistent state of a database, which others may read and write meanwhile.

    `target` is what `create_copy` has made. Blocks for as long as reading and writing the file
    take. Raises `StoreError`.
    """
    uri = f"file:{quote(path_text(source))}?mode=ro"
    with _explained(source, target):
        if not source.is_file():
            raise StoreError(f"{source} does not exist or is no file")
        reading = sqlite3.connect(uri, uri=True)
        with closing(reading), closing(sqlite3.connect(target)) as writing:
            # All pages in one step: a state that no commit changes meanwhile.
            reading.backup(writing, pages=-1, progress=_limit(patience_s, source), sleep=0.05)


def _limit(patience_s: float, source: Path) -> Callable[[int, int, int], None]:
    deadline = monotonic() + patience_s

    def progress(status: int, remaining: int, total: int) -> None:
        del remaining, total
        if status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} and monotonic() > deadline:
            raise DatabaseUnavailableError(f"The database is locked by another process: {source}")

    return progress


def finish_copy(path: Path) -> None:
    """Make a copy one file that is whole and on the disk. Raises `StoreError` for a damaged one."""
    with _explained(path), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StoreError(f"The database {path} is damaged: {found}")
    _sync(path)


def remove_copy(path: Path) -> None:
    """Delete an unfinished copy with its other files."""
    for suffix in _SUFFIXES:
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def put_in_place(copy: Path, path: Path) -> Path | None:
    """Rename a copy to be the database at `path`; return the new name of the database before it.

    Nothing is deleted. Raises `StoreError`, and changes nothing, if a process has that database
    open.
    """
    with _explained(path):
        aside = _unused(path)
        existed = path.exists()
        if existed:
            _close_log(path)
        # A log that stays would be taken for the log of the new database.
        for suffix in _SUFFIXES:
            with suppress(FileNotFoundError):
                path.with_name(f"{path.name}{suffix}").rename(f"{aside}{suffix}")
        copy.rename(path)
        _sync_folder(path.parent)
    return aside if existed else None


def put_under_name(copy: Path, path: Path) -> None:
    """Rename a copy to a name that is free, so that it is there after a power cut as well."""
    with _explained(path):
        copy.rename(path)
        _sync_folder(path.parent)


def _unused(path: Path) -> Path:
    """Return the first name for the database at `path` that no earlier one has."""
    names = (f"{path.name}{_ASIDE}{f'-{number}' if number > 1 else ''}" for number in count(1))
    return path.with_name(next(name for name in names if not _is_used(path, name)))


def _is_used(path: Path, name: str) -> bool:
    return any(path.with_name(f"{name}{suffix}").exists() for suffix in _SUFFIXES)


def _close_log(path: Path) -> None:
    """Write the log into the database, which needs it alone. A damaged one keeps its log."""
    with closing(sqlite3.connect(path, timeout=1)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise StoreError(f"A process uses {path}: end it, and then restore") from error
        except sqlite3.DatabaseError:
            return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    # Some network file systems sync no folders; SQLite takes no notice of that either.
    with suppress(OSError):
        _sync(path)


@contextmanager
def _explained(path: Path, written: Path | None = None) -> Generator[None]:
    """Translate errors of the file at `path`, and of the one that is `written` from it."""
    try:
        yield
    except sqlite3.Error as error:
        if written is not None and getattr(error, "sqlite_errorname", "") in _OF_WRITING:
            path = written
        raise explained(error, str(path)) from error
    except OSError as error:
        named = error.filename or path
        raise StoreError(f"{named}: {os.strerror(error.errno or 0)}") from error
