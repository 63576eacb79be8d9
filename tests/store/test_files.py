"""Uploaded files in both databases: held until they are whole, and removed in portions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from antiphon.core.files import KEPT_EXPIRED
from antiphon.store.database.database import Database
from antiphon.store.database.file_tables import file_chunks, files
from antiphon.store.files import (
    CHUNK_BYTES,
    PORTION,
    FileGoneError,
    StoredFile,
    add_chunks,
    begin_file,
    bytes_of_files,
    chunk_of,
    delete_file,
    drop_file,
    find_file,
    finish_file,
    hold_file,
    purge,
)
from support.plans import note_plans

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HELD = NOON + timedelta(minutes=1)


def new(file_id: str = "file_1", workspace_id: str | None = None) -> StoredFile:
    return StoredFile(
        id=file_id,
        workspace_id=workspace_id,
        filename="a.txt",
        mime_type="text/plain",
        size_bytes=0,
        created_at=NOON,
        downloadable=False,
        held_until=HELD,
    )


async def kept(database: Database, file: StoredFile, chunks: int = 1) -> StoredFile:
    """Keep a file of whole chunks."""
    async with database.write() as connection:
        await begin_file(connection, file)
        await add_chunks(connection, file.id, 0, [b"x" * CHUNK_BYTES] * chunks)
        return await finish_file(connection, file)


async def rows(database: Database) -> tuple[int, int]:
    """Return how many files and how many chunks there are."""
    async with database.read() as connection:
        counts = [
            await connection.scalar(select(func.count()).select_from(table))
            for table in (files, file_chunks)
        ]
    return counts[0], counts[1]


async def purged(database: Database, now: datetime = NOON) -> int:
    """Remove all that is due; return in how many transactions."""
    steps = 0
    while True:
        async with database.write() as connection:
            if not await purge(connection, now):
                return steps
        steps += 1


async def test_file_is_invisible_until_it_is_whole(database: Database) -> None:
    file = new()
    async with database.write() as connection:
        await begin_file(connection, file)
        await add_chunks(connection, file.id, 0, [b"abc"])
        assert await find_file(connection, None, file.id) is None
        await add_chunks(connection, file.id, 1, [b"de"])
        shown = await finish_file(connection, replace(file, filename="b.txt"))
        assert await find_file(connection, None, file.id) == shown
    assert (shown.size_bytes, shown.filename, shown.held_until) == (5, "b.txt", None)


async def test_what_is_held_no_longer_is_removed(database: Database) -> None:
    async with database.write() as connection:
        await begin_file(connection, new("file_dead"))
        await add_chunks(connection, "file_dead", 0, [b"x"] * (PORTION + 1))
        await begin_file(connection, new("file_alive"))
        await hold_file(connection, "file_alive", HELD + timedelta(hours=1))
    assert await purged(database, HELD - timedelta(seconds=1)) == 0
    assert await purged(database, HELD) == 2
    assert await rows(database) == (1, 0)


async def test_dropped_file_takes_nothing_more(database: Database) -> None:
    file = new()
    async with database.write() as connection:
        await begin_file(connection, file)
        await drop_file(connection, file.id, NOON)
    for step in (
        lambda connection: add_chunks(connection, file.id, 0, [b"x"]),
        lambda connection: finish_file(connection, file),
    ):
        with pytest.raises(FileGoneError):
            async with database.write() as connection:
                await step(connection)
    await purged(database)
    assert await rows(database) == (0, 0)


async def test_deleted_file_is_removed_in_portions(database: Database) -> None:
    await kept(database, new(), 2 * PORTION + 1)
    other = await kept(database, new("file_2"))
    async with database.write() as connection:
        await delete_file(connection, None, "file_1", NOON)
        assert await find_file(connection, None, "file_1") is None
        assert await bytes_of_files(connection) == CHUNK_BYTES
    assert await purged(database) == 3
    assert await rows(database) == (1, 1)
    async with database.read() as connection:
        assert await chunk_of(connection, other, 0) == b"x" * CHUNK_BYTES


async def test_expired_file_loses_its_content_and_later_its_name(database: Database) -> None:
    end = NOON + timedelta(hours=1)
    file = await kept(database, replace(new(), expires_at=end))
    assert await purged(database, end - timedelta(seconds=1)) == 0
    assert await purged(database, end) == 1
    assert await rows(database) == (1, 0)
    async with database.read() as connection:
        found = await find_file(connection, None, file.id)
        assert found is not None
        assert found.expires_at == end
        assert await bytes_of_files(connection) == 0
    assert await purged(database, end + KEPT_EXPIRED) == 1
    assert await rows(database) == (0, 0)


async def test_content_that_is_removed_while_it_is_read_is_an_error(database: Database) -> None:
    file = await kept(database, new(), 2)
    async with database.write() as connection:
        assert await chunk_of(connection, file, 1) == b"x" * CHUNK_BYTES
        assert await chunk_of(connection, file, 2) == b""
        await delete_file(connection, None, file.id, NOON)
    await purged(database)
    async with database.read() as connection:
        with pytest.raises(FileGoneError):
            await chunk_of(connection, file, 1)


async def test_bytes_are_those_of_a_workspace_or_of_all(database: Database) -> None:
    await kept(database, new("file_1", "wrkspc_a"), 1)
    await kept(database, new("file_2", "wrkspc_b"), 2)
    await kept(database, new("file_3"), 3)
    async with database.read() as connection:
        assert await bytes_of_files(connection) == 6 * CHUNK_BYTES
        assert await bytes_of_files(connection, "wrkspc_b", of_all=False) == 2 * CHUNK_BYTES
        assert await bytes_of_files(connection, None, of_all=False) == 3 * CHUNK_BYTES


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_names_of_expired_files_are_not_read_again_and_again(database: Database) -> None:
    """They stay for a month, and whatever is removed or uploaded would read them all."""
    async with database.write() as connection:
        plans = note_plans(connection)
        assert await purge(connection, NOON) == 0
        found = [plan for plan in plans if "ix_files_expiring" in plan]
        assert (
            found == ["SEARCH files USING INDEX ix_files_expiring (emptied=? AND expires_at<?)"] * 2
        )
        plans.clear()
        assert await bytes_of_files(connection) == 0
        assert await bytes_of_files(connection, "wrkspc_1", of_all=False) == 0
        # It has none without a size.
        assert ["INDEX ix_files_sizes" in plan for plan in plans] == [True, True], plans
