"""The record of what batches used: what is written when, and what a report adds up."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import pytest

from antiphon.core.idle_use import IdleUse
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.batches.idle_use import (
    EVERY_S,
    KEPT_FOR,
    IdleUseRecord,
    IdleUseSummary,
)
from antiphon.service.batches.upkeep import BatchUpkeep
from antiphon.store.database.database import Database
from antiphon.store.idle_use import LaneHour, add_idle_uses, idle_uses
from support.away import AwayFor
from support.ledger import NOON
from support.logs import capture_logs

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
IDLE = IdleUse(total_s=60.0)
WORK = IdleUse(total_s=60.0, busy_s=20.0, interactive=2)


class Lanes:
    """What is taken next, and the time."""

    def __init__(self) -> None:
        self.now = NOON
        self.used: dict[str, IdleUse] = {}

    def take(self) -> dict[str, IdleUse]:
        used, self.used = self.used, {}
        return used

    def record(self, database: Database) -> IdleUseRecord:
        return IdleUseRecord(self.take, database, lambda: self.now)


async def stored(database: Database) -> dict[LaneHour, IdleUse]:
    async with database.read() as connection:
        return await idle_uses(connection, NOON - 9 * HOUR, NOON + 9 * HOUR)


async def test_minutes_of_an_idle_server_are_written_with_the_next_work_of_the_hour(
    database: Database,
) -> None:
    lanes = Lanes()
    record = lanes.record(database)
    for use in (IDLE, IDLE):
        lanes.used = {"": use}
        await record.write()
        lanes.now += MINUTE
        assert await stored(database) == {}
    lanes.used = {"": WORK}
    await record.write()
    assert await stored(database) == {LaneHour(NOON, ""): IDLE + IDLE + WORK}
    await record.write()
    assert await stored(database) == {LaneHour(NOON, ""): IDLE + IDLE + WORK}


async def test_hour_without_work_is_written_when_it_is_over(database: Database) -> None:
    lanes = Lanes()
    record = lanes.record(database)
    lanes.used, lanes.now = {"": IDLE, "m": IDLE}, NOON + 59 * MINUTE
    await record.write()
    lanes.used, lanes.now = {"": IDLE}, NOON + HOUR
    await record.write()
    assert await stored(database) == {
        LaneHour(NOON, ""): IDLE,
        LaneHour(NOON, "m"): IDLE,
        LaneHour(NOON + HOUR, ""): IDLE,
    }


async def test_end_of_the_block_writes_what_is_left(database: Database) -> None:
    lanes = Lanes()
    async with lanes.record(database).writing():
        lanes.used = {"": WORK}
    assert await stored(database) == {LaneHour(NOON, ""): WORK}


async def test_cancelled_block_writes_what_is_left_as_well(database: Database) -> None:
    lanes = Lanes()
    with anyio.CancelScope() as scope:
        async with lanes.record(database).writing():
            lanes.used = {"": WORK}
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert await stored(database) == {LaneHour(NOON, ""): WORK}


async def test_use_is_written_each_minute_and_not_only_at_the_end(database: Database) -> None:
    lanes = Lanes()
    pauses: list[float] = []
    minutes = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > 2:
            minutes.set()
            await asyncio.Event().wait()
        lanes.used = {"": WORK}

    async with IdleUseRecord(lanes.take, database, lambda: NOON, sleep).writing():
        async with asyncio.timeout(20):
            await minutes.wait()
        assert await stored(database) == {LaneHour(NOON, ""): WORK + WORK}
    assert pauses == [EVERY_S] * 3
    assert await stored(database) == {LaneHour(NOON, ""): WORK + WORK}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_use_is_kept_while_the_database_is_away(
    database: Database, sqlite_path: Path
) -> None:
    lanes = Lanes()
    away = AwayFor(sqlite_path)

    async def sleep(seconds: float) -> None:
        lanes.used = {"": WORK}
        await away.sleep(seconds)

    with capture_logs() as logs:
        async with IdleUseRecord(lanes.take, database, lambda: NOON, sleep).writing():
            await asyncio.wait_for(away.over.wait(), 20)
            lanes.used = {}
    assert [line["event"] for line in logs] == ["batches.idle_use_not_written"]
    assert away.pauses == [EVERY_S] * 3
    assert await stored(database) == {LaneHour(NOON, ""): WORK + WORK}


async def test_hours_are_kept_for_90_days(database: Database) -> None:
    old, kept = LaneHour(NOON - KEPT_FOR - HOUR, ""), LaneHour(NOON - KEPT_FOR, "")
    async with database.write() as connection:
        await add_idle_uses(connection, {old: WORK, kept: WORK})
    await BatchUpkeep(database, lambda: NOON).once()
    async with database.read() as connection:
        assert list(await idle_uses(connection, NOON - 2 * KEPT_FOR, NOON)) == [kept]


@pytest.mark.parametrize(
    ("by", "lines"),
    [
        (("day",), {("2026-11-28",): 2, ("2026-11-29",): 7}),
        (("model",), {("",): 5, ("m",): 4}),
        (("model", "day"), {("", "2026-11-28"): 2, ("", "2026-11-29"): 3, ("m", "2026-11-29"): 4}),
    ],
)
async def test_report_adds_up_whole_hours(
    database: Database, by: tuple[str, ...], lines: dict[tuple[str, ...], int]
) -> None:
    start = datetime.fromisoformat("2026-11-28T23:00:00Z")
    uses = {
        LaneHour(start - HOUR, ""): 1,
        LaneHour(start, ""): 2,
        LaneHour(start + HOUR, ""): 3,
        LaneHour(start + HOUR, "m"): 4,
        LaneHour(start + 2 * HOUR, "m"): 5,
    }
    async with database.write() as connection:
        await add_idle_uses(connection, {at: IdleUse(interactive=n) for at, n in uses.items()})
    summary = IdleUseSummary(AdminTransactions(database, bytes, lambda: NOON))
    span = (start + 30 * MINUTE, start + 2 * HOUR)
    found = await summary.lines(span, by)  # type: ignore[arg-type]
    assert {group: use.interactive for group, use in found.items()} == lines
    assert list(found) == sorted(found)
