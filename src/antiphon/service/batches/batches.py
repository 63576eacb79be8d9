"""The use cases of `/v1/messages/batches`: create, show, list, cancel, read the results, delete."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec

from antiphon.core.batches import LIFETIME, batch_not_found
from antiphon.core.errors import (
    ApiError,
    InvalidRequestError,
    OverloadedError,
    RateLimitError,
    RequestTooLarge,
)
from antiphon.core.ids import ID_ENTROPY, batch_id
from antiphon.core.pagination import IdCursor
from antiphon.service.access import Caller
from antiphon.service.background import background
from antiphon.service.batches.creation import Creation
from antiphon.service.batches.upkeep import UNREADY_FOR
from antiphon.service.idempotency_key import check_key
from antiphon.store.batches.create import BatchGoneError, drop_batch, find_repeated
from antiphon.store.batches.listing import (
    EVERY_BATCH,
    BatchFilter,
    BatchUse,
    cancel_batch,
    delete_batch,
    find_batch,
    list_batches,
    unfinished_requests,
    used_by_batch,
)
from antiphon.store.batches.results import results_page
from antiphon.store.batches.rows import Batch
from antiphon.store.batches.workers import has_worker
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.errors import DuplicateError, StoreError
from antiphon.store.database.pages import Page
from antiphon.wire.batch_body import LargeRequestError
from antiphon.wire.batches import result_line

PIECES_AT_ONCE: Final = 2
"""Pieces of bodies that are decoded and stored at the same time; others wait in their sockets."""


class BatchHeaders(msgspec.Struct, frozen=True):
    """What the caller of a create says besides the body.

    The params are decoded by `version` and `betas`; a create that is sent again with the same
    `idempotency_key` returns the same batch. `traceparent` names the span of the create, if the
    batch is to have spans as well.
    """

    version: str
    betas: frozenset[str]
    idempotency_key: str | None = None
    traceparent: str | None = None


class BatchOwner(msgspec.Struct, frozen=True):
    """Whose a batch is: its workspace, and the key and the user that create it.

    A `workspace_id` of `None` is the Default workspace. The command line has no key and no user.
    """

    workspace_id: str | None
    api_key_id: str | None = None
    account_id: str | None = None


class BatchProgress(msgspec.Struct, frozen=True):
    """A batch, what its finished requests have used, and whether there is any worker."""

    batch: Batch
    used: BatchUse
    has_worker: bool


def owner_of(caller: Caller) -> BatchOwner:
    """Return the owner of the batches of a caller."""
    workspace_id = None if caller.in_default_workspace else caller.workspace_id
    return BatchOwner(workspace_id, caller.key_id or None, caller.key.created_by)


class Batches:
    """The batches of every workspace."""

    def __init__(  # noqa: PLR0913 - the parts that it needs
        self,
        database: Database,
        entropy: Callable[[int], bytes],
        now: Callable[[], datetime],
        *,
        largest_request: int,
        queued_requests: int,
        added: Callable[[], None],
        cancelled: Callable[[str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take requests of at most `largest_request` bytes.

        At most `queued_requests` of all batches may be without a result. `added` is called for each
        new batch, and `cancelled` with the id of each one that is cancelled.
        """
        self._database = database
        self._entropy = entropy
        self._now = now
        self._largest_request = largest_request
        self._queued_requests = queued_requests
        self._added = added
        self._cancelled = cancelled
        self._sleep = sleep
        self._turns = asyncio.Semaphore(PIECES_AT_ONCE)
        # Batches whose rows could not be dropped: invisible, but stored.
        self._undropped: set[str] = set()

    async def create(
        self,
        owner: BatchOwner,
        asked: BatchHeaders,
        pieces: AsyncIterator[bytes],
        hold: Callable[[int], None] = lambda _: None,
    ) -> Batch:
        """Make a batch from the pieces of its body; a repeated request returns the same batch.

        `hold` gets the bytes of the body that are kept in memory until its next piece, and may
        raise. Raises `ApiError`, `BodyError` and `StoreError`; then there is no batch.
        """
        repeat = asked.idempotency_key
        key = None if repeat is None else repeat_key(owner, repeat)
        async with self._database.read() as connection:
            await self._database.check_space(connection)
            await self._check_queue(connection)
        now = self._now()
        batch = Batch(
            id=batch_id(self._entropy(ID_ENTROPY)),
            workspace_id=owner.workspace_id,
            api_key_id=owner.api_key_id,
            account_id=owner.account_id,
            version=asked.version,
            betas=tuple(sorted(asked.betas)),
            created_at=now,
            expires_at=now + LIFETIME,
            traceparent=asked.traceparent,
        )
        creation = Creation(self._database, batch, self._largest_request, self._now)
        try:
            async with background(
                "antiphon-batch-arriving", partial(creation.keep_held, self._sleep)
            ):
                async for piece in pieces:
                    # While a slow caller is waited for, others have the turn.
                    async with self._turns:
                        await creation.add(piece)
                    hold(creation.kept)
                async with self._turns:
                    batch = await self._finished(creation, key)
        except BaseException as error:
            try:
                await creation.drop()
            except StoreError:
                self._undropped.add(batch.id)
            match error:
                case LargeRequestError():
                    raise RequestTooLarge(str(error)) from error
                case BatchGoneError():
                    raise _gone(self._now() - now) from error
            raise
        self._added()
        return batch

    async def _finished(self, creation: Creation, key: bytes | None) -> Batch:
        creation.check_end()
        if (made := await self._made_before(creation, key)) is None:
            async with self._database.read() as connection:
                await self._check_queue(connection, creation.stored)
            try:
                return await creation.finish(key)
            except DuplicateError:
                # The same request has come twice at once.
                if (made := await self._made_before(creation, key)) is None:
                    raise
        await creation.drop()
        return made

    async def _made_before(self, creation: Creation, key: bytes | None) -> Batch | None:
        if key is None:
            return None
        async with self._database.read() as connection:
            found = await find_repeated(connection, key)
        if found is not None:
            creation.check_same(found)
        return found

    async def drop_left(self) -> None:
        """Drop what could not be dropped when its create was refused. Raises `StoreError`.

        There are as many as creates that were arriving while the database could not be written.
        """
        for left in tuple(self._undropped):
            async with self._database.write() as connection:
                await drop_batch(connection, left, self._now())
            self._undropped.discard(left)

    async def _check_queue(self, connection: AsyncConnection, own: int = 0) -> None:
        """Raise `RateLimitError` if the queue is full without these requests of the caller."""
        waiting = await unfinished_requests(connection, self._now()) - own
        if waiting >= self._queued_requests:
            raise RateLimitError(
                f"{waiting:,} requests of Message Batches have no result yet; at most "
                f"{self._queued_requests:,} may be queued. Please try again later."
            )

    async def show(self, owner: BatchOwner, wanted: str) -> Batch:
        """Return a batch of the owner's workspace. Raises `NotFoundError`."""
        async with self._database.read() as connection:
            found = await find_batch(connection, owner.workspace_id, wanted)
        return _known(found, wanted)

    async def progress(self, owner: BatchOwner, wanted: str) -> BatchProgress:
        """Return a batch and what it has used so far. Raises `NotFoundError`."""
        async with self._database.read() as connection:
            batch = _known(await find_batch(connection, owner.workspace_id, wanted), wanted)
            used = await used_by_batch(connection, batch.id)
            return BatchProgress(batch, used, await has_worker(connection, self._now()))

    async def listing(
        self, owner: BatchOwner, cursor: IdCursor, wanted: BatchFilter = EVERY_BATCH
    ) -> Page[Batch]:
        """Return a page of the workspace's batches."""
        async with self._database.read() as connection:
            return await list_batches(connection, owner.workspace_id, cursor, wanted)

    async def cancel(self, owner: BatchOwner, wanted: str) -> Batch:
        """Cancel a batch; one that is cancelled already stays as it is.

        Raises `InvalidRequestError` if it has ended.
        """
        now = self._now()
        async with self._database.write() as connection:
            batch = _known(await cancel_batch(connection, owner.workspace_id, wanted, now), wanted)
        batch.check_cancel()
        self.stop(wanted)
        return batch

    def stop(self, batch_id: str) -> None:
        """Stop what runs of a batch that was cancelled, in this process, and close it."""
        self._cancelled(batch_id)

    async def delete(self, owner: BatchOwner, wanted: str) -> None:
        """Delete an ended batch and its results."""
        async with self._database.write() as connection:
            if await delete_batch(connection, owner.workspace_id, wanted, self._now()):
                return
            found = await find_batch(connection, owner.workspace_id, wanted)
        _known(found, wanted).check_delete()

    async def results(self, owner: BatchOwner, wanted: str) -> AsyncIterator[bytes]:
        """Return the lines of the results, page by page, in the order of the requests.

        Raises `NotFoundError` at once. Reading on raises `StoreError` if the batch is deleted
        meanwhile. A page is `PAGE_BYTES` of results, or one.
        """
        batch = await self.show(owner, wanted)
        batch.check_results(self._now())
        return self._lines(batch)

    async def _lines(self, batch: Batch) -> AsyncIterator[bytes]:
        after = -1
        while True:
            async with self._database.read() as connection:
                page = await results_page(connection, batch, after)
            if not page:
                return
            after = page[-1].number
            lines = b"".join(result_line(one.custom_id, msgspec.Raw(one.result)) for one in page)
            # Not kept while a slow caller reads.
            del page
            yield lines


def repeat_key(owner: BatchOwner, name: str) -> bytes:
    """Return the digest of an `Idempotency-Key`: other workspaces may use the same.

    Raises `InvalidRequestError`.
    """
    check_key(name)
    return sha256(f"{owner.workspace_id or ''} {name}".encode()).digest()


def _gone(after: timedelta) -> ApiError:
    """Return the refusal of a body whose batch the upkeep has dropped so long after its beginning.

    Either it arrived too slowly, or this process could not hold it: its database was away for long.
    """
    if after < UNREADY_FOR:
        return OverloadedError()
    return InvalidRequestError(
        f"The request body did not come in {UNREADY_FOR.total_seconds():g} s.",
        error_code="request_body_timeout",
    )


def _known(found: Batch | None, wanted: str) -> Batch:
    if found is None:
        raise batch_not_found(wanted)
    return found
