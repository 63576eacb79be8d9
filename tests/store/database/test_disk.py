"""The reserve of the database's disk: how much it is, and what is refused for it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import text

from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.disk import MIB, reserve_of
from antiphon.store.database.errors import DatabaseUnavailableError, DiskFullError

pytestmark = pytest.mark.anyio

BLOB = 64 * 1024


class Usage(NamedTuple):
    total: int
    free: int


class Disk:
    """A disk of 10 GiB, of which so much is free."""

    def __init__(self) -> None:
        self.free = 0

    def usage(self, folder: Path) -> Usage:
        if not folder.is_dir():
            raise FileNotFoundError(2, "No such file or directory")
        return Usage(10 * 1024 * MIB, self.free)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def on_disk(tmp_path: Path, disk: Disk) -> AsyncIterator[Database]:
    database = await open_database(sqlite_url(tmp_path / "a.db"), disk_usage=disk.usage)
    async with database.write() as connection:
        await connection.exec_driver_sql("CREATE TABLE t (bytes BLOB)")
    yield database
    await database.aclose()


async def add(database: Database, number: int) -> None:
    async with database.write() as connection:
        rows = [(bytes(BLOB),)] * number
        await connection.exec_driver_sql("INSERT INTO t VALUES (?)", rows)


async def needed(database: Database, disk: Disk, added: int) -> int:
    """Return the free bytes beyond the reserve with which so many may be added."""
    low, high = 0, 1024 * MIB
    async with database.write() as connection:
        while low < high:
            middle = (low + high) // 2
            disk.free = reserve_of(10 * 1024 * MIB) + middle
            try:
                await database.check_space(connection, added)
            except DiskFullError:
                low = middle + 1
            else:
                high = middle
    return low


@pytest.mark.parametrize(
    ("total", "reserve"),
    [(0, 8), (24, 8), (800, 8), (1600, 16), (6400, 64), (10**6, 64)],
)
def test_reserve_is_a_part_of_the_disk_within_bounds(total: int, reserve: int) -> None:
    assert reserve_of(total * MIB) == reserve * MIB


async def test_added_bytes_are_needed_for_the_log_and_for_the_file(
    on_disk: Database, disk: Disk
) -> None:
    # The log of so few commits was never copied, so the file is still empty.
    waiting = await needed(on_disk, disk, 0)
    assert 0 < waiting <= 64 * 1024
    assert await needed(on_disk, disk, MIB) == 2 * MIB + waiting


async def test_log_that_a_reader_keeps_is_room_that_the_file_will_need(
    on_disk: Database, disk: Disk
) -> None:
    async with on_disk.read() as reader:
        await reader.execute(text("SELECT count(*) FROM t"))
        await add(on_disk, 160)
        assert await needed(on_disk, disk, 0) > 10 * MIB
    # The next commit copies the log.
    await add(on_disk, 1)
    assert await needed(on_disk, disk, 0) <= MIB


async def test_unused_pages_of_the_file_are_filled_before_it_grows(
    on_disk: Database, disk: Disk
) -> None:
    await add(on_disk, 160)
    async with on_disk.write() as connection:
        await connection.exec_driver_sql("DELETE FROM t")
    assert await needed(on_disk, disk, 8 * MIB) == 8 * MIB
    assert await needed(on_disk, disk, 20 * MIB) > 29 * MIB


async def test_operator_is_told_of_a_disk_with_less_than_its_reserve(
    on_disk: Database, disk: Disk, tmp_path: Path
) -> None:
    disk.free = 64 * MIB
    assert await on_disk.nearly_full() is None
    disk.free -= 1
    assert await on_disk.nearly_full() == (
        f"The disk of the database is nearly full: {tmp_path / 'a.db'}. New Message Batches are "
        "refused while less than 64 MiB would stay free. Free some space"
    )


async def test_disk_that_cannot_be_asked_is_a_database_that_cannot_be_used(
    on_disk: Database, disk: Disk, tmp_path: Path
) -> None:
    (tmp_path / "a.db").rename(tmp_path / "b.db")
    disk.free = 1024 * MIB
    async with on_disk._transaction(on_disk._backend.writers) as connection:
        with pytest.raises(DatabaseUnavailableError, match="No such file"):
            await on_disk.check_space(connection)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_disk_of_postgresql_is_left_to_its_server(database: Database) -> None:
    assert await database.nearly_full() is None
    async with database.write() as connection:
        await database.check_space(connection, 2**60)
