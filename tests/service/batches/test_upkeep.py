"""The upkeep of batches, where no worker runs: what ends with time, and what is left as it is."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text, update

from antiphon.service.batches.upkeep import EVERY_S, BatchUpkeep
from antiphon.store.batches.create import find_repeated, make_ready
from antiphon.store.batches.listing import cancel_batch, delete_batch
from antiphon.store.batches.rows import Batch
from antiphon.store.database.batch_tables import message_batches
from antiphon.store.database.database import Database
from support.away import AwayFor
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
from support.logs import capture_logs

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
# More than two transactions remove.
MANY = 2100


async def keep(database: Database, at: datetime) -> None:
    """Do what is due at this time."""
    await BatchUpkeep(database, lambda: at).once()


async def add_ended(database: Database, name: str = "msgbatch_1", requests: int = 2) -> None:
    """Make a batch whose requests have results, all settled."""
    await add_batch(database, a_batch(name), requests)
    worker = await add_worker(database, f"worker of {name}")
    while claimed := (await take(database, worker)).requests:
        await finish(database, worker, claimed)
        await settle(database, worker, claimed)


async def written(database: Database, sqlite_path: Path) -> bytes:
    """Return something that differs after any write: the log, or the next transaction's number."""
    async with database.read() as connection:
        if connection.dialect.name == "sqlite":
            return sqlite_path.with_name(f"{sqlite_path.name}-wal").read_bytes()
        number = text("SELECT txid_snapshot_xmax(txid_current_snapshot())")
        return str(await connection.scalar(number)).encode()


async def test_upkeep_without_anything_due_writes_nothing(
    database: Database, sqlite_path: Path
) -> None:
    before = await written(database, sqlite_path)
    await keep(database, NOON)
    assert await written(database, sqlite_path) == before
    # One that has ended, one with requests that wait, and one whose body still arrives.
    await add_ended(database)
    for name in ("msgbatch_2", "msgbatch_3"):
        await add_batch(database, a_batch(name))
    async with database.write() as connection:
        arriving = message_batches.c.id == "msgbatch_3"
        await connection.execute(update(message_batches).where(arriving).values(ready=False))
    before = await written(database, sqlite_path)
    for minutes in range(3):
        await keep(database, NOON + timedelta(minutes=minutes))
    assert await written(database, sqlite_path) == before


async def test_batches_expire_and_are_cancelled_where_no_worker_runs(database: Database) -> None:
    await add_batch(database, a_batch(), MANY)
    await add_batch(database, a_batch("msgbatch_2"), 2)
    async with database.write() as connection:
        await cancel_batch(connection, "wrkspc_a", "msgbatch_2", NOON)
    await keep(database, NOON + HOUR)
    cancelled = await stored_batch(database, "msgbatch_2")
    assert (cancelled.canceled, cancelled.ended_at) == (2, NOON + HOUR)
    assert (await stored_batch(database)).processing == MANY
    await keep(database, NOON + DAY)
    expired = await stored_batch(database)
    assert (expired.expired, expired.ended_at) == (MANY, NOON + DAY)
    assert {one.result for one in await all_results(database)} == {b'{"type":"expired"}'}
    assert {params for (params,) in await stored_rows(database, "params")} == {None}


async def test_batch_whose_body_never_arrived_is_removed_after_an_hour(database: Database) -> None:
    await add_batch(database, a_batch())
    async with database.write() as connection:
        await connection.execute(update(message_batches).values(ready=False))
    await keep(database, NOON + HOUR)
    assert len(await stored_rows(database, "number")) == 3
    await keep(database, NOON + HOUR + timedelta(seconds=1))
    assert await stored_rows(database, "number") == []


async def test_repeat_key_is_known_for_a_day(database: Database) -> None:
    await add_batch(database, a_batch())
    async with database.write() as connection:
        await connection.execute(update(message_batches).values(ready=False))
    async with database.write() as connection:
        await make_ready(connection, "msgbatch_1", asked=b"body", repeat_key=b"key")

    async def repeated() -> Batch | None:
        async with database.read() as connection:
            return await find_repeated(connection, b"key")

    await keep(database, NOON + DAY)
    assert await repeated() is not None
    await keep(database, NOON + DAY + timedelta(seconds=1))
    assert await repeated() is None


async def test_results_are_kept_for_29_days_and_the_batch_for_good(database: Database) -> None:
    await add_ended(database, requests=MANY)
    await keep(database, NOON + 29 * DAY)
    assert len(await stored_rows(database, "number")) == MANY
    last = NOON + 29 * DAY + timedelta(seconds=1)
    await keep(database, last)
    assert await stored_rows(database, "number") == []
    batch = await stored_batch(database)
    assert (batch.archived_at, batch.succeeded) == (last, MANY)


async def test_deleted_batch_is_removed_whole(database: Database) -> None:
    await add_ended(database, requests=MANY)
    await add_ended(database, "msgbatch_2")
    async with database.write() as connection:
        assert await delete_batch(connection, "wrkspc_a", "msgbatch_1", NOON)
    await keep(database, NOON)
    assert {name for (name,) in await stored_rows(database, "batch_id")} == {"msgbatch_2"}
    with pytest.raises(IndexError):
        await stored_batch(database)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_upkeep_goes_on_after_the_database_was_away(
    database: Database, sqlite_path: Path
) -> None:
    await add_batch(database, a_batch(), 2)
    away = AwayFor(sqlite_path)
    with capture_logs() as logs:
        running = asyncio.create_task(BatchUpkeep(database, lambda: NOON + DAY, away.sleep).run())
        await asyncio.wait_for(away.over.wait(), 20)
        running.cancel()
        await asyncio.wait([running])
    assert [line["event"] for line in logs] == ["batches.upkeep_waits"]
    assert away.pauses == [EVERY_S] * 3
    assert (await stored_batch(database)).expired == 2


async def test_upkeep_goes_on_after_a_defect(database: Database) -> None:
    faults, pauses = [ValueError()], []

    async def drop_left() -> None:
        if faults:
            raise faults.pop()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    upkeep = BatchUpkeep(database, lambda: NOON, sleep, drop_left=drop_left)
    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await upkeep.run()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("batches.upkeep_failed", "error")
    ]
    assert pauses == [EVERY_S] * 3
