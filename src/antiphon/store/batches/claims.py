"""Requests are claimed by workers, and given back.

A claim reads neither finished rows nor more waiting ones than it takes: the index of waiting rows
has them in the order in which they are taken. Its time grows with the number of open batches.
"""

import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    Integer,
    Select,
    bindparam,
    func,
    or_,
    select,
    update,
)

from antiphon.store.batches.rows import (
    BATCH_COLUMNS,
    SECTION,
    Batch,
    RowState,
    SectionKey,
    batch_of,
    change_rows,
    count_finished,
    in_order,
    in_state,
    is_open,
    visible,
)
from antiphon.store.batches.sections import (
    ClaimedRequest,
    WaitingBatch,
    edge_rank,
    take,
    waiting_sections,
)
from antiphon.store.batches.workers import (
    NotOwnerError,
    Reaped,
    Unsettled,
    Worker,
    reap,
    renew,
)
from antiphon.store.database.batch_tables import batch_requests, message_batches
from antiphon.store.database.changes import BATCHES
from antiphon.store.database.changes import claim as lock
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.tables import Moment

# The waiting rows of cancelled and expired batches that one transaction closes.
PORTION = 1000
# The params of one claim, after its first request, which may be as large as a body.
CLAIM_BYTES = 8 * 1024 * 1024

_columns = message_batches.c
_rows = batch_requests.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The requests of one claim in the order to run them, with their batches by id.

    `unsettled` are finished requests of dead workers, whose entries this worker has to settle.
    """

    requests: tuple[ClaimedRequest, ...]
    batches: Mapping[str, Batch]
    unsettled: tuple[Unsettled, ...]


async def claim(  # noqa: PLR0913 - who takes how much, and of what
    connection: AsyncConnection,
    worker: Worker,
    most: int,
    *,
    turn: int = 0,
    size: int = CLAIM_BYTES,
    passed_over: Collection[SectionKey] = (),
) -> Claim:
    """Claim at most `most` requests for a worker, after what is due: the dead, the stopped.

    Workspaces with work get equal shares; what cannot be divided goes to the workspaces from
    `turn` on, a number that the worker counts up. Within a workspace the oldest batch comes first;
    of a batch, each section gets an equal share, and in it requests with equal prefixes follow one
    another. A claim has at most `size` bytes of params, or one request. Of the sections
    `passed_over` none is claimed.

    Raises `LeaseLostError` if the lease of the worker has ended.
    """
    await lock(connection, BATCHES)
    reaped = await reap(connection, worker) if await renew(connection, worker) else Reaped()
    found = await _with_work(connection, worker.now, most + len(passed_over))
    closed = await _close(connection, found, worker.now, PORTION)
    batches = {one.batch.id: one for one in _claimable(found, worker.now, passed_over)}
    queues = _by_workspace(batches.values(), turn)
    taking = partial(
        take,
        connection,
        worker.id,
        passed_over=passed_over,
        turn=turn // max(1, len(queues)),
    )
    taken: list[ClaimedRequest] = []
    while queues and len(taken) < most and size > 0:
        for position, queue in enumerate(queues):
            share = math.ceil((most - len(taken)) / (len(queues) - position))
            # Before others get what is left of a share, its workspace has no more work.
            while share and queue and size > 0:
                part = await taking(queue[0], share, size, alone=not taken)
                taken += part
                size -= sum(len(request.params) for request in part)
                share -= len(part)
                if share:
                    queue.popleft()
        queues = [queue for queue in queues if queue]
    # A batch may be in both: its other requests are stopped.
    for batch_id, counts in reaped.errored.items():
        closed.setdefault(batch_id, Counter()).update(counts)
    await count_finished(connection, closed, worker.now)
    used = {request.batch_id for request in taken}
    return Claim(
        requests=tuple(taken),
        batches={batch_id: batches[batch_id].batch for batch_id in used},
        unsettled=reaped.unsettled,
    )


async def others_wait(
    connection: AsyncConnection, now: datetime, passed_over: Collection[SectionKey]
) -> bool:
    """Return whether a claim would find requests of sections that are not `passed_over`."""
    found = await _with_work(connection, now, len(passed_over) + 1)
    for waiting in _claimable(found, now, passed_over):
        if await waiting_sections(connection, waiting, passed_over, most=1):
            return True
    return False


async def close_stopped(connection: AsyncConnection, now: datetime, portion: int = PORTION) -> int:
    """Give at most `portion` waiting requests of cancelled and expired batches their result.

    Each claim does so as well; this is for processes without workers. Returns how many there were.
    Writes nothing if there are none.
    """
    found = await _with_work(connection, now, portion)
    if not any(_stopped_as(waiting.batch, now) for waiting in found):
        return 0
    await lock(connection, BATCHES)
    closed = await _close(connection, await _with_work(connection, now, portion), now, portion)
    await count_finished(connection, closed, now)
    return sum(counts.total() for counts in closed.values())


async def give_back(
    connection: AsyncConnection,
    worker: Worker,
    requests: Sequence[ClaimedRequest],
) -> None:
    """Let claimed requests wait again, without a try.

    Raises `NotOwnerError` if the worker does not own all of them, or has lost its lease.
    """
    await renew(connection, worker)
    rows = [(request.batch_id, request.number, worker.id) for request in requests]
    if await change_rows(connection, _GIVE_BACK, _GIVEN_BACK, rows) != len(rows):
        raise NotOwnerError("The worker does not own all the requests that it gives back")


async def clear_waits_for(connection: AsyncConnection) -> None:
    """Let the requests of all batches be claimed again; what slows them is noted anew."""
    hindered = is_open & or_(_columns.waits_for.is_not(None), _columns.slowed_by.is_not(None))
    change = update(message_batches).where(in_order(hindered))
    await connection.execute(change.values(waits_for=None, slowed_by=None))


async def note_slowed(
    connection: AsyncConnection, batch_ids: Collection[str], by: str | None
) -> None:
    """Note what slows these batches; `None`: nothing any more."""
    changed = is_open & _columns.id.in_(batch_ids) & _columns.slowed_by.is_distinct_from(by)
    await connection.execute(update(message_batches).where(in_order(changed)).values(slowed_by=by))


_GIVEN_BACK = {"batch_id": "text", "number": "int", "owner": "text"}
_GIVE_BACK = f"""
    SET state = {RowState.PENDING:d}, worker = NULL
    {{source}}
    WHERE batch_requests.batch_id = {{batch_id}} AND batch_requests.number = {{number}}
        AND worker = {{owner}} AND state = {RowState.CLAIMED:d}
