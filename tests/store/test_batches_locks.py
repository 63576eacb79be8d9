"""Transactions that change several batches lock them in one order, so that none has to be ended.

Each test lets one transaction wait for a batch that another has locked, which then wants the next
one. If the first has locked that already, PostgreSQL ends one of the two.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias

import pytest
from sqlalchemy import update

from antiphon.store.batches.claims import claim, clear_waits_for, give_back, note_slowed
from antiphon.store.batches.commits import commit
from antiphon.store.batches.create import drop_unready, forget_repeat_keys, make_ready
from antiphon.store.batches.listing import archive, cancel_batch, cancel_workspace, purge
from antiphon.store.batches.rows import count_finished
from antiphon.store.batches.workers import MOST_TRIES
from antiphon.store.database.batch_tables import batch_requests, message_batches
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.workspaces import Workspace, add_workspace, change_workspace, hold_open
from support.batches import (
    DAY,
    a_batch,
    add_batch,
    add_worker,
    end_lease,
    finish,
    finished,
    settle,
    stored_batch,
    stored_rows,
    take,
    waits,
)
from support.ledger import NOON

pytestmark = [
    pytest.mark.anyio,
    # SQLite runs one transaction that writes after the other.
    pytest.mark.parametrize("url", ["postgresql"], indirect=True),
]

OpenDatabase: TypeAlias = Callable[[], Awaitable[Database]]
Change: TypeAlias = Callable[[AsyncConnection], Awaitable[object]]

FIRST, SECOND = "msgbatch_1", "msgbatch_2"


async def meets_another(opened: OpenDatabase, database: Database, change: Change) -> None:
    """Run a change while another transaction locks the first batch, and then the second."""

    async def changed() -> None:
        async with database.write() as connection:
            await change(connection)

    elsewhere = await opened()
    async with elsewhere.write() as connection:
        await count_finished(connection, {FIRST: Counter()}, NOON)
        changing = asyncio.create_task(changed())
        assert await waits(changing)
        await count_finished(connection, {SECOND: Counter()}, NOON)
    await changing


async def two_batches(database: Database, requests: int = 1) -> None:
    """Make two batches: the second is the older one, so it is found first."""
    await add_batch(database, a_batch(SECOND, NOON - timedelta(hours=1)), requests)
    await add_batch(database, a_batch(FIRST), requests)


async def test_rests_end_beside_a_commit(opened: OpenDatabase, database: Database) -> None:
    await two_batches(database)
    async with database.write() as connection:
        await count_finished(connection, {}, NOON, {FIRST: "a limit", SECOND: "a limit"})
    await meets_another(opened, database, clear_waits_for)
    for name in (FIRST, SECOND):
        assert (await stored_batch(database, name)).waits_for is None


async def test_slow_batches_are_noted_beside_a_commit(
    opened: OpenDatabase, database: Database
) -> None:
    await two_batches(database)

    async def notes(connection: AsyncConnection) -> None:
        await note_slowed(connection, {FIRST, SECOND}, "the money is held")

    await meets_another(opened, database, notes)
    for name in (FIRST, SECOND):
        assert (await stored_batch(database, name)).slowed_by == "the money is held"


async def test_commit_that_lets_a_batch_rest_runs_beside_a_commit(
    opened: OpenDatabase, database: Database
) -> None:
    await two_batches(database)
    worker = await add_worker(database)
    older, newer = (await take(database, worker)).requests

    async def commits(connection: AsyncConnection) -> None:
        await give_back(connection, worker, [older])
        results = [finished(newer, succeeded=False)]
        await commit(connection, worker, results, {older.batch_id: "a limit"})

    await meets_another(opened, database, commits)
    assert (await stored_batch(database, SECOND)).waits_for == "a limit"
    assert (await stored_batch(database, FIRST)).errored == 1


async def test_claim_that_counts_what_died_and_what_was_stopped_runs_beside_a_commit(
    opened: OpenDatabase, database: Database
) -> None:
    await two_batches(database)
    dead = await add_worker(database, "dead")
    [request] = (await take(database, dead, 1)).requests
    assert request.batch_id == SECOND
    async with database.write() as connection:
        await connection.execute(
            update(batch_requests)
            .where(batch_requests.c.batch_id == SECOND)
            .values(tries=MOST_TRIES - 1)
        )
        await cancel_batch(connection, "wrkspc_a", FIRST, NOON)
    await end_lease(database, dead)
    worker = await add_worker(database)
    await meets_another(opened, database, lambda connection: claim(connection, worker, 8))
    assert (await stored_batch(database, SECOND)).errored == 1
    assert (await stored_batch(database, FIRST)).canceled == 1


async def test_workspace_is_cancelled_beside_a_commit(
    opened: OpenDatabase, database: Database
) -> None:
    await two_batches(database)
    await meets_another(
        opened, database, lambda connection: cancel_workspace(connection, "wrkspc_a", NOON)
    )
    for name in (FIRST, SECOND):
        assert (await stored_batch(database, name)).cancel_initiated_at == NOON


async def test_batch_that_ends_while_its_workspace_is_cancelled_stays_ended(
    opened: OpenDatabase, database: Database
) -> None:
    await two_batches(database)

    async def cancelled() -> None:
        async with database.write() as connection:
            await cancel_workspace(connection, "wrkspc_a", NOON)

    elsewhere = await opened()
    async with elsewhere.write() as connection:
        await count_finished(connection, {FIRST: Counter(succeeded=1)}, NOON)
        cancelling = asyncio.create_task(cancelled())
        assert await waits(cancelling)
    await cancelling
    assert (await stored_batch(database, FIRST)).cancel_initiated_at is None
    assert (await stored_batch(database, SECOND)).cancel_initiated_at == NOON


async def test_upkeep_runs_beside_a_commit(opened: OpenDatabase, database: Database) -> None:
    for name in (SECOND, FIRST):
        await add_batch(database, a_batch(name))
        async with database.write() as connection:
            columns = message_batches.c
            unready = update(message_batches).where(columns.id == name).values(ready=False)
            await connection.execute(unready)
            await make_ready(connection, name, asked=b"body", repeat_key=name.encode())
    await meets_another(
        opened, database, lambda connection: forget_repeat_keys(connection, NOON + DAY)
    )
    async with database.write() as connection:
        await connection.execute(update(message_batches).values(ready=False))
    await meets_another(
        opened, database, lambda connection: drop_unready(connection, NOON + DAY, NOON)
    )
    async with database.write() as connection:
        assert await drop_unready(connection, NOON + DAY, NOON) == 0


@pytest.mark.parametrize("removal", ["purge", "archive"])
async def test_removal_waits_for_no_row_that_is_being_settled(
    opened: OpenDatabase, database: Database, removal: str
) -> None:
    await add_batch(database, a_batch(), 4)
    worker = await add_worker(database)
    claimed = (await take(database, worker)).requests
    await finish(database, worker, claimed)
    await settle(database, worker, claimed[2:])
    async with database.write() as connection:
        deleted = {"deleted_at": NOON} if removal == "purge" else {}
        await connection.execute(update(message_batches).values(ended_at=NOON, **deleted))
    elsewhere = await opened()
    async with elsewhere.write() as connection:
        rows = batch_requests.c.number == 1
        await connection.execute(update(batch_requests).where(rows).values(worker=None))
        async with asyncio.timeout(5), database.write() as other:
            if removal == "purge":
                assert await purge(other) == 2
            else:
                # The batch is archived with its last row, and that is not removed yet.
                assert await archive(other, NOON + DAY, NOON) == 3
                assert await archive(other, NOON + DAY, NOON) == 0
    kept = [number for (number,) in await stored_rows(database, "number")]
    assert kept == ([0, 1] if removal == "purge" else [1])
    assert (await stored_batch(database)).archived_at is None


async def a_workspace(database: Database) -> None:
    async with database.write() as connection:
        new = Workspace(id="wrkspc_a", name="A", display_color="#000000", created_at=NOON)
        await add_workspace(connection, new)


async def archive_workspace(connection: AsyncConnection) -> None:
    await change_workspace(connection, "wrkspc_a", {"archived_at": NOON})
    await cancel_workspace(connection, "wrkspc_a", NOON)


async def make_held(connection: AsyncConnection) -> bool:
    """Make the first batch ready, unless its workspace is archived."""
    if not await hold_open(connection, "wrkspc_a"):
        return False
    await make_ready(connection, FIRST, asked=b"body")
    return True


async def begun(database: Database) -> None:
    await add_batch(database, a_batch(FIRST))
    async with database.write() as connection:
        await connection.execute(update(message_batches).values(ready=False))


async def test_batch_made_ready_before_its_workspace_is_archived_is_cancelled(
    opened: OpenDatabase, database: Database
) -> None:
    await a_workspace(database)
    await begun(database)
    elsewhere = await opened()

    async def archived() -> None:
        async with database.write() as connection:
            await archive_workspace(connection)

    async with elsewhere.write() as connection:
        assert await make_held(connection)
        archiving = asyncio.create_task(archived())
        assert await waits(archiving)
    await archiving
    assert (await stored_batch(database)).cancel_initiated_at == NOON


async def test_batch_is_not_made_ready_after_its_workspace_is_archived(
    opened: OpenDatabase, database: Database
) -> None:
    await a_workspace(database)
    await begun(database)
    elsewhere = await opened()

    async def made() -> bool:
        async with database.write() as connection:
            return await make_held(connection)

    async with elsewhere.write() as connection:
        await archive_workspace(connection)
        making = asyncio.create_task(made())
        assert await waits(making)
    assert not await making


async def test_creates_in_one_workspace_do_not_wait_for_one_another(
    opened: OpenDatabase, database: Database
) -> None:
    await a_workspace(database)
    elsewhere = await opened()
    async with elsewhere.write() as connection:
        assert await hold_open(connection, "wrkspc_a")
        async with asyncio.timeout(5), database.write() as other:
            assert await hold_open(other, "wrkspc_a")
