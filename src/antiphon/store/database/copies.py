"""Copies of an SQLite database, made while others use it, and their way into a data folder."""

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from antiphon.store.database.errors import DatabaseUnavailableError, StoreError, explained

PATIENCE_S = 5.0
# The files of a database besides the database itself: its log, the index of it, and its journal.
_SIDE_FILES = ("-wal", "-shm", "-journal")
_ASIDE = ".before-restore"


def copy_database(source: Path, target: Path, patience_s: float = PATIENCE_S) -> None:
    """Copy one consistent state of a database, which others may read and write meanwhile.

    `target` must not exist; only its owner can read it. Blocks for as long as reading and writing
    the file take. Raises `StoreError`.
    """
    with _explained(source):
        if not source.is_file():
            raise StoreError(f"{source} does not exist or is no file")
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        reading = sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)
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
    for suffix in ("", *_SIDE_FILES):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def put_in_place(copy: Path, path: Path) -> Path | None:
    """Rename a copy to be the database at `path`; return the new name of the database before it.

    Raises `StoreError`, and changes nothing, if a process has that database open.
    """
    with _explained(path):
        aside = path.with_name(f"{path.name}{_ASIDE}")
        existed = path.exists()
        if existed:
            _close_log(path)
        remove_copy(aside)
        # A log that stays would be taken for the log of the new database.
        for suffix in ("", *_SIDE_FILES):
            with suppress(FileNotFoundError):
                path.with_name(f"{path.name}{suffix}").rename(f"{aside}{suffix}")
        copy.rename(path)
        _sync(path.parent)
    return aside if existed else None


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


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explained(error, str(path)) from error
    except OSError as error:
        named = error.filename or path
        raise StoreError(f"{named}: {os.strerror(error.errno or 0)}") from error
