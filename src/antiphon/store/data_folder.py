"""The data folder: where its database is, and whether the folder was used before.

A lost database is never replaced by an empty one: in that, the keys of the settings would be the
first keys again, also if they had been revoked, and nothing that was spent would count.
"""

import errno
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile

import msgspec

from antiphon.store.database.errors import StoreError

DATABASE_FILE = "antiphon.db"
JOURNAL_FOLDER = "journal"
CACHE_FOLDER = "prompt_cache"
# Written when the database is founded, and never removed by the program.
INSTALLATION_FILE = "installation"
# The moment and the size of the last backup, for people.
BACKUP_FILE = "last_backup"
_NOTE = "Antiphon has used this folder: its database is "
_LONGEST_NOTE = 1000


class DataFolderError(StoreError):
    """The data folder cannot be used. The message has its path, the reason and `--data-dir`."""


class LastBackup(msgspec.Struct, frozen=True):
    """When the last backup of a data folder ended, and its size in bytes."""

    at: datetime
    size: int


def note_backup(data_dir: Path, backup: LastBackup) -> None:
    """Note the last backup in the folder; one that cannot be noted is a backup all the same."""
    unfinished = data_dir / f".{BACKUP_FILE}.new"
    with suppress(OSError):
        unfinished.write_bytes(msgspec.json.encode(backup))
        unfinished.chmod(0o600)
        unfinished.replace(data_dir / BACKUP_FILE)


def last_backup(data_dir: Path) -> LastBackup | None:
    """Return the last backup that was noted; `None` if there is no note, or it cannot be read."""
    try:
        with (data_dir / BACKUP_FILE).open("rb") as file:
            return msgspec.json.decode(file.read(_LONGEST_NOTE), type=LastBackup)
    except (OSError, msgspec.DecodeError):
        return None


def open_data_folder(data_dir: Path) -> None:
    """Create the folder if it is missing, and check that it takes files.

    Raises `DataFolderError`.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only a write shows that the disk is full or mounted read-only.
        with TemporaryFile(dir=data_dir) as file:
            file.write(b"\0")
    except OSError as error:
        raise unusable(data_dir, error) from error


def refuse_a_file(data_dir: Path) -> None:
    """Raise `DataFolderError` if a file stands where the folder should be; it may be missing."""
    if os.path.lexists(data_dir) and not data_dir.is_dir():
        raise unusable(data_dir, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))


def unusable(data_dir: Path, error: OSError) -> DataFolderError:
    """Return the exception of a data folder in which a file cannot be made or written."""
    match error.errno:
        case errno.EEXIST | errno.ENOTDIR:
            reason = f"{_in_its_place(data_dir)} is not a folder"
        case errno.EACCES | errno.EPERM:
            reason = f"permission denied{_owner(data_dir)}"
        case errno.EROFS:
            reason = "its file system is read-only"
        case errno.ENOSPC | errno.EDQUOT:
            return disk_full(data_dir)
        case number:
            reason = os.strerror(number) if number else str(error)
    return DataFolderError(
        f"the data folder {data_dir} cannot be used: {reason}. Choose another one with --data-dir"
    )


def disk_full(data_dir: Path) -> DataFolderError:
    """Return the exception of a data folder whose disk is full."""
    return DataFolderError(
        f"the data folder {data_dir} cannot be used: its disk is full. Free some space, or choose "
        "another folder with --data-dir"
    )


def _in_its_place(data_dir: Path) -> Path:
    """Return what stands where the folder, or one above it, should be."""
    for path in (data_dir, *data_dir.parents):
        if os.path.lexists(path) and not path.is_dir():
            return path
    return data_dir


def _owner(data_dir: Path) -> str:
    """Return the end of an error that names another owner; empty if that cannot be found out."""
    for path in (data_dir, *data_dir.parents):
        try:
            is_ours = path.stat().st_uid == os.geteuid()
            return "" if is_ours else f", as {path} belongs to the user {path.owner()}"
        except FileNotFoundError:
            continue
        except (OSError, KeyError):
            break
    return ""


def database_path(data_dir: Path) -> Path:
    """Return the path of the SQLite database of a data folder."""
    return data_dir / DATABASE_FILE


def is_used(data_dir: Path) -> bool:
    """Return whether a database was founded for this folder; earlier releases left a journal."""
    # Unlike `Path.exists`, this is false for a folder that cannot be read; opening it says why.
    return any(os.path.exists(data_dir / name) for name in (INSTALLATION_FILE, JOURNAL_FOLDER))  # noqa: PTH110 - see above


def mark_used(data_dir: Path, database: str = DATABASE_FILE) -> None:
    """Note the database of the folder, once. Raises `DataFolderError`.

    `database` is its name for people; it has no password.
    """
    path = data_dir / INSTALLATION_FILE
    if path.exists():
        return
    try:
        path.write_text(f"{_NOTE}{database}.\n", encoding="utf-8")
        path.chmod(0o600)
    except OSError as error:
        raise unusable(data_dir, error) from error


def lost_database(data_dir: Path, server_database: str | None = None) -> StoreError:
    """Return the refusal to found a second database for a folder that was used before.

    `server_database` is the name of the empty database on a server; `None` stands for a missing or
    empty `antiphon.db`.
    """
    noted = _noted_database(data_dir)
    used = f"{data_dir} was used before" + (f" with {noted}" if noted else "")
    if server_database is None:
        lost = f"{database_path(data_dir)} is missing or empty"
        mend = "restore the database with `antiphon restore FILE`"
        if noted not in {None, DATABASE_FILE}:
            mend = f"set database_url to {noted}"
    else:
        lost = f"{server_database} is empty"
        mend = "restore the database with pg_restore, or correct database_url"
        if noted == DATABASE_FILE:
            mend = f"remove database_url to use {DATABASE_FILE} again"
    return StoreError(f"{lost}, but {used}: {mend}, or choose a new folder with --data-dir")


def _noted_database(data_dir: Path) -> str | None:
    """Return the database that was noted when the folder was first used, if it can be read."""
    try:
        with (data_dir / INSTALLATION_FILE).open(encoding="utf-8") as file:
            note = file.read(_LONGEST_NOTE)
    except (OSError, UnicodeDecodeError):
        return None
    return note.removeprefix(_NOTE).strip().removesuffix(".") if note.startswith(_NOTE) else None


def refuse_without_database(data_dir: Path, other: Path) -> None:
    """Raise `StoreError` for a folder that is no folder, has lost its database, or had none.

    `other` is a folder that may be meant instead.
    """
    refuse_a_file(data_dir)
    try:
        is_there = database_path(data_dir).exists()
    except OSError as error:
        raise unusable(data_dir, error) from error
    if not is_there:
        raise lost_database(data_dir) if is_used(data_dir) else no_database(data_dir, other)


def no_database(data_dir: Path, other: Path) -> StoreError:
    """Return the refusal to read a folder in which no database was founded.

    `other` is a folder that may be meant instead.
    """
    state = "has no database" if data_dir.is_dir() else "does not exist"
    mend = (
        f"{other} has one: add --data-dir {other}"
        if os.path.isfile(database_path(other))  # noqa: PTH113 - false if it cannot be read
        else "name the folder of your server with --data-dir; `antiphon serve` makes a new one"
    )
    return StoreError(f"the data folder {data_dir} {state}: {mend}")
