"""Uploaded files in the database: begun, filled, shown, found, listed, deleted, and removed.

A file is invisible until all of its content is there. Until then it is held: the process that
receives it renews `held_until`, and what is held no longer is of a process that died. What is
deleted is invisible at once; `purge` removes its content in portions, each in a transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, func, insert, literal_column, or_, select, update

from antiphon.core.files import KEPT_EXPIRED, FileState
from antiphon.core.pagination import IdCursor
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.errors import StoreError
from antiphon.store.database.file_tables import file_chunks, files
from antiphon.store.database.pages import Order, Page, Rows, behind, read_page
from antiphon.store.database.records import add, read

CHUNK_BYTES: Final = 1024 * 1024
PORTION: Final = 4
"""The chunks that one transaction adds or removes: some builds of SQLite write zeros over what is
removed, so that the log grows by as much."""

_columns = files.c


class FileGoneError(StoreError):
    """The file was deleted while its content arrived or was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile(FileState):
    """A file, whose it is, and how far it is: see the table."""

    workspace_id: str | None
    api_key_id: str | None = None
    account_id: str | None = None
    held_until: datetime | None = None
    deleted_at: datetime | None = None
    emptied: bool = False


async def begin_file(connection: AsyncConnection, file: StoredFile) -> None:
    """Add a file without content, held until its `held_until`; the id must be new."""
    await add(connection, files, file)


async def hold_file(connection: AsyncConnection, file_id: str, until: datetime) -> None:
    """Hold a file whose content arrives until this moment; of another one, do nothing."""
    await connection.execute(update(files).where(_arriving(file_id)).values(held_until=until))


async def add_chunks(
    connection: AsyncConnection, file_id: str, first: int, chunks: Sequence[bytes]
) -> None:
    """Add pieces of the content, numbered from `first` on. Raises `FileGoneError`."""
    change = update(files).where(_arriving(file_id))
    grown = change.values(size_bytes=_columns.size_bytes + sum(map(len, chunks)))
    if (await connection.execute(grown)).rowcount != 1:
        raise FileGoneError("The file was dropped before all of it had arrived")
    if chunks:
        rows = [
            {"file_id": file_id, "number": number, "data": data}
            for number, data in enumerate(chunks, first)
        ]
        await connection.execute(insert(file_chunks), rows)


async def finish_file(connection: AsyncConnection, file: StoredFile) -> StoredFile:
    """Show a file, with the name, type and end of `file`. Raises `FileGoneError`."""
    change = update(files).where(_arriving(file.id))
    shown = change.values(
        held_until=None,
        filename=file.filename,
        mime_type=file.mime_type,
        expires_at=file.expires_at,
    )
    found = await read(connection, StoredFile, shown.returning(*files.c))
    if not found:
        raise FileGoneError("The file was dropped before all of it had arrived")
    return found[0]


async def drop_file(connection: AsyncConnection, file_id: str, now: datetime) -> None:
    """Drop a file whose content arrives; `purge` removes what is there of it."""
    await connection.execute(update(files).where(_arriving(file_id)).values(deleted_at=now))


async def find_file(
    connection: AsyncConnection, workspace_id: str | None, file_id: str
) -> StoredFile | None:
    """Find a file of a workspace, also an expired one."""
    # PostgreSQL refuses a text with a NUL, and no id has one.
    if "\0" in file_id:
        return None
    one = select(files).where(_columns.id == file_id, *_visible(workspace_id))
    return next(iter(await read(connection, StoredFile, one)), None)


async def list_files(
    connection: AsyncConnection, workspace_id: str | None, cursor: IdCursor, now: datetime
) -> Page[StoredFile]:
    """Return one page of the files of a workspace, the newest first, without expired ones.

    Raises `InvalidRequestError` for an id that is not in the listing, and for both ids at once.
    """
    order = Order(_columns.created_at, _columns.id)
    # A cursor may name a file that was deleted since.
    seen = [_in_workspace(workspace_id), _columns.held_until.is_(None)]
    rows = Rows(files, order, seen, [_columns.deleted_at.is_(None), _lives(now)])
    return await read_page(connection, StoredFile, rows, cursor)


async def files_behind(
    connection: AsyncConnection,
    workspace_id: str | None,
    now: datetime,
    *,
    limit: int,
    place: tuple[datetime, str] | None = None,
) -> tuple[StoredFile, ...]:
    """Return files as `list_files` does: those behind `place`, which is a moment and an id."""
    query = select(files).where(*_visible(workspace_id), _lives(now))
    if place is not None:
        query = query.where(behind((_columns.created_at, _columns.id), place, falls=True))
    newest = query.order_by(_columns.created_at.desc(), _columns.id.desc()).limit(limit)
    return await read(connection, StoredFile, newest)


