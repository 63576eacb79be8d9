"""The upkeep of files: what it removes, and how it waits."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from antiphon.service.files.upkeep import EVERY_S, PAUSE_S, FileUpkeep
from antiphon.store.database.database import Database
from antiphon.store.database.errors import DatabaseUnavailableError
from antiphon.store.database.file_tables import file_chunks
from antiphon.store.files import PORTION, StoredFile, add_chunks, begin_file

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FILE = StoredFile(
    id="file_1",
    workspace_id=None,
    filename="a.txt",
    mime_type="text/plain",
    size_bytes=0,
    created_at=NOON,
    downloadable=False,
    held_until=NOON,
)


class Sleeps:
    """Sleeps that end at once, so many; then `over` is set, and the last one never ends."""

    def __init__(self, most: int) -> None:
        self.done: list[float] = []
        self.over = asyncio.Event()
        self._most = most

    async def __call__(self, seconds: float) -> None:
        self.done.append(seconds)
        if len(self.done) == self._most:
            self.over.set()
            await asyncio.Event().wait()


async def chunks(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(file_chunks)) or 0


async def test_contents_are_removed_in_portions_with_pauses(database: Database) -> None:
    async with database.write() as connection:
        for number in range(2):
            await begin_file(connection, replace(FILE, id=f"file_{number}"))
        await add_chunks(connection, "file_0", 0, [b"x"] * (PORTION + 1))
    sleeps = Sleeps(most=5)
    async with FileUpkeep(database, lambda: NOON, sleeps).running():
        await sleeps.over.wait()
    # Two portions of the one, the row of the other, and an end with nothing left.
    assert sleeps.done == [EVERY_S, PAUSE_S, PAUSE_S, PAUSE_S, EVERY_S]
    assert await chunks(database) == 0


async def test_upkeep_goes_on_after_the_database_was_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise DatabaseUnavailableError("away")

    sleeps = Sleeps(most=3)
    with monkeypatch.context() as patch:
        patch.setattr(database, "write", away)
        async with FileUpkeep(database, lambda: NOON, sleeps).running():
            await sleeps.over.wait()
    assert sleeps.done == [EVERY_S, EVERY_S, EVERY_S]
