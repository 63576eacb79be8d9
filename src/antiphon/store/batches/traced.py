"""Batches that have ended, each given once to whoever makes its span."""

from typing import Final

from sqlalchemy import select, update

from antiphon.store.batches.rows import BATCH_COLUMNS, Batch, in_order, read_batches
from antiphon.store.database.batch_tables import message_batches
from antiphon.store.database.connection import AsyncConnection

MOST: Final = 100
"""So many at once: each is a row of one transaction."""

_columns = message_batches.c
_due = _columns.traceparent.is_not(None) & _columns.ended_at.is_not(None)


async def has_traced(connection: AsyncConnection) -> bool:
    """Return whether `take_traced` would return any."""
    return await connection.scalar(select(_columns.id).where(_due).limit(1)) is not None


async def take_traced(connection: AsyncConnection, most: int = MOST) -> tuple[Batch, ...]:
    """Return batches that have ended and have a `traceparent`, which they lose with that.

    What another process takes meanwhile is left to it.
    """
    oldest = select(*BATCH_COLUMNS).where(_due).order_by(_columns.id).limit(most)
    found = await read_batches(connection, oldest.with_for_update(skip_locked=True))
    ids = [one.id for one in found]
    if ids:
        taken = update(message_batches).where(in_order(_columns.id.in_(ids)))
        await connection.execute(taken.values(traceparent=None))
    return found