async def files_of_ids(
    connection: AsyncConnection, workspace_id: str | None, now: datetime, ids: Collection[str]
) -> tuple[StoredFile, ...]:
    """Return those of these files that the workspace has, the newest first."""
    known = [one for one in ids if "\0" not in one]
    query = select(files).where(*_visible(workspace_id), _lives(now), _columns.id.in_(known))
    newest = query.order_by(_columns.created_at.desc(), _columns.id.desc())
    return await read(connection, StoredFile, newest)


async def chunk_of(connection: AsyncConnection, file: StoredFile, number: int) -> bytes:
    """Return a piece of a file's content; nothing behind the last one.

    Raises `FileGoneError` if the content was removed meanwhile.
    """
    columns = file_chunks.c
    one = select(columns.data).where(columns.file_id == file.id, columns.number == number)
    data: bytes | None = await connection.scalar(one)
    if data is None and number * CHUNK_BYTES < file.size_bytes:
        raise FileGoneError("The file was deleted while it was read")
    return data or b""


async def bytes_of_files(
    connection: AsyncConnection, workspace_id: str | None = None, *, of_all: bool = True
) -> int:
    """Return the bytes of the files of a workspace, or `of_all`, with those that arrive."""
    # Written out, as in the condition of the index: expired files have no size any more.
    kept = _columns.deleted_at.is_(None) & (_columns.size_bytes > literal_column("0"))
    where = kept if of_all else kept & _in_workspace(workspace_id)
    query = select(func.coalesce(func.sum(_columns.size_bytes), 0)).where(where)
    return int(await connection.scalar(query) or 0)


async def delete_file(
    connection: AsyncConnection, workspace_id: str | None, file_id: str, now: datetime
) -> bool:
    """Hide a file; return whether it was there. `purge` removes its content."""
    one = update(files).where(_columns.id == file_id, *_visible(workspace_id))
    return (await connection.execute(one.values(deleted_at=now))).rowcount == 1


async def delete_files_of(connection: AsyncConnection, workspace_id: str, now: datetime) -> None:
    """Hide all files of a workspace, also those that arrive."""
    of_it = update(files).where(_in_workspace(workspace_id), _columns.deleted_at.is_(None))
    await connection.execute(of_it.values(deleted_at=now))


async def purge(connection: AsyncConnection, now: datetime) -> int:
    """Remove at most `PORTION` chunks of one file that is deleted, expired, or held no longer.

    Returns how much was removed or changed; 0 if nothing is left to do. An expired file stays as a
    name for some time, so that it is told from one that never was.
    """
    file = await _to_remove(connection, now)
    if file is None:
        return 0
    columns = file_chunks.c
    numbers = select(columns.number).where(columns.file_id == file.id).limit(PORTION)
    found = list(await connection.scalars(numbers))
    if found:
        rows = delete(file_chunks).where(columns.file_id == file.id, columns.number.in_(found))
        await connection.execute(rows)
    if len(found) == PORTION:
        return PORTION
    this = _columns.id == file.id
    stays = file.deleted_at is None and file.held_until is None and not file.emptied
    if stays:
        await connection.execute(update(files).where(this).values(emptied=True, size_bytes=0))
    else:
        await connection.execute(delete(files).where(this))
    return len(found) + 1


async def _to_remove(connection: AsyncConnection, now: datetime) -> StoredFile | None:
    """Return a file of which something is to be removed, and lock it."""
    expired = _columns.expires_at <= now
    forgotten = _columns.emptied & (_columns.expires_at <= now - KEPT_EXPIRED)
    # One after the other: each condition has the order of an index.
    for which in (
        _columns.deleted_at.is_not(None),
        _columns.held_until <= now,
        ~_columns.emptied & expired,
        forgotten,
    ):
        one = select(files).where(which).limit(1).with_for_update(skip_locked=True)
        if found := await read(connection, StoredFile, one):
            return found[0]
    return None


def _in_workspace(workspace_id: str | None) -> ColumnElement[bool]:
    if workspace_id is None:
        return _columns.workspace_id.is_(None)
    return _columns.workspace_id == workspace_id


def _visible(workspace_id: str | None) -> tuple[ColumnElement[bool], ...]:
    arrived = _columns.held_until.is_(None)
    return _in_workspace(workspace_id), arrived, _columns.deleted_at.is_(None)


def _lives(now: datetime) -> ColumnElement[bool]:
    return or_(_columns.expires_at.is_(None), _columns.expires_at > now)


def _arriving(file_id: str) -> ColumnElement[bool]:
    arrives = _columns.held_until.is_not(None)
    return (_columns.id == file_id) & arrives & _columns.deleted_at.is_(None)
