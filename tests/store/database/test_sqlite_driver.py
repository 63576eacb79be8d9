"""Statements of SQLite go to the thread of their connection once."""

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text

from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.errors import StoreError

pytestmark = pytest.mark.anyio


class Turns(aiosqlite.Connection):
    """A connection that counts what its thread is asked to do."""

    counted: Counter[str]

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        self.counted[fn.__name__] += 1
        return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]


async def opened(path: Path, counted: Counter[str]) -> Database:
    def connect(file: str, **options: Any) -> Turns:
        driver = Turns(lambda: sqlite3.connect(file, **options), iter_chunk_size=64)
        driver.counted = counted
        return driver

    return await open_database(sqlite_url(path), connect=connect)


async def test_statement_takes_one_turn_of_the_thread(tmp_path: Path) -> None:
    counted: Counter[str] = Counter()
    database = await opened(tmp_path / "a.db", counted)
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    counted.clear()
    async with database.read() as connection:
        found = await connection.execute(text("SELECT 1 AS one UNION SELECT 2 ORDER BY 1"))
        assert [row["one"] for row in found.mappings()] == [1, 2]
    # BEGIN and SELECT.
    assert counted == {"execute": 2, "commit": 1}
    await database.aclose()


async def test_what_a_statement_did_is_told_as_by_the_driver(tmp_path: Path) -> None:
    database = await opened(tmp_path / "a.db", Counter())
    async with database.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (a INTEGER PRIMARY KEY)")
        many = await connection.exec_driver_sql("INSERT INTO t VALUES (?)", [(4,), (5,)])
        assert many.rowcount == 2
        one = await connection.exec_driver_sql("INSERT INTO t VALUES (?)", [(7,)])
        assert one.lastrowid == 7
        gone = await connection.exec_driver_sql("DELETE FROM t WHERE a > 4 RETURNING a")
        assert sorted(gone.scalars()) == [5, 7]
    await database.aclose()


async def test_statement_that_fails_leaves_the_connection_usable(tmp_path: Path) -> None:
    database = await opened(tmp_path / "a.db", Counter())
    async with database.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    with pytest.raises(StoreError, match="UNIQUE"):
        async with database.write() as connection:
            await connection.exec_driver_sql("INSERT INTO t VALUES (?)", [(1,), (1,)])
    async with database.write() as connection:
        await connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM t")) == 1
    await database.aclose()


async def test_cancelled_statement_holds_no_lock(tmp_path: Path) -> None:
    database = await opened(tmp_path / "a.db", Counter())
    long = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) "
        "INSERT INTO t SELECT i FROM n"
    )
    async with database.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")

    async def write() -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql(long)

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.005)
    writing.cancel()
    await asyncio.wait([writing])
    async with database.write() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM t")) in {0, 300000}
    await database.aclose()
