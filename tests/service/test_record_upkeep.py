import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from antiphon.service.record_upkeep import EVERY_S, FIRST_AFTER_S, PAUSE_S, RecordUpkeep
from antiphon.store.database.database import Database
from antiphon.store.database.errors import DatabaseUnavailableError
from antiphon.store.database.rollup_tables import usage_rollups
from antiphon.store.ledger import add_entries
from antiphon.store.rollups import PORTION
from support.ledger import NOON, an_entry

pytestmark = pytest.mark.anyio


class Sleeps:
    """Notes each pause, and ends the work at a wanted one."""

    def __init__(self, most: int) -> None:
        self.done: list[float] = []
        self._most = most
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.done.append(seconds)
        if len(self.done) >= self._most:
            self.over.set()
            await asyncio.Event().wait()


async def rollups(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(
            select(func.count()).where(usage_rollups.c.width > 0).select_from(usage_rollups)
        )


async def test_old_rollups_are_removed_in_portions_with_pauses(database: Database) -> None:
    old = NOON - timedelta(days=9)
    entries = [an_entry(number, old + timedelta(minutes=number)) for number in range(3 * PORTION)]
    async with database.write() as connection:
        await add_entries(connection, entries)
    assert await rollups(database) == 3 * PORTION + 3 + 1
    sleeps = Sleeps(most=4)
    async with RecordUpkeep(database, lambda: NOON, 30, sleeps).running():
        await sleeps.over.wait()
    assert sleeps.done == [FIRST_AFTER_S, PAUSE_S, PAUSE_S, PAUSE_S]
    await RecordUpkeep(database, lambda: NOON, 30, Sleeps(most=9)).remove_old()
    assert await rollups(database) == 3 + 1


async def test_work_goes_on_after_the_database_was_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise DatabaseUnavailableError("away")

    sleeps = Sleeps(most=3)
    with monkeypatch.context() as patch:
        patch.setattr(database, "write", away)
        async with RecordUpkeep(database, lambda: NOON, 30, sleeps).running():
            await sleeps.over.wait()
    assert sleeps.done == [FIRST_AFTER_S, EVERY_S, EVERY_S]
