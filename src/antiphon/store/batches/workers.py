"""Workers and their leases: the row of a worker is its right to claim and to commit.

Whoever changes what a worker owns first changes the worker's row: the worker itself renews its
lease, another one deletes the row of a worker whose lease has ended. On PostgreSQL the second of
the two waits for the first, and then finds what the first has left. So either a commit happens
before its worker is dead, or not at all.

A worker whose transaction has failed with a `StoreError` does not know whether it was committed:
the answer may be what was lost. It must not go on under its id, since it would keep requests that
it does not know of. A new id leaves all that to whoever reaps the old one.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from antiphon.core.moments import microseconds_of
from antiphon.store.batches.rows import BEHIND, RowState, in_state, is_open, visible
from antiphon.store.database.batch_tables import batch_requests, batch_workers, message_batches
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.errors import StoreError
from antiphon.store.database.tables import stored_moment

LEASE = timedelta(seconds=30)
# After so many ends of its workers a request is suspected of them, and has to be tried alone.
TRIES_IN_COMPANY = 2
# One that does nothing wrong may be alone at an end of its process, but hardly so often.
TRIES_ALONE = 6
# After that a request is errored.
MOST_TRIES = TRIES_IN_COMPANY + TRIES_ALONE

_rows = batch_requests.c
# The clock of the server, which all its clients share, as the number that moments are stored as.
_SERVER_CLOCK = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


class NotOwnerError(StoreError):
    """A worker does not own all the rows that it wants to change."""


class LeaseLostError(NotOwnerError):
    """The lease of a worker has ended; it goes on under a new id, without the rows it had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker at one moment. `exhausted` is the result of requests that were tried too often.

    SQLite is used by processes of one machine, so its clock is theirs: `now`. On PostgreSQL the
    server's clock decides over leases, and `now` over all else.
    """

    id: str
    now: datetime
    exhausted: bytes
    lease: timedelta = LEASE


class Unsettled(NamedTuple):
    """A finished request whose ledger entry is not known to be settled in the counters."""

    batch_id: str
    number: int
    entry_id: str


class Reaped(NamedTuple):
    """What dead workers have left: results to settle, and what was errored, by batch."""

    unsettled: tuple[Unsettled, ...] = ()
    errored: Mapping[str, Counter[str]] = MappingProxyType({})


async def register(connection: AsyncConnection, worker: Worker) -> None:
    """Add a worker; its id must never have been used."""
    until = _clock(connection.dialect.name) + microseconds_of(worker.lease)
    row = insert(batch_workers).values(id=worker.id, lease_until=until)
    await connection.execute(row, _now(connection, worker.now))


async def renew(connection: AsyncConnection, worker: Worker) -> bool:
    """Renew the lease of a worker; return whether the lease of another one has ended.

    Nobody takes the worker's rows before this transaction ends. Raises `LeaseLostError` if its
    own lease has ended.
    """
    bounds = {
        "me": worker.id,
        "lease": microseconds_of(worker.lease),
        **_now(connection, worker.now),
    }
    found = (await connection.execute(_renewal(connection.dialect.name), bounds)).scalar()
    if found is None:
        raise LeaseLostError("The lease of this worker has ended")
    return bool(found)


@cache
def _renewal(dialect: str) -> ReturningUpdate[int]:
    others = batch_workers.alias("others")
    dead = select(func.count()).select_from(others).where(_ended(others.c.lease_until, dialect))
    mine = (batch_workers.c.id == bindparam("me", type_=Text)) & ~_ended(
        batch_workers.c.lease_until, dialect
    )
    until = _clock(dialect) + bindparam("lease", type_=BigInteger)
    change = update(batch_workers).where(mine).values(lease_until=until)
    return change.returning(dead.scalar_subquery())


async def leave(connection: AsyncConnection, worker: Worker) -> None:
    """End a worker's own lease, if it lasts or not, without counting a try of what it has claimed.

    After this transaction nothing is committed under its id. Whoever claims next settles what this
    worker has not.
    """
    over = update(batch_workers).where(batch_workers.c.id == worker.id)
    await connection.execute(over.values(lease_until=literal(0, BigInteger)))
    claimed = (_rows.worker == worker.id) & in_state(RowState.CLAIMED)
    pending = update(batch_requests).where(claimed)
    await connection.execute(pending.values(state=RowState.PENDING, worker=None))


async def end_leases(connection: AsyncConnection) -> None:
    """End the leases of all workers: of those that died with the server before this one.

    Only for a server that is alone with its database. What its predecessors had claimed need not
    wait for the end of their leases, and nothing is committed under these any more.
    """
    running = type_coerce(batch_workers.c.lease_until, BigInteger) > 0
    over = update(batch_workers).where(running).values(lease_until=literal(0, BigInteger))
    await connection.execute(over)


async def unsettled_entries(connection: AsyncConnection) -> tuple[str, ...]:
    """Return the ids of ledger entries that are not known to be settled in the counters."""
    owned = _rows.worker.is_not(None) & (_rows.state >= RowState.SUCCEEDED.value)
    return tuple(await connection.scalars(select(_rows.entry_id).where(owned)))


async def reap(connection: AsyncConnection, worker: Worker) -> Reaped:
    """Remove workers whose lease has ended. Call it under the lock of claims, after `renew`.

    What they had claimed waits again, with one try more: but for suspected requests that were not
    alone, since another one may have ended the worker. A suspected request that was alone goes
    behind the others of its batch: while processes end for another reason, each end then meets
    another request, and whatever the reason, the others are not kept waiting. What was tried too
    often is errored, and has to be counted. What they had finished and not settled is handed to
    `worker`.
    """
    over = _ended(batch_workers.c.lease_until, connection.dialect.name)
    removal = delete(batch_workers).where(over).returning(batch_workers.c.id)
    removed = await connection.execute(removal, _now(connection, worker.now))
    dead = list(removed.scalars())
    if not dead:
        return Reaped()
    of_dead = _rows.worker.in_(dead)
    claimed = of_dead & in_state(RowState.CLAIMED)
    alone = select(_rows.worker).where(claimed).group_by(_rows.worker).having(func.count() == 1)
    were_alone = list(await connection.scalars(alone))
    is_alone = _rows.worker.in_(were_alone)
    counts = or_(_rows.tries < TRIES_IN_COMPANY, is_alone)
    tries = _rows.tries + case((counts, 1), else_=0)
    was_tried_alone = and_(_rows.tries >= TRIES_IN_COMPANY, is_alone)
    spent = tries >= MOST_TRIES
    changed = await connection.execute(
        update(batch_requests)
        .where(claimed)
        .values(
            worker=None,
            tries=tries,
            rank=_rows.rank + case((was_tried_alone, BEHIND), else_=0),
            state=case((spent, RowState.ERRORED.value), else_=RowState.PENDING.value),
            result=case((spent, worker.exhausted), else_=None),
            params=case((spent, None), else_=_rows.params),
        )
        .returning(_rows.batch_id, _rows.state)
    )
    errored = Counter(row.batch_id for row in changed if row.state == RowState.ERRORED)
    finished = update(batch_requests).where(of_dead).values(worker=worker.id)
    handed = await connection.execute(
        finished.returning(_rows.batch_id, _rows.number, _rows.entry_id)
    )
    return Reaped(
        tuple(Unsettled(*row) for row in handed),
        {batch_id: Counter(errored=number) for batch_id, number in errored.items()},
    )


async def has_work(connection: AsyncConnection, now: datetime) -> bool:
    """Return whether a claim may find anything: an open batch, or a worker to reap."""
    if await connection.scalar(_an_open_batch()) is not None:
        return True
    query = _a_dead_worker(connection.dialect.name)
    return (await connection.execute(query, _now(connection, now))).scalar() is not None


async def has_worker(connection: AsyncConnection, now: datetime) -> bool:
    """Return whether any worker has a lease: one that finds work takes it in two seconds."""
    ended = _ended(batch_workers.c.lease_until, connection.dialect.name)
    query = select(batch_workers.c.id).where(~ended).limit(1)
    return (await connection.execute(query, _now(connection, now))).scalar() is not None


# Built once: each process without work asks every other second.
@cache
def _an_open_batch() -> Select[str]:
    return select(message_batches.c.id).where(is_open, visible).limit(1)


@cache
def _a_dead_worker(dialect: str) -> Select[str]:
    ended = _ended(batch_workers.c.lease_until, dialect)
    return select(batch_workers.c.id).where(ended).limit(1)


def _ended(lease_until: ColumnElement[datetime], dialect: str) -> ColumnElement[bool]:
    """Return the condition that a lease has ended.

    One that ends long after any that begins now was begun before the clock of the machine was set
    back: nobody has renewed it since.
    """
    until = type_coerce(lease_until, BigInteger)
    if dialect == "postgresql":
        return until <= _clock(dialect)
    return or_(until <= _clock(dialect), until > _clock(dialect) + 2 * (microseconds_of(LEASE)))


def _clock(dialect: str) -> ColumnElement[int]:
    """Return the time by the database's clock; on SQLite it is the parameter of `_now`."""
    if dialect == "postgresql":
        return literal_column(_SERVER_CLOCK, BigInteger)
    return bindparam("now", type_=BigInteger)


def _now(connection: AsyncConnection, now: datetime) -> dict[str, object]:
    is_server = connection.dialect.name == "postgresql"
    return {} if is_server else {"now": stored_moment(now)}
