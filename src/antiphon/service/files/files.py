"""The use cases of `/v1/files`: upload, show, list, read the content, delete."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import msgspec

from antiphon.core.errors import ApiError, InvalidRequestError, OverloadedError
from antiphon.core.files import MOST_IDS, described, file_not_found
from antiphon.core.ids import ID_ENTROPY, file_id
from antiphon.core.pagination import IdCursor, TokenCursor
from antiphon.service.access import Caller
from antiphon.service.admin.transactions import Actor, AdminTransactions, Change
from antiphon.service.background import background
from antiphon.service.files.arrival import HELD_FOR, Arrival, FileLimits
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.pages import Page
from antiphon.store.files import (
    FileGoneError,
    StoredFile,
    chunk_of,
    delete_file,
    files_behind,
    files_of_ids,
    find_file,
    list_files,
)

PIECES_AT_ONCE: Final = 2
"""Groups of contents that are stored at the same time; others wait in their sockets."""


class FileForm(Protocol):
    """What brings a new file: its content, and at the end what is told of it."""

    @property
    def filename(self) -> str: ...

    @property
    def mime_type(self) -> str: ...

    @property
    def life(self) -> timedelta | None:
        """How long the file is kept; `None` for ever."""
        ...

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take the next piece, and yield what it holds of the content. Raises `ApiError`."""
        ...

    def end(self) -> None:
        """Raise `ApiError` if there is no whole file."""
        ...


class FileOwner(msgspec.Struct, frozen=True):
    """Whose a file is: its workspace, and the key and the user that upload it.

    A `workspace_id` of `None` is the Default workspace.
    """

    workspace_id: str | None
    api_key_id: str | None = None
    account_id: str | None = None


def owner_of(caller: Caller) -> FileOwner:
    """Return the owner of the files of a caller."""
    workspace_id = None if caller.in_default_workspace else caller.workspace_id
    return FileOwner(workspace_id, caller.key_id or None, caller.key.created_by)


