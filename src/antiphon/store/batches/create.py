"""Batches come into being: begun, filled in groups, and made ready, or dropped.

A batch is invisible and does no work until it is ready. So a body can arrive in pieces, each in a
transaction of its own, and a crash in the middle leaves only what `drop_unready` finds. Until then
`expires_at` is a lease: the process that makes the batch renews it (`hold_unready`), and a batch
whose lease has ended is one of a process that died. It counts in no queue any more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, insert, or_, select, update

from antiphon.store.batches.rows import (
    BATCH_COLUMNS,
    Batch,
    RowState,
    in_order,
    is_open,
    read_batches,
    visible,
)
from antiphon.store.database.batch_tables import message_batches
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.errors import StoreError

# The driver sends rows one by one, and other requests wait for all of a call.
ROWS_AT_ONCE = 250

_NEW_ROW = ("batch_id", "number", "custom_id", "rank", "params")


class BatchGoneError(StoreError):
    """The batch that is being filled was dropped."""


class NewRequest(NamedTuple):
    """A request to add. `rank` is `sections.rank_of` its model and prefix.

    `params` are the JSON of its parameters.
    """

    number: int
    custom_id: str
    rank: int
    params: bytes


async def begin_batch(connection: AsyncConnection, batch: Batch) -> None:
    """Add an empty batch that is not ready, held until `expires_at`; the id must be new."""
    row = {column.name: getattr(batch, column.name) for column in BATCH_COLUMNS}
    row |= {"betas": list(batch.betas), "ready": False}
    await connection.execute(insert(message_batches).values(row))


async def hold_unready(connection: AsyncConnection, batch_id: str, until: datetime) -> None:
    """Hold a batch that is not ready until this moment; of one that is, or is gone, nothing."""
    columns = message_batches.c
    filling = (columns.id == batch_id) & ~columns.ready & columns.deleted_at.is_(None)
    await connection.execute(update(message_batches).where(filling).values(expires_at=until))


async def add_requests(
    connection: AsyncConnection, batch_id: str, added: Sequence[NewRequest]
) -> None:
    """Add requests to a batch that is not ready. Raises `BatchGoneError` if it was dropped."""
    columns = message_batches.c
    filling = (columns.id == batch_id) & ~columns.ready & columns.deleted_at.is_(None)
    # Also keeps the sweep, on PostgreSQL, from dropping the batch before this transaction ends.
    count = update(message_batches).where(filling)
    changed = await connection.execute(count.values(requests=columns.requests + len(added)))
    if changed.rowcount != 1:
        raise BatchGoneError("The batch was dropped before all of its requests had arrived")
    positional = "?" if connection.dialect.name == "sqlite" else "${}"
    values = ", ".join(positional.format(number) for number in range(1, 1 + len(_NEW_ROW)))
    text = f"INSERT INTO batch_requests ({', '.join(_NEW_ROW)}, state, tries) "
    text += f"VALUES ({values}, {RowState.PENDING:d}, 0)"
    for start in range(0, len(added), ROWS_AT_ONCE):
        rows = [(batch_id, *request) for request in added[start : start + ROWS_AT_ONCE]]
        await connection.exec_driver_sql(text, rows)


async def make_ready(
    connection: AsyncConnection,
    batch_id: str,
    *,
    asked: bytes,
    repeat_key: bytes | None = None,
    expires_at: datetime | None = None,
) -> Batch:
    """Show a batch and let its requests be claimed; return it.

    `asked` is the digest of the whole body. Without `expires_at` the batch expires when it would
    have been held no longer. Raises `DuplicateError` if another batch has the
    `repeat_key`, which rolls the transaction back: `find_repeated` then finds that batch, and this
    one has to be dropped. Raises `BatchGoneError` if it was dropped.
    """
    columns = message_batches.c
    filled = (columns.id == batch_id) & ~columns.ready & columns.deleted_at.is_(None)
    change = update(message_batches).where(filled, columns.requests > 0)
    expires = columns.expires_at if expires_at is None else expires_at
    ready = change.values(ready=True, asked=asked, repeat_key=repeat_key, expires_at=expires)
    found = await read_batches(connection, ready.returning(*BATCH_COLUMNS))
    if not found:
        raise BatchGoneError("The batch was dropped before it was ready, or it has no requests")
    return found[0]


async def find_repeated(connection: AsyncConnection, repeat_key: bytes) -> Batch | None:
    """Find the batch that a request with this key has made, unless it is deleted."""
    same = select(*BATCH_COLUMNS).where(message_batches.c.repeat_key == repeat_key, visible)
    return next(iter(await read_batches(connection, same)), None)


async def forget_repeat_keys(connection: AsyncConnection, before: datetime) -> None:
    """Forget the keys of batches that were created before this moment."""
    columns = message_batches.c
    old = columns.repeat_key.is_not(None) & (columns.created_at < before)
    await connection.execute(update(message_batches).where(in_order(old)).values(repeat_key=None))


async def drop_batch(connection: AsyncConnection, batch_id: str, now: datetime) -> None:
    """Drop a batch that is not ready; `purge` removes its rows."""
    await _drop(connection, now, message_batches.c.id == batch_id)


async def drop_unready(connection: AsyncConnection, before: datetime, now: datetime) -> int:
    """Drop the batches that never became ready, were begun before this moment, or are not held.

    Returns how many there were; `purge` removes their rows.
    """
    columns = message_batches.c
    return await _drop(connection, now, or_(columns.created_at < before, columns.expires_at <= now))


async def _drop(connection: AsyncConnection, now: datetime, which: ColumnElement[bool]) -> int:
    unready = ~message_batches.c.ready & message_batches.c.deleted_at.is_(None) & is_open
    change = update(message_batches).where(in_order(unready & which)).values(deleted_at=now)
    return (await connection.execute(change)).rowcount
