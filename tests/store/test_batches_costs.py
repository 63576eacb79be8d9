"""What a large batch costs: statements for each request, and what a claim reads."""

import re
from datetime import timedelta

import pytest

from antiphon.core.pagination import IdCursor
from antiphon.store.batches.claims import give_back
from antiphon.store.batches.commits import commit, mark_settled
from antiphon.store.batches.listing import (
    BatchUse,
    cancel_batch,
    list_batches,
    used_by_batch,
)
from antiphon.store.batches.rows import RowKey
from antiphon.store.batches.workers import NotOwnerError, leave
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from support.batches import (
    a_batch,
    add_batch,
    add_worker,
    counted_statements,
    end_lease,
    finished,
    stored_batch,
    take,
)
from support.ledger import NOON

pytestmark = pytest.mark.anyio

GROUP = 250


async def run_groups(database: Database, groups: int) -> None:
    """Claim, commit and settle so many groups, as a worker does."""
    worker = await add_worker(database)
    settled: list[RowKey] = []
    for _ in range(groups):
        requests = (await take(database, worker, GROUP)).requests
        async with database.write() as connection:
            await mark_settled(connection, worker, settled)
            await commit(connection, worker, [finished(request) for request in requests])
        settled = [RowKey(request.batch_id, request.number) for request in requests]


async def test_request_costs_few_statements(database: Database) -> None:
    async with counted_statements(database) as statements:
        await add_batch(database, a_batch(), 4 * GROUP)
        await run_groups(database, 4)
    assert (await stored_batch(database)).ended_at is not None
    # Two that begin the batch and make it ready, one that adds the worker.
    for_groups = len(statements) - 3
    # Of 14 for a group, two or three write roll-ups.
    assert for_groups / (4 * GROUP) <= 0.056


async def plan(connection: AsyncConnection, statement: str) -> list[str]:
    """Return how SQLite executes a statement: what it reads, and how."""
    unbound = re.sub(r"\?[0-9]*", "NULL", statement)
    rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {unbound}")
    return [str(row[3]) for row in rows]


# How requests may be found: one by its key, or by an index that has no finished and settled ones.
ALLOWED = re.compile(
    r"SEARCH batch_requests USING (COVERING )?INDEX "
    r"(sqlite_autoindex_batch_requests_1 \(batch_id=\? AND number=\?\)"
    r"|ix_batch_requests_pending \(batch_id=\?( AND rank>\?( AND rank<\?)?)?\)"
    r"|ix_batch_requests_owned \(worker=\?( AND state=\?)?\))"
)
OPEN_BATCHES = re.compile(
    r"(SCAN|SEARCH) message_batches USING (INDEX ix_message_batches_open"
    r"|INDEX sqlite_autoindex_message_batches_1 \(id=\?\))"
)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_work_on_requests_reads_no_finished_ones(database: Database) -> None:
    await add_batch(database, a_batch(), 4 * GROUP)
    await add_batch(database, a_batch("msgbatch_2", workspace_id=None), 10)
    dead = await add_worker(database, "dead")
    await take(database, dead, 5)
    async with counted_statements(database) as statements:
        await run_groups(database, 1)
        await end_lease(database, dead)
        async with database.write() as connection:
            await cancel_batch(connection, None, "msgbatch_2", NOON)
        worker = await add_worker(database, "worker_2")
        claimed = (await take(database, worker)).requests
        async with database.write() as connection:
            await give_back(connection, worker, claimed[:9])
            await leave(connection, worker)
    read = [statement for statement in dict.fromkeys(statements) if "batch_" in statement]
    assert len(read) > 10
    async with database.read() as connection:
        details = [line for statement in read for line in await plan(connection, statement)]
    of_requests = [line for line in details if "batch_requests" in line]
    assert len(of_requests) >= 10
    assert [line for line in of_requests if not ALLOWED.match(line)] == []
    of_batches = [line for line in details if "message_batches" in line]
    assert of_batches
    assert [line for line in of_batches if not OPEN_BATCHES.match(line)] == []


async def test_use_of_a_batch_is_summed_from_an_index_of_batches(database: Database) -> None:
    await add_batch(database, a_batch(), 3)
    await add_batch(database, a_batch("msgbatch_2"), 2)
    worker = await add_worker(database)
    requests = (await take(database, worker, 5)).requests
    async with database.write() as connection:
        await commit(connection, worker, [finished(request) for request in requests])
    one = finished(requests[0]).entry
    assert one is not None
    async with database.read() as connection:
        used = await used_by_batch(connection, "msgbatch_1")
        assert used == BatchUse(3 * one.tokens.output, 3 * one.costs.total)
        assert await used_by_batch(connection, "msgbatch_none") == BatchUse(0, 0)
        if connection.dialect.name == "sqlite":
            sums = "SELECT SUM(output_tokens), SUM(cost) FROM ledger WHERE batch_id = 'msgbatch_1'"
            assert "USING COVERING INDEX ix_ledger_batches" in " ".join(
                await plan(connection, sums)
            )


async def test_cost_of_a_batch_is_the_sum_of_its_ledger_entries(database: Database) -> None:
    await add_batch(database, a_batch(), 4)
    await add_batch(database, a_batch("msgbatch_2", NOON + timedelta(seconds=1)), 2)
    worker = await add_worker(database)
    requests = (await take(database, worker, 6)).requests
    for group in (requests[:1], requests[1:5], requests[5:]):
        async with database.write() as connection:
            ends = [finished(one, succeeded=one.number != 1) for one in group]
            await commit(connection, worker, ends)
    async with database.read() as connection:
        page = await list_batches(connection, "wrkspc_a", IdCursor())
        for batch in page.records:
            assert batch.cost == (await used_by_batch(connection, batch.id)).cost
    one = finished(requests[0]).entry
    assert one is not None
    # Of each batch, the request that failed cost nothing.
    assert [batch.cost for batch in page.records] == [one.costs.total, 3 * one.costs.total]


async def test_commit_that_is_rolled_back_costs_nothing(database: Database) -> None:
    await add_batch(database, a_batch(), 2)
    worker = await add_worker(database)
    requests = (await take(database, worker, 2)).requests
    async with database.write() as connection:
        await commit(connection, worker, [finished(requests[0])])
    before = (await stored_batch(database)).cost
    assert before > 0
    with pytest.raises(NotOwnerError):
        async with database.write() as connection:
            await commit(connection, worker, [finished(one) for one in requests])
    assert (await stored_batch(database)).cost == before
