"""Makes a backup of a data folder while a server uses it, and restores one.

A backup is one SQLite file: a state of the database, with the entries of the ledger that were
still in journals. The journals are read first, so an entry that leaves them meanwhile is in the
database when that is copied; one that is in both counts once, by its id.
"""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from anyio import to_thread

from antiphon.store.console import drop_sessions_and_links
from antiphon.store.data_folder import (
    JOURNAL_FOLDER,
    LastBackup,
    database_path,
    mark_used,
    note_backup,
)
from antiphon.store.database.copies import (
    copy_database,
    create_copy,
    finish_copy,
    put_in_place,
    put_under_name,
    remove_copy,
)
from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.errors import StoreError
from antiphon.store.database.instance_lock import OccupiedError, lock_data_dir
from antiphon.store.database.migrations import EmptyDatabaseError, migrate
from antiphon.store.journal import ended_entries, has_running_owner
from antiphon.store.ledger import add_entries, last_started_at
from antiphon.store.organizations import find_organization


class Restored(msgspec.Struct, frozen=True):
    """A restored database: when its last request began, and the new name of the one before it."""

    last_request_at: datetime | None
    replaced: Path | None


def _now() -> datetime:
    return datetime.now(UTC)


async def back_up(data_dir: Path, target: Path, now: Callable[[], datetime] = _now) -> int:
    """Write a backup of a data folder to `target`, and return its size in bytes.

    The folder keeps a note of it. Raises `StoreError`: a file that exists is not overwritten.
    """
    _refuse_no_file(target)
    unfinished = target.with_name(f".{target.name}.unfinished")
    # Only one process has the unfinished file, so it alone writes the target.
    await to_thread.run_sync(create_copy, unfinished, target)
    try:
        if await to_thread.run_sync(target.exists):
            raise StoreError(f"{target} exists; name another file")
        folder = data_dir / JOURNAL_FOLDER
        entries = await to_thread.run_sync(lambda: list(ended_entries(folder)))
        copied = _copied(database_path(data_dir), unfinished)
        async with copied as database, database.write() as connection:
            await add_entries(connection, entries)
        await to_thread.run_sync(finish_copy, unfinished)
        size = unfinished.stat().st_size
        await to_thread.run_sync(put_under_name, unfinished, target)
        await to_thread.run_sync(note_backup, data_dir, LastBackup(now(), size))
    finally:
        remove_copy(unfinished)
    return size


async def restore(data_dir: Path, source: Path, *, replace: bool) -> Restored:
    """Make a backup the database of a data folder; the folder's journals stay.

    Sessions of the Console and one-time links are not restored.

    Raises `StoreError` for a file that is no backup, for a folder that a server uses, and for one
    that has a database, unless `replace` is true; that database is then renamed.
    """
    path = database_path(data_dir)
    with _alone_in(data_dir):
        if not replace and _has_content(path):
            raise StoreError(f"{path} exists; --yes replaces it, and keeps it under another name")
        restoring = path.with_name(f".{path.name}.restoring")
        remove_copy(restoring)
        create_copy(restoring)
        try:
            async with _copied(source, restoring) as database, database.write() as connection:
                if await find_organization(connection) is None:
                    raise StoreError(f"{source} is no backup of Antiphon")
                last = await last_started_at(connection)
                # A session may have ended and a link may have been used since the backup.
                await drop_sessions_and_links(connection)
            await to_thread.run_sync(finish_copy, restoring)
            replaced = await to_thread.run_sync(put_in_place, restoring, path)
        finally:
            remove_copy(restoring)
        mark_used(data_dir)
    return Restored(last, replaced)


def _refuse_no_file(target: Path) -> None:
    """Raise `StoreError` for a path at which no file can be made."""
    if not target.name:
        raise StoreError(f"{target} is a folder: name a file for the backup in it")
    folder = target.parent
    if not folder.exists():
        raise StoreError(f"there is no folder {folder}: make it first, or name another file")
    if not folder.is_dir():
        raise StoreError(f"{folder} is a file, no folder: name another file")


@asynccontextmanager
async def _copied(source: Path, target: Path) -> AsyncGenerator[Database]:
    """Copy a database into an empty file, and open it, with the tables of this release."""
    await to_thread.run_sync(copy_database, source, target)
    database = await open_database(sqlite_url(target))
    try:
        try:
            await migrate(database, may_create=False)
        except EmptyDatabaseError as error:
            raise StoreError(f"{source} is empty") from error
        yield database
    finally:
        await database.aclose()


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


@contextmanager
def _alone_in(data_dir: Path) -> Generator[None]:
    """Lock the folder against servers, and see that none uses it that shares its limits."""
    try:
        with lock_data_dir(data_dir):
            if has_running_owner(data_dir / JOURNAL_FOLDER):
                raise _occupied(data_dir)
            yield
    except OccupiedError as error:
        raise _occupied(data_dir, error.holder) from error


def _occupied(data_dir: Path, holder: str = "") -> StoreError:
    by = f" ({holder})" if holder else ""
    return StoreError(f"A server{by} uses {data_dir}: stop it, and then restore")