"""


def _stopped_as(batch: Batch, now: datetime) -> RowState | None:
    """Return what becomes of the waiting requests of a batch, `None` while they may run."""
    if batch.cancel_initiated_at is not None:
        return RowState.CANCELED
    return RowState.EXPIRED if batch.expires_at <= now else None


def _claimable(
    found: Iterable[WaitingBatch], now: datetime, passed_over: Collection[SectionKey]
) -> Iterator[WaitingBatch]:
    for waiting in found:
        # Batches for one model, which most are, are passed over without a look at their rows.
        first = SectionKey(waiting.batch.id, waiting.first)
        all_passed_over = waiting.first == waiting.last and first in passed_over
        if not all_passed_over and _stopped_as(waiting.batch, now) is None:
            yield waiting


async def _with_work(
    connection: AsyncConnection, now: datetime, most: int
) -> tuple[WaitingBatch, ...]:
    """Return the batches with waiting requests, the oldest first, that are not to wait.

    Of each workspace at most `most` that run, and as many that are stopped.
    """
    bounds = {"now": now, "most": max(most, 1)}
    rows = (await connection.execute(_batches_with_work(), bounds)).mappings()
    return tuple(
        WaitingBatch(batch_of(row), row["first_rank"] // SECTION, row["last_rank"] // SECTION)
        for row in rows
    )


# Statements are built once: that takes longer than their execution.
@cache
def _batches_with_work() -> Select[*tuple[Any, ...]]:
    # A scalar, as PostgreSQL may answer `EXISTS` by reading all waiting rows of all batches.
    waiting = edge_rank(_columns.id, last=False).is_not(None)
    late = _columns.expires_at <= bindparam("now", type_=Moment)
    stopped = or_(_columns.cancel_initiated_at.is_not(None), late)
    place = func.row_number().over(
        partition_by=(_columns.workspace_id, stopped), order_by=(_columns.created_at, _columns.id)
    )
    may_run = or_(_columns.waits_for.is_(None), stopped)
    ranked = select(*BATCH_COLUMNS, place.label("place")).where(is_open, visible, may_run, waiting)
    batches = ranked.subquery("ranked")
    columns = [batches.c[column.name] for column in BATCH_COLUMNS]
    columns += [
        edge_rank(batches.c.id, last=False).label("first_rank"),
        edge_rank(batches.c.id, last=True).label("last_rank"),
    ]
    first = select(*columns).where(batches.c.place <= bindparam("most", type_=Integer))
    return first.order_by(batches.c.created_at, batches.c.id)


def _by_workspace(found: Iterable[WaitingBatch], turn: int) -> list[deque[WaitingBatch]]:
    """Return each workspace's batches; the workspace at `turn` comes first."""
    queues: dict[str | None, deque[WaitingBatch]] = {}
    for waiting in found:
        queues.setdefault(waiting.batch.workspace_id, deque()).append(waiting)
    order = [queues[key] for key in sorted(queues, key=lambda key: key or "")]
    start = turn % max(1, len(order))
    return order[start:] + order[:start]


def _pending(batch_id: str, most: int) -> Select[int]:
    """Select the numbers of the first waiting requests of a batch."""
    query = select(_rows.number).where(_rows.batch_id == batch_id, in_state(RowState.PENDING))
    return query.order_by(_rows.rank, _rows.number).limit(most)


async def _close(
    connection: AsyncConnection, found: Iterable[WaitingBatch], now: datetime, portion: int
) -> dict[str, Counter[str]]:
    """Give waiting requests of stopped batches their result; return what is to be counted."""
    closed: dict[str, Counter[str]] = {}
    left = portion
    for batch in (waiting.batch for waiting in found):
        state = _stopped_as(batch, now)
        if state is None or not left:
            continue
        numbers = select(_pending(batch.id, left).subquery("first").c.number)
        rows = (_rows.batch_id == batch.id) & _rows.number.in_(numbers)
        change = update(batch_requests).where(rows).values(state=state.value, params=None)
        number = (await connection.execute(change)).rowcount
        closed[batch.id] = Counter({state.name.lower(): number})
        left -= number
    return closed
