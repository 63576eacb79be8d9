"""The content of one file on its way into the database.

    pieces ─► chunks of 1 MiB ─► groups of 4, each a transaction, invisible ─► shown
                 │ a fault, a hang-up
                 └─► dropped

So a file of any size takes `kept` bytes of memory, and a crash in the middle leaves only what the
upkeep finds.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Self, TypeAlias

import anyio
import msgspec

from antiphon.core.errors import RequestTooLarge
from antiphon.core.files import quota_exceeded
from antiphon.service.access import no_workspace
from antiphon.settings import Settings
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.disk import REMOVAL_BYTES
from antiphon.store.database.errors import StoreError
from antiphon.store.files import (
    CHUNK_BYTES,
    PORTION,
    StoredFile,
    add_chunks,
    begin_file,
    bytes_of_files,
    drop_file,
    finish_file,
    hold_file,
)
from antiphon.store.workspaces import hold_open

GROUP_BYTES: Final = PORTION * CHUNK_BYTES
HELD_FOR: Final = timedelta(seconds=60)
"""How long what has arrived is kept after a crash. The clocks of servers differ by less."""
RENEWED_EVERY_S: Final = 15.0


# Writes into the transaction that shows a file.
Note: TypeAlias = Callable[[AsyncConnection, StoredFile], Awaitable[None]]


class FileLimits(msgspec.Struct, frozen=True):
    """The most bytes: of one file, of all files, and of those of each workspace, if that is set."""

    largest: int
    quota: int
    workspace_quota: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those of the settings."""
        quotas = settings.file_quota_bytes, settings.workspace_file_quota_bytes
        return cls(settings.max_file_bytes, *quotas)


class Arrival:
    """A file whose content arrives. `file` is what is known of it before."""

    def __init__(
        self,
        database: Database,
        file: StoredFile,
        limits: FileLimits,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._file = file
        self._limits = limits
        self._now = now
        self._group = bytearray()
        self._chunks = 0
        self._size = 0
        self._begun = False

    @property
    def kept(self) -> int:
        """The bytes of memory that are kept until the next piece."""
        return len(self._group)

    async def add(self, data: bytes) -> None:
        """Take the next bytes, and store the groups that they fill.

        Raises `RequestTooLarge`, `InvalidRequestError` for a full quota, and `StoreError`:
        `FileGoneError` if the file was dropped.
        """
        self._size += len(data)
        if self._size > self._limits.largest:
            raise RequestTooLarge(f"A file has at most {self._limits.largest:,} bytes.")
        self._group += data
        while len(self._group) >= GROUP_BYTES:
            await self._store(GROUP_BYTES)

    async def finish(self, file: StoredFile, note: Note) -> StoredFile:
        """Show the file, as `file` says that it is, and `note` it in the same transaction.

        Raises as `add` does, and `PermissionError_` if its workspace was archived meanwhile.
        """
        async with self._database.write() as connection:
            # Locked before the file, as by whoever archives the workspace.
            workspace = file.workspace_id
            if workspace is not None and not await hold_open(connection, workspace):
                raise no_workspace()
            # Nothing is removed in between, so nothing beside has to stay free.
            await self._add(connection, len(self._group), beside=0)
            shown = await finish_file(connection, file)
            await note(connection, shown)
        return shown

    async def keep_held(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Hold what is stored again and again, so that it is not taken for that of a dead process.

        A database that is away is asked again: the file is held for some time.
        """
        while True:
            await sleep(RENEWED_EVERY_S)
            if self._begun:
                with suppress(StoreError):
                    async with self._database.write() as connection:
                        await hold_file(connection, self._file.id, self._now() + HELD_FOR)

    async def drop(self) -> None:
        """Leave nothing behind. Without a database the upkeep drops it, as it is held no longer."""
        if self._begun:
            with anyio.CancelScope(shield=True), suppress(StoreError):
                async with self._database.write() as connection:
                    await drop_file(connection, self._file.id, self._now())

    async def _store(self, size: int) -> None:
        async with self._database.write() as connection:
            # What follows may be refused, and then this is removed.
            await self._add(connection, size, beside=REMOVAL_BYTES)
        self._begun = True
        self._chunks += size // CHUNK_BYTES
        del self._group[:size]

    async def _add(self, connection: AsyncConnection, size: int, beside: int) -> None:
        """Add the first `size` bytes of the group.

        Raises `DiskFullError` if the disk would not keep its reserve and `beside` bytes free.
        """
        await self._check_quotas(connection, size)
        await self._database.check_space(connection, size, beside=beside)
        if not self._begun:
            # From now on: of a slow caller the first group comes long after the beginning.
            held = replace(self._file, held_until=self._now() + HELD_FOR)
            await begin_file(connection, held)
        chunks = [
            bytes(self._group[start : min(start + CHUNK_BYTES, size)])
            for start in range(0, size, CHUNK_BYTES)
        ]
        await add_chunks(connection, self._file.id, self._chunks, chunks)

    async def _check_quotas(self, connection: AsyncConnection, size: int) -> None:
        limits = self._limits
        if await bytes_of_files(connection) + size > limits.quota:
            raise quota_exceeded("your organization", limits.quota)
        if limits.workspace_quota is not None:
            used = await bytes_of_files(connection, self._file.workspace_id, of_all=False)
            if used + size > limits.workspace_quota:
                raise quota_exceeded("this workspace", limits.workspace_quota)
