"""The requests of a batch for one model are a section of it, and are taken in their order.

A rank has the section in its highest bits (`rows.SECTION`), so the waiting requests of a section
are a stretch of the index of waiting rows. A claim passes over sections whose models are busy, and
takes equal shares of the others: no model of a batch waits for another one.
"""

import math
from collections.abc import Collection
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Integer,
    ScalarSelect,
    Select,
    Text,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from antiphon.store.batches.rows import (
    SECTION,
    SECTIONS,
    Batch,
    RowState,
    SectionKey,
    in_state,
)
from antiphon.store.database.batch_tables import batch_requests
from antiphon.store.database.connection import AsyncConnection

# The sections of a batch that one claim takes from.
MOST_SECTIONS = 8

_rows = batch_requests.c


class ClaimedRequest(NamedTuple):
    """A request that a worker owns. `tries` is how often it was begun before, without a result."""

    batch_id: str
    number: int
    custom_id: str
    tries: int
    params: bytes
    rank: int = 0

    @property
    def section(self) -> SectionKey:
        return SectionKey(self.batch_id, self.rank // SECTION)


class WaitingBatch(NamedTuple):
    """A batch with waiting requests, and the first and the last of their sections."""

    batch: Batch
    first: int
    last: int


def edge_rank(batch_id: object, *, last: bool) -> ScalarSelect[int]:
    """Select the lowest or the highest rank of the waiting requests of a batch."""
    query = select(_rows.rank).where(_rows.batch_id == batch_id, in_state(RowState.PENDING))
    order = (_rows.rank.desc(), _rows.number.desc()) if last else (_rows.rank, _rows.number)
    return query.order_by(*order).limit(1).scalar_subquery()


async def waiting_sections(
    connection: AsyncConnection,
    waiting: WaitingBatch,
    passed_over: Collection[SectionKey] = (),
    most: int = MOST_SECTIONS,
) -> list[int]:
    """Return the first sections of a batch with waiting requests that are not `passed_over`."""
    found: list[int] = []
    section = waiting.first
    while len(found) < most:
        if SectionKey(waiting.batch.id, section) not in passed_over:
            found.append(section)
        if section >= waiting.last:
            break
        bounds = {"batch": waiting.batch.id, "from": (section + 1) * SECTION}
        rank = (await connection.execute(_next_rank(), bounds)).scalar()
        if rank is None:
            break
        section = rank // SECTION
    return found


async def take(  # noqa: PLR0913 - what is taken, for whom, and four bounds
    connection: AsyncConnection,
    owner: str,
    waiting: WaitingBatch,
    most: int,
    size: int,
    *,
    passed_over: Collection[SectionKey] = (),
    turn: int = 0,
    alone: bool,
) -> list[ClaimedRequest]:
    """Claim waiting requests of a batch, of each section the first ones, in equal shares.

    What cannot be divided goes to the sections from `turn` on. Claims at most `most` requests with
    at most `size` bytes of params; with `alone` one of any size.
    """
    taken: list[ClaimedRequest] = []
    sections = await waiting_sections(connection, waiting, passed_over)
    start = turn % max(1, len(sections))
    sections = sections[start:] + sections[:start]
    while sections and len(taken) < most and size > 0:
        full: list[int] = []
        for position, section in enumerate(sections):
            share = math.ceil((most - len(taken)) / (len(sections) - position))
            if not share or size <= 0:
                break
            bounds = {
                "batch": waiting.batch.id,
                "owner": owner,
                "from": section * SECTION,
                "most": share,
                "size": size,
                "alone": int(alone and not taken),
            }
            rows = (await connection.execute(_taking(), bounds)).all()
            # The databases return rows in any order.
            part = [ClaimedRequest(*row) for row in sorted(rows, key=itemgetter(5, 1))]
            taken += part
            size -= sum(len(request.params) for request in part)
            if len(part) == share:
                full.append(section)
        sections = full
    return taken


async def all_that_wait(
    connection: AsyncConnection, sections: Collection[SectionKey]
) -> list[SectionKey]:
    """Return those sections whose batches have no waiting requests in other ones."""
    found = []
    for key in sections:
        bounds = {"batch": key.batch_id, "from": key.section * SECTION}
        if (await connection.execute(_outside(), bounds)).scalar() is None:
            found.append(key)
    return found


# Statements are built once: that takes longer than their execution.
@cache
def _next_rank() -> Select[int]:
    query = select(_rows.rank).where(
        _rows.batch_id == bindparam("batch", type_=Text),
        in_state(RowState.PENDING),
        _rows.rank >= bindparam("from", type_=Integer),
    )
    return query.order_by(_rows.rank, _rows.number).limit(1)


@cache
def _outside() -> Select[int]:
    begin = bindparam("from", type_=Integer)
    query = select(_rows.rank).where(
        _rows.batch_id == bindparam("batch", type_=Text),
        in_state(RowState.PENDING),
        or_(_rows.rank < begin, _rows.rank > begin + (SECTION - 1)),
    )
    return query.limit(1)


@cache
def _taking() -> ReturningUpdate[*tuple[Any, ...]]:
    batch_id, begin = bindparam("batch", type_=Text), bindparam("from", type_=Integer)
    size = func.length(_rows.params).label("size")
    pending = select(_rows.number, _rows.rank, size).where(
        _rows.batch_id == batch_id,
        in_state(RowState.PENDING),
        _rows.rank >= begin,
        # The last rank of the last section is the largest number of its type.
        _rows.rank <= begin + (SECTION - 1),
    )
    pending = pending.order_by(_rows.rank, _rows.number)
    first = pending.limit(bindparam("most", type_=Integer)).subquery("first")
    order = (first.c.rank, first.c.number)
    total = func.sum(first.c.size).over(order_by=order)
    place = func.row_number().over(order_by=order)
    summed = select(first.c.number, total.label("total"), place.label("place")).subquery("summed")
    fits = or_(
        summed.c.total <= bindparam("size", type_=BigInteger),
        summed.c.place <= bindparam("alone", type_=Integer),
    )
    # The state is not asked for once more: SQLite would read all waiting rows for it. Under the
    # lock, nobody else takes them.
    rows = and_(_rows.batch_id == batch_id, _rows.number.in_(select(summed.c.number).where(fits)))
    claimed = {"state": RowState.CLAIMED.value, "worker": bindparam("owner", type_=Text)}
    names = ("batch_id", "number", "custom_id", "tries", "params", "rank")
    change = update(batch_requests).where(rows).values(claimed)
    return change.returning(*(_rows[name] for name in names))


def rank_of(section: int, first: int) -> int:
    """Return the rank of a request: of its section, and of the first one with its prefix."""
    return min(section, SECTIONS - 1) * SECTION + first
