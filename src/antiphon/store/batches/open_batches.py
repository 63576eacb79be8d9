"""How many batches have work, and how much of it, over all workspaces."""

from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import case, func, or_, select

from antiphon.store.batches.rows import is_open
from antiphon.store.database.batch_tables import message_batches
from antiphon.store.database.connection import AsyncConnection

_columns = message_batches.c


class OpenBatches(NamedTuple):
    """The batches in a state, and their requests that have no result yet."""

    state: Literal["in_progress", "canceling"]
    batches: int
    requests_left: int


async def count_open_batches(connection: AsyncConnection, now: datetime) -> tuple[OpenBatches, ...]:
    """Return both states, also one without batches. Reads only open batches.

    Those that are still arriving count, but not what a process that died has left of one.
    """
    finished = _columns.succeeded + _columns.errored + _columns.canceled + _columns.expired
    canceling = case((_columns.cancel_initiated_at.is_(None), 0), else_=1)
    query = (
        select(canceling, func.count(), func.sum(_columns.requests - finished))
        .where(
            is_open,
            _columns.deleted_at.is_(None),
            or_(_columns.ready, _columns.expires_at > now),
        )
        .group_by(canceling)
    )
    found = {int(row[0]): row for row in await connection.execute(query)}

    def counted(state: Literal["in_progress", "canceling"], place: int) -> OpenBatches:
        _, batches, left = found.get(place, (place, 0, 0))
        return OpenBatches(state, int(batches), int(left))

    return counted("in_progress", 0), counted("canceling", 1)
