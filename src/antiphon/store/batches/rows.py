"""A batch and the states of its requests, as the database has them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import cache, reduce
from operator import add
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Integer,
    RowMapping,
    Text,
    Update,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)

from antiphon.core.batches import BatchState
from antiphon.store.database.batch_tables import batch_requests, message_batches
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.records import read
from antiphon.store.database.tables import Moment

# A rank is the number of the batch's first request with the same prefix, below 2 ** 17, and so much
# for each time that the request was alone at the end of a process: less than 2 ** 20 in all, ...
BEHIND = 2**17
# ... and so much for each section before: the requests of a batch for one model are a section.
SECTION = 2**20
# The most sections: a rank has 31 bits. Further models share the last one.
SECTIONS = 2**11

# The counts of a batch, each named like the state that it counts.
COUNTS = ("succeeded", "errored", "canceled", "expired")


class RowState(IntEnum):
    """What has become of a request; from `SUCCEEDED` on it is finished, and stays as it is."""

    PENDING = 0
    CLAIMED = 1
    SUCCEEDED = 2
    ERRORED = 3
    CANCELED = 4
    EXPIRED = 5


class RowKey(NamedTuple):
    """Which request of which batch."""

    batch_id: str
    number: int


class SectionKey(NamedTuple):
    """Which section of which batch."""

    batch_id: str
    section: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(BatchState):
    """A batch, with whom it belongs to and what decides about its requests.

    A `workspace_id` of `None` is the Default workspace. `waits_for` says why no request of it is
    claimed, `slowed_by` why few run at once; `asked` is the digest of the body that made it.
    `traceparent` names the span of the call that made it, if there is one.
    """

    workspace_id: str | None
    api_key_id: str | None
    account_id: str | None
    version: str
    betas: tuple[str, ...]
    waits_for: str | None = None
    slowed_by: str | None = None
    asked: bytes | None = None
    traceparent: str | None = None

    @property
    def hindrance(self) -> str | None:
        """A sentence that says why the batch waits, or is slow; `None` if nothing hinders it."""
        if self.ended_at is not None:
            return None
        if self.waits_for is not None:
            return f"It waits: {self.waits_for}"
        return None if self.slowed_by is None else f"It is slow: {self.slowed_by}"


BATCH_COLUMNS = tuple(message_batches.c[name] for name in Batch.__dataclass_fields__)
BATCH_CONVERTERS = {"betas": tuple}

# Callers see a batch once its body has arrived, until it is deleted.
visible = and_(message_batches.c.ready, message_batches.c.deleted_at.is_(None))
# An ended batch has a result for each request. Only open ones have work.
is_open = message_batches.c.ended_at.is_(None)


def in_workspace(workspace_id: str | None) -> ColumnElement[bool]:
    """Return the condition that a batch belongs to this workspace."""
    return (
        message_batches.c.workspace_id.is_(None)
        if workspace_id is None
        else message_batches.c.workspace_id == workspace_id
    )


async def read_batches(
    connection: AsyncConnection, query: Executable, parameters: Mapping[str, object] | None = None
) -> tuple[Batch, ...]:
    """Return the batches of a statement that yields `BATCH_COLUMNS`."""
    return await read(connection, Batch, query, BATCH_CONVERTERS, parameters)


def batch_of(row: RowMapping) -> Batch:
    """Return the batch of a row that has `BATCH_COLUMNS`, and perhaps others."""
    fields = {column.name: row[column.name] for column in BATCH_COLUMNS}
    return Batch(**{**fields, **{name: make(row[name]) for name, make in BATCH_CONVERTERS.items()}})


def in_state(state: RowState) -> ColumnElement[bool]:
    """Return the condition that a row has this state.

    The number is part of the text: with a parameter in its place, no database would use an index
    of the rows in one state.
    """
    return batch_requests.c.state == literal_column(str(int(state)))


def in_order(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return a condition of an UPDATE: the batches of `which`, locked in the order of their ids.

    Every transaction locks batches in this order, after the requests that it changes. Two that
    locked them in other orders could wait for each other, and PostgreSQL would end one of them.
    """
    ids = select(message_batches.c.id).where(which).order_by(message_batches.c.id)
    return message_batches.c.id.in_(ids.with_for_update())


async def has_rows(connection: AsyncConnection, batch_id: str) -> bool:
    """Return whether a batch has any rows."""
    one = select(batch_requests.c.number).where(batch_requests.c.batch_id == batch_id).limit(1)
    return await connection.scalar(one) is not None


async def count_finished(
    connection: AsyncConnection,
    finished: Mapping[str, Counter[str]],
    now: datetime,
    waits_for: Mapping[str, str] | None = None,
    costs: Mapping[str, int] | None = None,
) -> None:
    """Add finished rows to the counts of their batches, and end those that have no others.

    `finished` has for each id of a batch the number of its new rows for names of `COUNTS`.
    `waits_for` says of some batches why no requests of them are claimed, and `costs` what the
    requests have cost, in nano-dollars. The batches are changed
    in the order of their ids (see `in_order`), so a transaction calls this once.
    """
    waits_for, costs, none = waits_for or {}, costs or {}, Counter[str]()
    rows = [
        {
            "batch": batch_id,
            "now": now,
            "waits": waits_for.get(batch_id),
            "new_cost": costs.get(batch_id, 0),
            **{f"new_{name}": finished.get(batch_id, none)[name] for name in COUNTS},
        }
        for batch_id in sorted({*finished, *waits_for})
    ]
    if rows:
        await connection.execute(_counting(), rows)


@cache
def _counting() -> Update:
    columns = message_batches.c
    added = {name: columns[name] + bindparam(f"new_{name}", type_=Integer) for name in COUNTS}
    finished = reduce(add, added.values())
    ended = case((finished >= columns.requests, bindparam("now", type_=Moment)), else_=None)
    change = update(message_batches).where(columns.id == bindparam("batch", type_=Text))
    waits_for = func.coalesce(bindparam("waits", type_=Text), columns.waits_for)
    cost = columns.cost + bindparam("new_cost", type_=BigInteger)
    return change.values(**added, ended_at=ended, waits_for=waits_for, cost=cost)


async def change_rows(
    connection: AsyncConnection,
    change: str,
    types: Mapping[str, str],
    rows: Sequence[tuple[object, ...]],
) -> int:
    """Run one UPDATE of `batch_requests` for many rows; return how many it has changed.

    `change` is the text after UPDATE up to its conditions, then `{source}`, then the conditions:
    `SET state = {state} {source} WHERE number = {number}`. `types` has the names of the columns of
    `rows`, in their order, with PostgreSQL's names of their types. PostgreSQL joins all rows in one
    statement, as its driver does not tell how many rows `executemany` has changed.
    """
    if not rows:
        return 0
    if connection.dialect.name == "sqlite":
        text = change.format(
            source="", **{name: f"?{number}" for number, name in enumerate(types, start=1)}
        )
        parameters: Sequence[tuple[object, ...]] = rows
    else:
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types.values(), 1))
        source = f"FROM unnest({arrays}) AS v ({', '.join(types)})"
        text = change.format(source=source, **{name: f"v.{name}" for name in types})
        parameters = [tuple(list(column) for column in zip(*rows, strict=True))]
    changed = await connection.exec_driver_sql(f"UPDATE batch_requests {text}", parameters)
    return changed.rowcount
