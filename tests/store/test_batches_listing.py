"""Batches as callers see them: pages, ends, deletion, retention, and the pages of results."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from antiphon.core.errors import InvalidRequestError
from antiphon.core.pagination import IdCursor
from antiphon.store.batches.listing import (
    EVERY_BATCH,
    BatchFilter,
    archive,
    cancel_batch,
    cancel_workspace,
    delete_batch,
    find_batch,
    list_batches,
    purge,
    unfinished_requests,
)
from antiphon.store.batches.results import ResultsGoneError, results_page
from antiphon.store.batches.workers import leave
from antiphon.store.database.batch_tables import message_batches
from antiphon.store.database.database import Database
from support.batches import (
    DAY,
    a_batch,
    add_batch,
    add_worker,
    all_results,
    finish,
    settle,
    stored_batch,
    stored_rows,
    take,
)
from support.ledger import NOON

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)


async def run_all(database: Database, name: str = "worker_1", *, settled: bool = True) -> None:
    """Let a worker finish everything."""
    worker = await add_worker(database, name)
    while requests := (await take(database, worker)).requests:
        await finish(database, worker, requests)
        if settled:
            await settle(database, worker, requests)


async def listed(
    database: Database, wanted: BatchFilter = EVERY_BATCH, **cursor: object
) -> tuple[list[str], bool]:
    async with database.read() as connection:
        page = await list_batches(connection, "wrkspc_a", IdCursor(**cursor), wanted)
    return [batch.id[-1] for batch in page.records], page.has_more


async def test_batches_are_filtered_by_their_status_and_time(database: Database) -> None:
    for number, name in enumerate("abcd"):
        await add_batch(database, a_batch(f"msgbatch_{name}", NOON + number * SECOND), 1)
    async with database.write() as connection:
        await cancel_batch(connection, "wrkspc_a", "msgbatch_b", NOON)
        ended = update(message_batches).where(message_batches.c.id == "msgbatch_c")
        await connection.execute(ended.values(ended_at=NOON))
    assert await listed(database, BatchFilter("in_progress")) == (["d", "a"], False)
    assert await listed(database, BatchFilter("canceling")) == (["b"], False)
    assert await listed(database, BatchFilter("ended")) == (["c"], False)
    since = BatchFilter(start=NOON + SECOND, end=NOON + 3 * SECOND, is_descending=False)
    assert await listed(database, since) == (["b", "c"], False)
    assert await listed(database, since, limit=1, after_id="msgbatch_b") == (["c"], False)
    assert await listed(database, since, before_id="msgbatch_c") == (["b"], False)


async def test_pages_go_from_the_newest_to_the_oldest_and_back(database: Database) -> None:
    # Two were made in the same microsecond.
    for number, name in enumerate("abcde"):
        batch = a_batch(f"msgbatch_{name}", NOON + (number - number % 2) * SECOND)
        await add_batch(database, batch, 1)
    await add_batch(database, a_batch("msgbatch_x", workspace_id=None), 1)
    assert await listed(database) == (["e", "d", "c", "b", "a"], False)
    assert await listed(database, limit=2) == (["e", "d"], True)
    assert await listed(database, limit=2, after_id="msgbatch_d") == (["c", "b"], True)
    assert await listed(database, limit=2, after_id="msgbatch_b") == (["a"], False)
    assert await listed(database, after_id="msgbatch_a") == ([], False)
    assert await listed(database, limit=2, before_id="msgbatch_b") == (["d", "c"], True)
    assert await listed(database, limit=2, before_id="msgbatch_c") == (["e", "d"], False)
    assert await listed(database, before_id="msgbatch_e") == ([], False)


async def test_cursor_names_one_visible_batch_of_the_workspace(database: Database) -> None:
    await add_batch(database, a_batch("msgbatch_a"), 1)
    await add_batch(database, a_batch("msgbatch_x", workspace_id=None), 1)
    for batch_id in ("msgbatch_x", "msgbatch_none", "\0"):
        with pytest.raises(InvalidRequestError, match=r"^before_id: no such id"):
            await listed(database, before_id=batch_id)
    with pytest.raises(InvalidRequestError, match="Only one of"):
        await listed(database, before_id="msgbatch_a", after_id="msgbatch_a")


async def test_cancel_is_stored_once_and_not_after_the_end(database: Database) -> None:
    await add_batch(database, a_batch("msgbatch_ended"), 1)
    await run_all(database)
    await add_batch(database, a_batch(), 1)
    async with database.write() as connection:
        ended = await cancel_batch(connection, "wrkspc_a", "msgbatch_ended", NOON)
        assert ended is not None
        assert (ended.ended_at, ended.cancel_initiated_at) == (NOON, None)
        for at in (NOON, NOON + SECOND):
            found = await cancel_batch(connection, "wrkspc_a", "msgbatch_1", at)
            assert found is not None
            assert found.cancel_initiated_at == NOON
        assert await cancel_batch(connection, None, "msgbatch_1", NOON) is None
        assert await cancel_batch(connection, "wrkspc_a", "\0", NOON) is None


async def test_archived_workspace_cancels_its_batches_only(database: Database) -> None:
    for number, workspace in enumerate(("wrkspc_a", "wrkspc_a", None)):
        await add_batch(database, a_batch(f"msgbatch_{number}", workspace_id=workspace), 1)
    async with database.write() as connection:
        cancelled = await cancel_workspace(connection, "wrkspc_a", NOON)
        assert sorted(cancelled) == ["msgbatch_0", "msgbatch_1"]
        assert await cancel_workspace(connection, "wrkspc_a", NOON) == ()
    found = [(await stored_batch(database, f"msgbatch_{n}")).cancel_initiated_at for n in range(3)]
    assert found == [NOON, NOON, None]


async def test_queue_counts_what_has_no_result(database: Database) -> None:
    await add_batch(database, a_batch(), 5)
    worker = await add_worker(database)
    await finish(database, worker, (await take(database, worker, 2)).requests)
    async with database.read() as connection:
        assert await unfinished_requests(connection, NOON) == 3


async def test_deleted_batch_is_hidden_at_once_and_removed_in_portions(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), 5)
    async with database.write() as connection:
        assert not await delete_batch(connection, "wrkspc_a", "msgbatch_1", NOON)
    await run_all(database)
    async with database.write() as connection:
        assert not await delete_batch(connection, None, "msgbatch_1", NOON)
        assert not await delete_batch(connection, "wrkspc_a", "\0", NOON)
        assert await delete_batch(connection, "wrkspc_a", "msgbatch_1", NOON)
        assert not await delete_batch(connection, "wrkspc_a", "msgbatch_1", NOON)
    assert await listed(database) == ([], False)
    removed = []
    while not removed or removed[-1]:
        async with database.write() as connection:
            removed.append(await purge(connection, portion=2))
    assert removed == [2, 2, 2, 0]
    assert await stored_rows(database, "number") == []


async def test_deletion_keeps_unsettled_requests_without_their_content(
    database: Database,
) -> None:
    await add_batch(database, a_batch(), 3)
    worker = await add_worker(database)
    claimed = (await take(database, worker)).requests
    await finish(database, worker, claimed)
    await settle(database, worker, claimed[:1])
    async with database.write() as connection:
        await delete_batch(connection, "wrkspc_a", "msgbatch_1", NOON)
        assert await purge(connection) == 1
        assert await purge(connection) == 0
        await leave(connection, worker)
    assert await stored_rows(database, "number", "result") == [(1, None), (2, None)]
    other = await add_worker(database, "worker_2")
    unsettled = (await take(database, other)).unsettled
    assert [row.number for row in unsettled] == [1, 2]
    await settle(database, other, unsettled)
    async with database.write() as connection:
        assert await purge(connection) == 3
    assert await stored_rows(database, "number") == []


async def test_old_batches_are_archived_with_their_last_row_and_stay_listed(
    database: Database,
) -> None:
    await add_batch(database, a_batch("msgbatch_a"), 5)
    await add_batch(database, a_batch("msgbatch_b", NOON + DAY), 1)
    await run_all(database)
    await add_batch(database, a_batch("msgbatch_c"), 1)
    archived = []
    while not archived or archived[-1]:
        async with database.write() as connection:
            at = NOON + 29 * DAY
            archived.append(await archive(connection, NOON + SECOND, at, portion=2))
        first = await stored_batch(database, "msgbatch_a")
        assert (first.archived_at is None) == (len(archived) < 3)
    assert archived == [2, 2, 1, 0]
    assert first.archived_at == NOON + 29 * DAY
    assert await listed(database) == (["b", "c", "a"], False)
    rows = await stored_rows(database, "batch_id")
    assert rows == [("msgbatch_b",), ("msgbatch_c",)]
    async with database.read() as connection:
        found = await find_batch(connection, "wrkspc_a", "msgbatch_a")
    assert found is not None
    assert found.succeeded == 5


async def test_pages_of_results_are_bounded_by_rows_and_bytes(database: Database) -> None:
    batch = await add_batch(database, a_batch(), 5)
    await run_all(database)
    size = len((await all_results(database))[0].result)
    async with database.read() as connection:
        page = await results_page(connection, batch, most=2)
        assert [(row.number, row.custom_id) for row in page] == [(0, "custom_0"), (1, "custom_1")]
        page = await results_page(connection, batch, 1, size=3 * size - 1)
        assert [row.number for row in page] == [2, 3]
        page = await results_page(connection, batch, 3, size=1)
        assert [row.number for row in page] == [4]
        assert await results_page(connection, batch, 4) == ()


async def test_results_that_are_removed_while_they_are_read_are_an_error(
    database: Database,
) -> None:
    batch = await add_batch(database, a_batch(), 4)
    await run_all(database, settled=False)
    async with database.write() as connection:
        await delete_batch(connection, "wrkspc_a", batch.id, NOON)
        await purge(connection)
    async with database.read() as connection:
        with pytest.raises(ResultsGoneError):
            await results_page(connection, batch)
    async with database.write() as connection:
        assert await archive(connection, NOON + DAY, NOON) == 0
