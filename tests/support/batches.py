"""Batches for tests of their store: made, run by workers, and read back."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Engine, event, select, update

from antiphon.store.batches.claims import Claim, claim
from antiphon.store.batches.commits import FinishedRequest, commit, mark_settled
from antiphon.store.batches.create import NewRequest, add_requests, begin_batch, make_ready
from antiphon.store.batches.results import BatchResult, results_page
from antiphon.store.batches.rows import BATCH_COLUMNS, Batch, RowKey, RowState, read_batches
from antiphon.store.batches.sections import ClaimedRequest
from antiphon.store.batches.workers import Worker, register
from antiphon.store.database.batch_tables import batch_requests, batch_workers, message_batches
from antiphon.store.database.database import Database
from antiphon.store.database.tables import ledger
from support.ledger import NOON, an_entry

EXHAUSTED = b'{"type":"errored","error":"tried too often"}'
DAY = timedelta(days=1)


def a_batch(batch_id: str = "msgbatch_1", at: datetime = NOON, **fields: object) -> Batch:
    """Return a new batch that was begun at this time."""
    values = {"workspace_id": "wrkspc_a", "api_key_id": "apikey_1", "account_id": None, **fields}
    return Batch(
        id=batch_id,
        version="2023-06-01",
        betas=("one-2026-01-01", "two-2026-01-01"),
        created_at=at,
        expires_at=at + DAY,
        **values,
    )


def some_requests(number: int, *, prefixes: int = 1, first: int = 0) -> list[NewRequest]:
    """Return requests, of which each has one of so many prefixes in turn."""
    return [
        NewRequest(number, f"custom_{number}", number % prefixes, b'{"number":%d}' % number)
        for number in range(first, first + number)
    ]


async def add_batch(
    database: Database, batch: Batch, requests: int | Sequence[NewRequest] = 3
) -> Batch:
    """Make a batch as its endpoint does: begun, filled in groups, made ready."""
    added = some_requests(requests) if isinstance(requests, int) else requests
    async with database.write() as connection:
        await begin_batch(connection, batch)
    for start in range(0, len(added), 250):
        async with database.write() as connection:
            await add_requests(connection, batch.id, added[start : start + 250])
    async with database.write() as connection:
        return await make_ready(connection, batch.id, asked=b"body")


def a_worker(name: str = "worker_1", now: datetime = NOON) -> Worker:
    return Worker(id=name, now=now, exhausted=EXHAUSTED)


async def add_worker(database: Database, name: str = "worker_1", now: datetime = NOON) -> Worker:
    worker = a_worker(name, now)
    async with database.write() as connection:
        await register(connection, worker)
    return worker


async def end_lease(database: Database, worker: Worker) -> None:
    """Let the lease of a worker end now, by the clock of either database."""
    async with database.write() as connection:
        lapsed = update(batch_workers).where(batch_workers.c.id == worker.id)
        await connection.execute(lapsed.values(lease_until=NOON - 365 * DAY))


async def take(database: Database, worker: Worker, most: int = 250, **options: int) -> Claim:
    async with database.write() as connection:
        return await claim(connection, worker, most, **options)


def finished(request: ClaimedRequest, *, succeeded: bool = True) -> FinishedRequest:
    """Return the end of a request, with the ledger entry of a success."""
    state = RowState.SUCCEEDED if succeeded else RowState.ERRORED
    entry = replace(
        an_entry(service_tier="batch", batch_id=request.batch_id),
        id=f"req_{request.batch_id}_{request.number}_{request.tries}",
    )
    result = b'{"type":"%s"}' % state.name.lower().encode()
    return FinishedRequest(
        request.batch_id, request.number, state, result, entry if succeeded else None
    )


async def finish(
    database: Database,
    worker: Worker,
    requests: Sequence[ClaimedRequest],
    *,
    succeeded: bool = True,
) -> None:
    """Commit the results of requests, without settling them."""
    async with database.write() as connection:
        results = [finished(request, succeeded=succeeded) for request in requests]
        await commit(connection, worker, results)


async def settle(database: Database, worker: Worker, keys: Sequence[tuple[str, int]]) -> None:
    async with database.write() as connection:
        await mark_settled(connection, worker, [RowKey(*key[:2]) for key in keys])


async def stored_batch(database: Database, batch_id: str = "msgbatch_1") -> Batch:
    """Read a batch, also one that callers do not see."""
    async with database.read() as connection:
        one = select(*BATCH_COLUMNS).where(message_batches.c.id == batch_id)
        return (await read_batches(connection, one))[0]


async def stored_rows(database: Database, *columns: str) -> list[tuple[object, ...]]:
    """Read these columns of all requests, in the order of batches and numbers."""
    keys = batch_requests.primary_key.columns
    query = select(*(batch_requests.c[name] for name in columns)).order_by(*keys)
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(query)]


async def charged(database: Database) -> list[str]:
    """Return the ids of all ledger entries, in order."""
    async with database.read() as connection:
        return list(await connection.scalars(select(ledger.c.id).order_by(ledger.c.id)))


async def all_results(database: Database, batch_id: str = "msgbatch_1") -> list[BatchResult]:
    """Read the results of a batch, page by page."""
    batch = await stored_batch(database, batch_id)
    found: list[BatchResult] = []
    while len(found) < batch.requests:
        async with database.read() as connection:
            found += await results_page(connection, batch, len(found) - 1)
    return found


@asynccontextmanager
async def counted_statements(database: Database) -> AsyncGenerator[list[str]]:
    """Collect the statements of all transactions that write, but for their begin and end."""
    with _collected(database._backend.writers) as statements:
        yield statements


@asynccontextmanager
async def counted_reads(database: Database, table: str) -> AsyncGenerator[list[str]]:
    """Collect the statements of all transactions that read, of those that name a table."""
    with _collected(database._backend.readers, table) as statements:
        yield statements


@contextmanager
def _collected(engine: Engine, word: str = "") -> Iterator[list[str]]:
    statements: list[str] = []

    def note(*call: object) -> None:
        statement = str(call[2])
        if word in statement and not statement.startswith("BEGIN"):
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def waits(task: "asyncio.Task[object]") -> bool:
    """Return whether a task still runs after a while: it waits for another transaction."""
    await asyncio.wait([task], timeout=0.3)
    return not task.done()
