"""Batches come into being in groups, and only whole ones are ever seen."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

import pytest

from antiphon.core.pagination import IdCursor
from antiphon.store.batches.create import (
    BatchGoneError,
    add_requests,
    begin_batch,
    drop_batch,
    drop_unready,
    find_repeated,
    forget_repeat_keys,
    hold_unready,
    make_ready,
)
from antiphon.store.batches.listing import (
    delete_batch,
    find_batch,
    list_batches,
    purge,
    unfinished_requests,
)
from antiphon.store.database.database import Database
from antiphon.store.database.errors import DuplicateError
from support.batches import (
    DAY,
    a_batch,
    add_batch,
    add_worker,
    finish,
    some_requests,
    stored_rows,
    take,
    waits,
)
from support.ledger import NOON

pytestmark = pytest.mark.anyio

OpenDatabase: TypeAlias = Callable[[], Awaitable[Database]]


async def begin(database: Database, batch_id: str, requests: int = 2) -> None:
    async with database.write() as connection:
        await begin_batch(connection, a_batch(batch_id))
        await add_requests(connection, batch_id, some_requests(requests))


async def ready(database: Database, batch_id: str, repeat_key: bytes | None = None) -> None:
    async with database.write() as connection:
        await make_ready(connection, batch_id, asked=b"body", repeat_key=repeat_key)


async def test_batch_is_seen_as_it_was_made_once_it_is_ready(database: Database) -> None:
    await begin(database, "msgbatch_1", 3)
    async with database.read() as connection:
        assert await find_batch(connection, "wrkspc_a", "msgbatch_1") is None
        assert (await list_batches(connection, "wrkspc_a", IdCursor())).records == ()
        assert await unfinished_requests(connection, NOON) == 3
    async with database.write() as connection:
        made = await make_ready(connection, "msgbatch_1", asked=b"body")
    assert made == a_batch(requests=3, asked=b"body")
    async with database.read() as connection:
        assert await find_batch(connection, "wrkspc_a", "msgbatch_1") == made
        assert await find_batch(connection, None, "msgbatch_1") is None
        assert await find_batch(connection, "wrkspc_b", "msgbatch_1") is None
        assert await find_batch(connection, "wrkspc_a", "msgbatch_\0") is None


async def test_batch_becomes_ready_once_and_not_without_requests(database: Database) -> None:
    await begin(database, "msgbatch_1")
    await begin(database, "msgbatch_empty", 0)
    await ready(database, "msgbatch_1")
    for batch_id in ("msgbatch_1", "msgbatch_empty", "msgbatch_unknown"):
        with pytest.raises(BatchGoneError):
            await ready(database, batch_id)
    with pytest.raises(BatchGoneError):
        async with database.write() as connection:
            await add_requests(connection, "msgbatch_1", some_requests(1, first=2))


async def test_repeated_request_finds_the_batch_that_the_first_one_made(
    database: Database,
) -> None:
    await begin(database, "msgbatch_1")
    await begin(database, "msgbatch_2")
    await ready(database, "msgbatch_1", b"key")
    with pytest.raises(DuplicateError):
        await ready(database, "msgbatch_2", b"key")
    async with database.write() as connection:
        await drop_batch(connection, "msgbatch_2", NOON)
        found = await find_repeated(connection, b"key")
        assert found is not None
        assert (found.id, found.asked) == ("msgbatch_1", b"body")
        assert await find_repeated(connection, b"another") is None
    async with database.write() as connection:
        await forget_repeat_keys(connection, NOON)
        assert await find_repeated(connection, b"key") is not None
        await forget_repeat_keys(connection, NOON + DAY)
        assert await find_repeated(connection, b"key") is None


async def test_deleted_batch_frees_its_key(database: Database) -> None:
    await begin(database, "msgbatch_1")
    await ready(database, "msgbatch_1", b"key")
    worker = await add_worker(database)
    await finish(database, worker, (await take(database, worker)).requests)
    async with database.write() as connection:
        assert await delete_batch(connection, "wrkspc_a", "msgbatch_1", NOON)
        assert await find_repeated(connection, b"key") is None
    await begin(database, "msgbatch_2")
    await ready(database, "msgbatch_2", b"key")


async def test_equal_requests_at_once_make_one_batch(
    opened: OpenDatabase, database: Database
) -> None:
    await begin(database, "msgbatch_1")
    await begin(database, "msgbatch_2")
    elsewhere = await opened()
    async with elsewhere.write() as connection:
        await make_ready(connection, "msgbatch_1", asked=b"body", repeat_key=b"key")
        second = asyncio.create_task(ready(database, "msgbatch_2", b"key"))
        assert await waits(second)
    with pytest.raises(DuplicateError):
        await second


async def test_batch_that_nobody_holds_counts_no_more_and_is_dropped(database: Database) -> None:
    minute = timedelta(minutes=1)
    for name in ("msgbatch_crashed", "msgbatch_held"):
        async with database.write() as connection:
            await begin_batch(connection, replace(a_batch(name), expires_at=NOON + minute))
            await add_requests(connection, name, some_requests(2))
    async with database.write() as connection:
        assert await unfinished_requests(connection, NOON) == 4
        await hold_unready(connection, "msgbatch_held", NOON + 2 * minute)
        assert await unfinished_requests(connection, NOON + minute) == 2
        assert await drop_unready(connection, NOON - DAY, NOON + minute - minute / 60) == 0
        assert await drop_unready(connection, NOON - DAY, NOON + minute) == 1
    async with database.write() as connection:
        made = await make_ready(connection, "msgbatch_held", asked=b"", expires_at=NOON + DAY)
        assert made.expires_at == NOON + DAY
        # Now it is no lease any more.
        await hold_unready(connection, "msgbatch_held", NOON)
        assert await unfinished_requests(connection, NOON + 2 * DAY) == 2


async def test_sweep_drops_what_never_became_ready_and_nothing_else(database: Database) -> None:
    await begin(database, "msgbatch_crashed", 5)
    await add_batch(database, a_batch("msgbatch_ready"), 2)
    async with database.write() as connection:
        await begin_batch(connection, a_batch("msgbatch_new", NOON + DAY))
        assert await drop_unready(connection, NOON + DAY, NOON + DAY) == 1
        assert await drop_unready(connection, NOON + DAY, NOON + DAY) == 0
    # The sweep came first: what still arrives is refused.
    with pytest.raises(BatchGoneError):
        async with database.write() as connection:
            await add_requests(connection, "msgbatch_crashed", some_requests(1, first=5))
    with pytest.raises(BatchGoneError):
        await ready(database, "msgbatch_crashed")
    removed = []
    while not removed or removed[-1]:
        async with database.write() as connection:
            removed.append(await purge(connection, portion=2))
    assert removed == [2, 2, 2, 0]
    assert {batch_id for (batch_id,) in await stored_rows(database, "batch_id")} == {
        "msgbatch_ready"
    }


async def test_large_rows_are_removed_in_small_portions(database: Database) -> None:
    large = [one._replace(params=bytes(1024 * 1024)) for one in some_requests(6)]
    for name, added in (("msgbatch_1", large), ("msgbatch_2", some_requests(3))):
        async with database.write() as connection:
            await begin_batch(connection, a_batch(name))
            await add_requests(connection, name, added)
            await drop_batch(connection, name, NOON)
    removed = []
    while not removed or removed[-1]:
        async with database.write() as connection:
            removed.append(await purge(connection))
    # Four rows of a mebibyte; then two, the small ones, and both batches.
    assert removed == [4, 2 + 1 + 3 + 1, 0]


async def test_sweep_waits_for_requests_that_are_being_added(
    opened: OpenDatabase, database: Database
) -> None:
    await begin(database, "msgbatch_1", 1)
    elsewhere = await opened()

    async def sweep() -> int:
        async with elsewhere.write() as connection:
            return await drop_unready(connection, NOON + DAY, NOON + DAY)

    async with database.write() as connection:
        await add_requests(connection, "msgbatch_1", some_requests(1, first=1))
        sweeping = asyncio.create_task(sweep())
        assert await waits(sweeping)
        await make_ready(connection, "msgbatch_1", asked=b"body")
    assert await sweeping == 0
