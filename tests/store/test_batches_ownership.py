"""Who may commit: two workers interleaved, so that no result or charge is doubled or lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

import pytest

from antiphon.store.batches.claims import claim, give_back
from antiphon.store.batches.commits import commit
from antiphon.store.batches.rows import RowState
from antiphon.store.batches.workers import (
    LeaseLostError,
    NotOwnerError,
    end_leases,
    has_work,
    has_worker,
    leave,
    register,
)
from antiphon.store.database.database import Database
from support.batches import (
    a_batch,
    a_worker,
    add_batch,
    add_worker,
    all_results,
    charged,
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

pytestmark = pytest.mark.anyio

OpenDatabase: TypeAlias = Callable[[], Awaitable[Database]]


async def check_whole(database: Database, requests: int) -> None:
    """Check that each request has one result, and each success one charge."""
    batch = await stored_batch(database)
    rows = await stored_rows(database, "state", "entry_id")
    succeeded = [entry_id for state, entry_id in rows if state == RowState.SUCCEEDED]
    assert (batch.succeeded, batch.processing) == (requests, 0)
    assert batch.ended_at is not None
    assert len(await all_results(database)) == requests
    assert await charged(database) == sorted(map(str, succeeded))
    assert len(set(succeeded)) == requests


async def test_commit_after_the_lease_has_ended_stores_nothing(database: Database) -> None:
    await add_batch(database, a_batch(), 2)
    late = await add_worker(database)
    claimed = (await take(database, late)).requests
    await end_lease(database, late)
    with pytest.raises(LeaseLostError):
        await finish(database, late, claimed)
    assert await charged(database) == []
    assert (await stored_batch(database)).processing == 2
    other = await add_worker(database, "worker_2")
    await finish(database, other, (await take(database, other)).requests)
    await check_whole(database, 2)


async def test_commit_after_another_worker_has_the_requests_stores_nothing(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), 2)
    late, other = await add_worker(database), await add_worker(database, "worker_2")
    claimed = (await take(database, late)).requests
    await end_lease(database, late)
    again = (await take(database, other)).requests
    for _ in range(2):
        with pytest.raises(LeaseLostError):
            await finish(database, late, claimed)
    await finish(database, other, again)
    with pytest.raises(LeaseLostError):
        await finish(database, late, claimed)
    with pytest.raises(LeaseLostError):
        async with database.write() as connection:
            await give_back(connection, late, claimed)
    await check_whole(database, 2)


async def test_lease_from_before_the_clock_was_set_back_has_ended(database: Database) -> None:
    async with database.read() as connection:
        if connection.dialect.name == "postgresql":
            pytest.skip("the server's clock decides there")
    await add_batch(database, a_batch(), 2)
    ahead = await add_worker(database, now=NOON + timedelta(hours=2))
    claimed = (await take(database, ahead)).requests
    other = await add_worker(database, "worker_2")
    again = (await take(database, other)).requests
    assert [request.tries for request in again] == [1, 1]
    with pytest.raises(LeaseLostError):
        await finish(database, a_worker(), claimed)
    await finish(database, other, again)
    await check_whole(database, 2)


async def test_ended_leases_free_at_once_what_their_workers_had(database: Database) -> None:
    await add_batch(database, a_batch(), 2)
    late = await add_worker(database)
    claimed = (await take(database, late)).requests
    async with database.write() as connection:
        await end_leases(connection)
    with pytest.raises(LeaseLostError):
        await finish(database, late, claimed)
    other = await add_worker(database, "worker_2")
    again = (await take(database, other)).requests
    assert [request.tries for request in again] == [1, 1]
    await finish(database, other, again)
    await check_whole(database, 2)


async def test_late_settlement_mark_changes_nothing_of_another_worker(database: Database) -> None:
    await add_batch(database, a_batch(), 1)
    late, other = await add_worker(database), await add_worker(database, "worker_2")
    claimed = (await take(database, late)).requests
    await finish(database, late, claimed)
    await end_lease(database, late)
    unsettled = (await take(database, other)).unsettled
    await settle(database, late, claimed)
    assert await stored_rows(database, "worker") == [("worker_2",)]
    await settle(database, other, unsettled)
    assert await stored_rows(database, "worker") == [(None,)]


async def test_group_with_one_foreign_request_stores_nothing_of_it(database: Database) -> None:
    await add_batch(database, a_batch(), 4)
    worker, other = await add_worker(database), await add_worker(database, "worker_2")
    mine = (await take(database, worker, 2)).requests
    theirs = (await take(database, other, 2)).requests
    with pytest.raises(NotOwnerError):
        await finish(database, worker, [*mine, theirs[0]])
    assert await charged(database) == []
    assert (await stored_batch(database)).processing == 4
    assert {state for (state,) in await stored_rows(database, "state")} == {RowState.CLAIMED}


async def test_same_result_twice_is_stored_once(database: Database) -> None:
    await add_batch(database, a_batch(), 2)
    worker = await add_worker(database)
    first, second = (await take(database, worker)).requests
    with pytest.raises(NotOwnerError):
        await finish(database, worker, [first, first])
    await finish(database, worker, [first])
    with pytest.raises(NotOwnerError):
        await finish(database, worker, [first, second])
    await finish(database, worker, [second])
    await check_whole(database, 2)


async def test_failure_after_the_rows_takes_results_charges_and_counts_back(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), 2)
    worker = await add_worker(database)
    claimed = (await take(database, worker)).requests
    with suppress(ZeroDivisionError):
        async with database.write() as connection:
            await commit(connection, worker, [finished(request) for request in claimed])
            raise ZeroDivisionError
    assert await charged(database) == []
    assert (await stored_batch(database)).processing == 2
    await finish(database, worker, claimed)
    await check_whole(database, 2)


# The clock of SQLite is the worker's `now`, that of PostgreSQL goes on by itself.
LATER = NOON + timedelta(seconds=5)
SHORT = timedelta(milliseconds=200)


@pytest.mark.parametrize("renewed", [SHORT, timedelta(minutes=1)], ids=["ended", "running"])
async def test_reaper_waits_for_a_commit_that_came_first_and_takes_nothing_of_it(
    opened: OpenDatabase, database: Database, renewed: timedelta
) -> None:
    await add_batch(database, a_batch(), 2)
    reaper = replace(await add_worker(database, "worker_2"), now=LATER)
    slow = replace(a_worker(), lease=SHORT)
    elsewhere = await opened()
    async with database.write() as connection:
        await register(connection, slow)
        claimed = (await claim(connection, slow, 250)).requests
    async with database.write() as connection:
        results = [finished(request) for request in claimed]
        await commit(connection, replace(slow, lease=renewed), results)
        # By now the lease has ended that everybody but this transaction sees.
        await asyncio.sleep(SHORT.total_seconds() + 0.1)
        reaping = asyncio.create_task(take(elsewhere, reaper))
        assert await waits(reaping)
    found = await reaping
    assert found.requests == ()
    assert len(found.unsettled) == (2 if renewed == SHORT else 0)
    await check_whole(database, 2)


async def test_commit_after_a_reaper_that_has_not_committed_yet_stores_nothing(
    opened: OpenDatabase, database: Database
) -> None:
    await add_batch(database, a_batch(), 2)
    late, reaper = await add_worker(database), await add_worker(database, "worker_2")
    claimed = (await take(database, late)).requests
    await end_lease(database, late)
    elsewhere = await opened()
    async with elsewhere.write() as connection:
        again = (await claim(connection, reaper, 250)).requests
        committing = asyncio.create_task(finish(database, late, claimed))
        # PostgreSQL refuses it at once, SQLite after this transaction.
        await waits(committing)
    with pytest.raises(LeaseLostError):
        await committing
    assert [request.tries for request in again] == [1, 1]
    await finish(elsewhere, reaper, again)
    await check_whole(database, 2)


async def test_commit_waits_for_the_end_of_its_own_lease_and_stores_nothing(
    opened: OpenDatabase, database: Database
) -> None:
    await add_batch(database, a_batch(), 2)
    worker, other = await add_worker(database), await add_worker(database, "worker_2")
    claimed = (await take(database, worker)).requests
    elsewhere = await opened()
    async with elsewhere.write() as connection:
        await leave(connection, worker)
        committing = asyncio.create_task(finish(database, worker, claimed))
        assert await waits(committing)
    with pytest.raises(LeaseLostError):
        await committing
    await finish(database, other, (await take(database, other)).requests)
    await check_whole(database, 2)


async def test_same_group_committed_twice_at_once_is_stored_once(
    opened: OpenDatabase, database: Database
) -> None:
    await add_batch(database, a_batch(), 2)
    worker = await add_worker(database)
    claimed = (await take(database, worker)).requests
    elsewhere = await opened()
    async with elsewhere.write() as connection:
        await commit(connection, worker, [finished(request) for request in claimed])
        again = asyncio.create_task(finish(database, worker, claimed))
        assert await waits(again)
    with pytest.raises(NotOwnerError):
        await again
    await check_whole(database, 2)


async def test_workers_that_finish_one_batch_at_once_count_all_of_it(
    opened: OpenDatabase, database: Database
) -> None:
    await add_batch(database, a_batch(), 4)
    worker, other = await add_worker(database), await add_worker(database, "worker_2")
    mine = (await take(database, worker, 2)).requests
    theirs = (await take(database, other, 2)).requests
    elsewhere = await opened()
    async with elsewhere.write() as connection:
        await commit(connection, worker, [finished(request) for request in mine])
        second = asyncio.create_task(finish(database, other, theirs))
        assert await waits(second)
    await second
    await check_whole(database, 4)


async def test_claims_at_once_wait_for_one_another_and_share_nothing(
    opened: OpenDatabase, database: Database
) -> None:
    await add_batch(database, a_batch(), 4)
    worker, other = await add_worker(database), await add_worker(database, "worker_2")
    elsewhere = await opened()
    async with elsewhere.write() as connection:
        mine = (await claim(connection, worker, 3)).requests
        claiming = asyncio.create_task(take(database, other, 3))
        assert await waits(claiming)
    theirs = (await claiming).requests
    assert [request.number for request in (*mine, *theirs)] == [0, 1, 2, 3]


async def test_worker_is_known_as_long_as_its_lease(database: Database) -> None:
    async def is_known() -> bool:
        async with database.read() as connection:
            return await has_worker(connection, NOON)

    assert not await is_known()
    worker = await add_worker(database)
    assert await is_known()
    await end_lease(database, worker)
    assert not await is_known()


async def test_work_is_an_open_batch_or_a_worker_to_reap(database: Database) -> None:
    async def finds_work() -> bool:
        async with database.read() as connection:
            return await has_work(connection, NOON)

    assert not await finds_work()
    await add_batch(database, a_batch(), 1)
    assert await finds_work()
    worker = await add_worker(database)
    await finish(database, worker, (await take(database, worker)).requests)
    assert not await finds_work()
    await end_lease(database, worker)
    assert await finds_work()
