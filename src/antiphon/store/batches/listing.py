"""Batches as callers see them: found, listed, cancelled, deleted, and what of them is kept.

Rows are removed in portions, each in a transaction of its caller: a batch has up to 100,000.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)

from antiphon.core.pagination import IdCursor
from antiphon.store.batches.rows import (
    BATCH_COLUMNS,
    BATCH_CONVERTERS,
    Batch,
    has_rows,
    in_order,
    in_workspace,
    is_open,
    read_batches,
    visible,
)
from antiphon.store.database.batch_tables import batch_requests, message_batches
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.pages import Order, Page, Rows, read_page, within
from antiphon.store.database.tables import ledger
from antiphon.wire.batches import ProcessingStatus

_columns = message_batches.c

# The rows that one transaction removes, and the bytes of them, or one row. Some builds of SQLite
# write zeros over what is removed (SECURE_DELETE), and the log grows by as much.
PORTION = 1000
PORTION_BYTES = 4 * 1024 * 1024
# The batches that one transaction looks at for rows to remove.
_BATCHES_AT_ONCE = 100


class BatchFilter(NamedTuple):
    """Selects batches; a filter of `None` selects all. The time of creation excludes its end."""

    status: ProcessingStatus | None = None
    start: datetime | None = None
    end: datetime | None = None
    is_descending: bool = True


EVERY_BATCH = BatchFilter()


class BatchUse(NamedTuple):
    """What the finished requests of a batch have used; `cost` is in nano-dollars."""

    output_tokens: int
    cost: int


async def find_batch(
    connection: AsyncConnection, workspace_id: str | None, batch_id: str
) -> Batch | None:
    """Find a batch of a workspace by id. PostgreSQL refuses a text with a NUL; no id has one."""
    if "\0" in batch_id:
        return None
    one = select(*BATCH_COLUMNS).where(_one(workspace_id, batch_id))
    return next(iter(await read_batches(connection, one)), None)


async def list_batches(
    connection: AsyncConnection,
    workspace_id: str | None,
    cursor: IdCursor,
    wanted: BatchFilter = EVERY_BATCH,
) -> Page[Batch]:
    """Return one page of the batches of a workspace.

    A cursor may name a batch that was deleted: callers delete batches of a page before they ask for
    the next one. Raises `InvalidRequestError` for an id that is not in the listing, and for both
    ids at once.
    """
    rows = Rows(
        message_batches,
        Order(_columns.created_at, _columns.id, wanted.is_descending),
        [in_workspace(workspace_id), _columns.ready],
        [
            _columns.deleted_at.is_(None),
            *within(_columns.created_at, wanted.start, wanted.end),
            *_has_status(wanted.status),
        ],
    )
    return await read_page(connection, Batch, rows, cursor, BATCH_CONVERTERS)


def _has_status(status: ProcessingStatus | None) -> Iterator[ColumnElement[bool]]:
    if status == "ended":
        yield ~is_open
    elif status is not None:
        is_canceled = _columns.cancel_initiated_at.is_not(None)
        yield is_open
        yield is_canceled if status == "canceling" else ~is_canceled


async def used_by_batch(connection: AsyncConnection, batch_id: str) -> BatchUse:
    """Sum up the ledger entries of a batch. Reads an index of batches alone."""
    sums = [
        func.coalesce(func.sum(column), 0) for column in (ledger.c.output_tokens, ledger.c.cost)
    ]
    found = await connection.execute(select(*sums).where(ledger.c.batch_id == batch_id))
    output_tokens, cost = found.one()
    return BatchUse(int(output_tokens), int(cost))


async def unfinished_requests(connection: AsyncConnection, now: datetime) -> int:
    """Return how many requests of all workspaces have no result yet, for the limit of the queue.

    Includes batches that are still arriving, but not what a process that died has left of one.
    Reads only open batches.
    """
    finished = _columns.succeeded + _columns.errored + _columns.canceled + _columns.expired
    total = select(func.sum(_columns.requests - finished))
    arriving = or_(_columns.ready, _columns.expires_at > now)
    found = await connection.scalar(total.where(is_open, _columns.deleted_at.is_(None), arriving))
    return int(found or 0)


async def cancel_batch(
    connection: AsyncConnection, workspace_id: str | None, batch_id: str, now: datetime
) -> Batch | None:
    """Cancel a batch, unless it has ended or is cancelled already; return it as it is then.

    Its waiting requests get their results from the next claims, or from `close_stopped`.
    """
    if "\0" not in batch_id:
        await _cancel(connection, _one(workspace_id, batch_id), now)
    return await find_batch(connection, workspace_id, batch_id)


async def cancel_workspace(
    connection: AsyncConnection, workspace_id: str | None, now: datetime
) -> tuple[str, ...]:
    """Cancel every open batch of a workspace; return their ids."""
    return await _cancel(connection, in_workspace(workspace_id) & visible, now)


async def stopped_batches(
    connection: AsyncConnection, batch_ids: Collection[str], now: datetime
) -> frozenset[str]:
    """Return which of these batches are cancelled or expired."""
    late = _columns.expires_at <= now
    stopped = or_(_columns.cancel_initiated_at.is_not(None), late)
    query = select(_columns.id).where(_columns.id.in_(batch_ids), stopped)
    return frozenset(await connection.scalars(query))


async def delete_batch(
    connection: AsyncConnection, workspace_id: str | None, batch_id: str, now: datetime
) -> bool:
    """Hide an ended batch; return whether there was one. `purge` removes its rows."""
    if "\0" in batch_id:
        return False
    ended = update(message_batches).where(_one(workspace_id, batch_id), ~is_open)
    changed = await connection.execute(ended.values(deleted_at=now, repeat_key=None))
    return changed.rowcount == 1


async def purge(connection: AsyncConnection, portion: int = PORTION) -> int:
    """Remove at most `portion` rows, or 4 MiB, of deleted batches, and batches without rows.

    Returns how many of both were removed, 0 if nothing is left to do. A row whose ledger entry is
    not settled yet stays, but its content is removed.
    """
    removed = 0
    left = _Portion(portion)
    kept = _columns.archived_at.is_(None)
    query = select(_columns.id).where(kept, _columns.deleted_at.is_not(None))
    for batch_id in await connection.scalars(query.order_by(_columns.id).limit(_BATCHES_AT_ONCE)):
        settled = batch_requests.c.worker.is_(None)
        removed += await _remove_rows(connection, batch_id, left, settled)
        if left.is_done:
            break
        rows = batch_requests.c.batch_id == batch_id
        unsettled = _unlocked(rows & batch_requests.c.result.is_not(None))
        emptied = update(batch_requests).where(rows, batch_requests.c.number.in_(unsettled))
        await connection.execute(emptied.values(params=None, result=None))
        if not await has_rows(connection, batch_id):
            await connection.execute(delete(message_batches).where(_columns.id == batch_id))
            removed += 1
    return removed


async def archive(
    connection: AsyncConnection, before: datetime, now: datetime, portion: int = PORTION
) -> int:
    """Remove at most `portion` rows, or 4 MiB, of ended batches created before a moment.

    A batch is archived with its last row: it stays in the listing. Returns how many rows and
    batches were changed, 0 if nothing is left to do.
    """
    old = (_columns.created_at < before) & _columns.archived_at.is_(None)
    ended = ~is_open & _columns.deleted_at.is_(None)
    oldest = select(_columns.id).where(old, ended).order_by(_columns.created_at).limit(1)
    batch_id = await connection.scalar(oldest)
    if batch_id is None:
        return 0
    removed = await _remove_rows(connection, batch_id, _Portion(portion))
    if await has_rows(connection, batch_id):
        return removed
    change = update(message_batches).where(_columns.id == batch_id)
    await connection.execute(change.values(archived_at=now))
    return max(removed, 1)


def _one(workspace_id: str | None, batch_id: str) -> ColumnElement[bool]:
    return (_columns.id == batch_id) & in_workspace(workspace_id) & visible


async def _cancel(
    connection: AsyncConnection, which: ColumnElement[bool], now: datetime
) -> tuple[str, ...]:
    running = is_open & _columns.cancel_initiated_at.is_(None)
    change = update(message_batches).where(in_order(which & running))
    cancelled = change.values(cancel_initiated_at=now, waits_for=None).returning(_columns.id)
    return tuple(await connection.scalars(cancelled))


@dataclass(slots=True)
class _Portion:
    """What one transaction may still remove."""

    rows: int
    size: int = PORTION_BYTES

    @property
    def is_done(self) -> bool:
        return self.rows <= 0 or self.size <= 0


async def _remove_rows(
    connection: AsyncConnection, batch_id: str, left: _Portion, *where: ColumnElement[bool]
) -> int:
    """Remove rows of a batch, and take them from what is left; return how many there were."""
    columns = batch_requests.c
    rows = columns.batch_id == batch_id
    # Neither database reads a value for its length.
    sizes = [func.coalesce(func.length(one), 0) for one in (columns.params, columns.result)]
    first = _unlocked(and_(rows, *where)).add_columns(sizes[0] + sizes[1]).limit(left.rows)
    numbers: list[int] = []
    for number, size in await connection.execute(first):
        numbers.append(number)
        left.size -= size
        if left.size <= 0:
            break
    if numbers:
        left.rows -= len(numbers)
        await connection.execute(delete(batch_requests).where(rows, columns.number.in_(numbers)))
    return len(numbers)


def _unlocked(which: ColumnElement[bool]) -> Select[int]:
    """Select the numbers of rows that no other transaction changes now, and lock them.

    A worker may settle them, or another process remove them. Whoever comes later leaves them out
    until the next time, since nobody waits for them.
    """
    numbers = select(batch_requests.c.number).where(which).order_by(batch_requests.c.number)
    return numbers.with_for_update(skip_locked=True)