class Files:
    """The files of every workspace."""

    def __init__(  # noqa: PLR0913 - the parts that it needs
        self,
        database: Database,
        transactions: AdminTransactions,
        entropy: Callable[[int], bytes],
        now: Callable[[], datetime],
        limits: FileLimits,
        *,
        downloads: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """With `downloads`, files that are uploaded from now on can be downloaded as well."""
        self._database = database
        self._transactions = transactions
        self._entropy = entropy
        self._now = now
        self._limits = limits
        self._downloads = downloads
        self._sleep = sleep
        self._turns = asyncio.Semaphore(PIECES_AT_ONCE)

    async def upload(
        self,
        owner: FileOwner,
        actor: Actor,
        form: FileForm,
        pieces: AsyncIterator[bytes],
        hold: Callable[[int], None] = lambda _: None,
    ) -> StoredFile:
        """Keep a file out of the pieces of its form.

        `hold` gets the bytes that are kept in memory until the next piece, and may raise. Raises
        `ApiError` and `StoreError`; then there is no file.
        """
        async with self._database.read() as connection:
            await self._database.check_space(connection)
        now = self._now()
        begun = StoredFile(
            id=file_id(now.timestamp(), self._entropy(ID_ENTROPY)),
            workspace_id=owner.workspace_id,
            api_key_id=owner.api_key_id,
            account_id=owner.account_id,
            filename="",
            mime_type="",
            size_bytes=0,
            downloadable=self._downloads,
            created_at=now,
            held_until=now + HELD_FOR,
        )
        arrival = Arrival(self._database, begun, self._limits, self._now)
        try:
            async with background(
                "antiphon-file-arriving", partial(arrival.keep_held, self._sleep)
            ):
                async for piece in pieces:
                    for data in form.feed(piece):
                        # While a slow caller is waited for, others have the turn.
                        async with self._turns:
                            await arrival.add(data)
                    hold(arrival.kept)
                form.end()
                async with self._turns:
                    return await arrival.finish(
                        _as_told(begun, form, now), partial(self._note_upload, actor)
                    )
        except BaseException as error:
            await arrival.drop()
            if isinstance(error, FileGoneError):
                # Its workspace was archived, or this process could not hold it for long.
                raise OverloadedError from error
            raise

    async def show(self, workspace_id: str | None, wanted: str) -> StoredFile:
        """Return a file of a workspace. Raises `NotFoundError`, also for one that has expired."""
        async with self._database.read() as connection:
            found = await find_file(connection, workspace_id, wanted)
        if found is None:
            raise file_not_found(wanted)
        found.check_there(self._now())
        return found

    async def page(self, workspace_id: str | None, cursor: TokenCursor) -> Sequence[StoredFile]:
        """Return the files of a page, and one more if another page follows."""
        limit, place = cursor.size + 1, cursor.place
        async with self._database.read() as connection:
            return await files_behind(
                connection, workspace_id, self._now(), limit=limit, place=place
            )

    async def page_by_ids(self, workspace_id: str | None, cursor: IdCursor) -> Page[StoredFile]:
        """Return a page as the beta has it."""
        async with self._database.read() as connection:
            return await list_files(connection, workspace_id, cursor, self._now())

    async def those(self, workspace_id: str | None, ids: Sequence[str]) -> Sequence[StoredFile]:
        """Return those of these files that there are. Raises `InvalidRequestError` for too many."""
        distinct = set(ids)
        if len(distinct) > MOST_IDS:
            raise InvalidRequestError(
                f"ids: List should have at most {MOST_IDS} items after validation, not "
                f"{len(distinct)}"
            )
        async with self._database.read() as connection:
            return await files_of_ids(connection, workspace_id, self._now(), distinct)

    async def delete(self, owner: FileOwner, actor: Actor, wanted: str) -> None:
        """Delete a file. Raises `NotFoundError`."""
        file = await self.show(owner.workspace_id, wanted)
        change = Change("file.delete", before=described(file))
        async with self._database.write() as connection:
            if not await delete_file(connection, owner.workspace_id, wanted, self._now()):
                raise _not_found(file)  # somebody else has deleted it since
            await self._transactions.note(connection, actor, change)

    async def download(self, workspace_id: str | None, wanted: str) -> "Content":
        """Return the content of a file. Raises `NotFoundError`, and `InvalidRequestError`."""
        file = await self.show(workspace_id, wanted)
        file.check_download()
        return Content(file, self._database)

    async def content(self, workspace_id: str | None, wanted: str) -> "Content":
        """Return the content of a file, for a request that names it. Raises `NotFoundError`."""
        return Content(await self.show(workspace_id, wanted), self._database)

    async def _note_upload(
        self, actor: Actor, connection: AsyncConnection, file: StoredFile
    ) -> None:
        change = Change("file.create", after=described(file))
        await self._transactions.note(connection, actor, change)


class Content:
    """The content of a file, which is read a chunk at a time."""

    def __init__(self, file: StoredFile, database: Database) -> None:
        self.file = file
        self._database = database

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content. Raises `StoreError`: `FileGoneError` if it is removed meanwhile."""
        number = 0
        while True:
            async with self._database.read() as connection:
                chunk = await chunk_of(connection, self.file, number)
            if not chunk:
                return
            number += 1
            yield chunk

    async def whole(self) -> bytes:
        """Return the content, of a file that is known to be small. Raises `ApiError`."""
        try:
            return b"".join([chunk async for chunk in self.chunks()])
        except FileGoneError as error:
            raise _not_found(self.file) from error


def _not_found(file: StoredFile) -> ApiError:
    return file_not_found(file.id)


def _as_told(begun: StoredFile, form: FileForm, now: datetime) -> StoredFile:
    life = form.life
    return replace(
        begun,
        filename=form.filename,
        mime_type=form.mime_type,
        expires_at=None if life is None else now + life,
    )
