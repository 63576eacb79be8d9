import asyncio
from datetime import timedelta

import pytest

from antiphon.core.idle_use import IdleUse, counted_delays
from antiphon.store.database.database import Database
from antiphon.store.idle_use import LaneHour, add_idle_uses, forget_idle_use, idle_uses
from support.ledger import NOON

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
USE = IdleUse(
    total_s=60.0,
    busy_s=12.5,
    interactive_s=3.25,
    interactive=7,
    yielded=3,
    parked=2,
    delay_s=0.0625,
    longest_delay_s=0.05,
    delays=counted_delays([0.0125, 0.05]),
)


async def add(database: Database, *hours: tuple[LaneHour, IdleUse]) -> None:
    async with database.write() as connection:
        await add_idle_uses(connection, dict(hours))


async def stored(database: Database) -> dict[LaneHour, IdleUse]:
    async with database.read() as connection:
        return await idle_uses(connection, NOON - 999 * HOUR, NOON + 999 * HOUR)


async def test_use_is_stored_as_it_is_for_each_hour_and_lane(database: Database) -> None:
    here, there = LaneHour(NOON, ""), LaneHour(NOON, "claude-x")
    later = LaneHour(NOON + HOUR, "")
    await add(database, (later, USE), (there, IdleUse(total_s=9.0)), (here, USE))
    found = await stored(database)
    assert found == {here: USE, there: IdleUse(total_s=9.0), later: USE}
    assert list(found) == [here, there, later]


async def test_uses_of_one_hour_add_up_and_keep_the_longest_delay(database: Database) -> None:
    at = LaneHour(NOON, "")
    longer = IdleUse(delay_s=2.0, longest_delay_s=2.0, delays=counted_delays([2.0]))
    for use in (USE, longer, USE):
        await add(database, (at, use))
    assert await stored(database) == {at: USE + longer + USE}


async def test_processes_that_write_at_once_lose_nothing(database: Database) -> None:
    hours = [LaneHour(NOON, lane) for lane in ("", "a", "b")]
    uses = [(at, USE) for at in hours]
    await asyncio.gather(
        *(add(database, *(uses if number % 2 else reversed(uses))) for number in range(10))
    )
    found = await stored(database)
    assert {at: (use.interactive, use.delayed) for at, use in found.items()} == dict.fromkeys(
        hours, (70, 20)
    )


async def test_only_the_hours_of_the_span_are_read(database: Database) -> None:
    hours = [LaneHour(NOON + number * HOUR, "") for number in range(4)]
    await add(database, *((at, USE) for at in hours))
    async with database.read() as connection:
        found = await idle_uses(connection, NOON + HOUR, NOON + 3 * HOUR)
    assert list(found) == hours[1:3]


async def test_hours_before_a_moment_are_forgotten(database: Database) -> None:
    hours = [LaneHour(NOON + number * HOUR, "") for number in range(3)]
    await add(database, *((at, USE) for at in hours))
    async with database.write() as connection:
        await forget_idle_use(connection, NOON + HOUR)
    assert list(await stored(database)) == hours[1:]
