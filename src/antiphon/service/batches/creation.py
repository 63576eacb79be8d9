"""A batch is made from its body while that arrives, a group of requests after the other.

    pieces ─► BatchBody ─► groups of rows, invisible ─► ready: visible, and worked on
                 │ a fault, a hang-up
                 └─► dropped

Memory: between two pieces what `kept` says: of a group, of one request, and up to 300 bytes for
each request. While a piece is taken, twice the largest request more.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

import anyio

from antiphon.service.access import no_workspace
from antiphon.service.background import offload
from antiphon.service.idempotency_key import check_same
from antiphon.store.accounts import note_use_before_charge
from antiphon.store.batches.create import (
    NewRequest,
    add_requests,
    begin_batch,
    drop_batch,
    hold_unready,
    make_ready,
)
from antiphon.store.batches.rows import SECTIONS, Batch
from antiphon.store.batches.sections import rank_of
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.disk import REMOVAL_BYTES
from antiphon.store.database.errors import StoreError
from antiphon.store.workspaces import hold_open
from antiphon.wire.batch_body import BatchBody, BatchItem

# One transaction adds so many requests, or so many bytes and one request.
GROUP_ROWS: Final = 250
GROUP_BYTES: Final = 4 * 1024 * 1024
# What a prefix takes in a dict: its digest, a number, and its place.
RANK_BYTES: Final = 150
HELD_FOR: Final = timedelta(seconds=60)
"""How long what has arrived is kept after a crash. The clocks of servers differ by less."""
RENEWED_EVERY_S: Final = 15.0


class Creation:
    """One batch on its way into the database.

    `stored` is the number of its requests that are there.
    """

    def __init__(
        self, database: Database, batch: Batch, largest: int, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._batch = batch
        self._now = now
        self._body = BatchBody(largest)
        self._digest = sha256()
        # The rank of the first request with each prefix, and the section of each model.
        self._ranks: dict[bytes, int] = {}
        self._sections: dict[bytes, int] = {}
        self._group: list[NewRequest] = []
        self._size = 0
        self.stored = 0

    @property
    def kept(self) -> int:
        """The bytes of memory that the body takes until its next piece."""
        digests = len(self._ranks) + len(self._sections)
        return self._body.kept + self._size + RANK_BYTES * digests

    async def add(self, piece: bytes) -> None:
        """Take the next piece, and store the groups that it fills.

        Raises `BodyError`, and `StoreError`: `BatchGoneError` if the batch was dropped.
        """
        self._digest.update(piece)
        for item in await offload(len(piece), self._body.feed, piece):
            rank = self._rank(item)
            self._group.append(NewRequest(item.number, item.custom_id, rank, item.params))
            self._size += len(item.params)
            if len(self._group) >= GROUP_ROWS or self._size >= GROUP_BYTES:
                await self._store_group()

    def _rank(self, item: BatchItem) -> int:
        rank = self._ranks.get(item.prefix)
        if rank is None:
            section = self._sections.get(item.model, len(self._sections))
            if section < SECTIONS:
                self._sections[item.model] = section
            self._ranks[item.prefix] = rank = rank_of(section, item.number)
        return rank

    def check_same(self, made: Batch) -> None:
        """Raise `InvalidRequestError` if `made`, which has the same key, is of another request.

        Equal bodies may mean different requests: their params are decoded by version and betas.
        """
        new = self._batch
        check_same(
            (made.version, made.betas, made.asked),
            (new.version, new.betas, self._digest.digest()),
        )

    def check_end(self) -> None:
        """Raise `BodyError` if the body is not complete."""
        self._body.end()

    async def finish(self, repeat_key: bytes | None) -> Batch:
        """Make the batch ready.

        Raises `DuplicateError` if another one has its key, and `PermissionError_` if its workspace
        was archived while the body arrived: archiving cancels only the batches that are ready.
        """
        workspace = self._batch.workspace_id
        async with self._database.write() as connection:
            # Locked before the batch, as by whoever archives the workspace.
            if workspace is not None and not await hold_open(connection, workspace):
                raise no_workspace()
            # What it costs is charged later, and perhaps by another process.
            if (key := self._batch.api_key_id) is not None:
                await note_use_before_charge(connection, {key: self._batch.created_at})
            await self._add_group(connection, beside=0)
            return await make_ready(
                connection,
                self._batch.id,
                asked=self._digest.digest(),
                repeat_key=repeat_key,
                expires_at=self._batch.expires_at,
            )

    async def keep_held(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Hold what is stored again and again, so that it is not taken for that of a dead process.

        A database that is away is asked again: the batch is held for some time.
        """
        while True:
            await sleep(RENEWED_EVERY_S)
            if self.stored:
                with suppress(StoreError):
                    async with self._database.write() as connection:
                        await hold_unready(connection, self._batch.id, self._now() + HELD_FOR)

    async def drop(self) -> None:
        """Leave nothing behind. Raises `StoreError`; the upkeep then tries it again."""
        if self.stored:
            with anyio.CancelScope(shield=True):
                async with self._database.write() as connection:
                    await drop_batch(connection, self._batch.id, self._batch.created_at)

    async def _store_group(self) -> None:
        async with self._database.write() as connection:
            # What follows may be refused, and then this is removed.
            await self._add_group(connection, beside=REMOVAL_BYTES)
        self.stored += len(self._group)
        self._group, self._size = [], 0

    async def _add_group(self, connection: AsyncConnection, beside: int) -> None:
        """Add what is left. A small batch is begun, filled and made ready at once.

        Raises `DiskFullError` if the disk would not keep its reserve and `beside` bytes free.
        """
        if not self.stored:
            held = replace(self._batch, expires_at=self._now() + HELD_FOR)
            await begin_batch(connection, held)
        if self._group:
            await self._database.check_space(connection, self._size, beside=beside)
            await add_requests(connection, self._batch.id, self._group)
