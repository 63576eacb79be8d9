"""Roll-ups are the ledger: whoever adds entries, in whatever order, and however often."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import func, select, text

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.rollups import DAY, HOUR, KEPT_FOR, MINUTE, WIDTHS, begin_of
from antiphon.core.billing.usage import Outcome
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.rollup_tables import DIMENSIONS, usage_groups, usage_rollups
from antiphon.store.ledger import add_entries
from antiphon.store.reports import ReportQuery, Sum, sums
from antiphon.store.rollups import (
    FIRST_TOKENS,
    MEASURES,
    SUMMARY,
    forget_rollups,
    rollup_floors,
    stored_width,
)
from support.batches import waits
from support.examples import examples
from support.ledger import (
    DEFAULT_WORKSPACE,
    KEYS,
    MODELS,
    NOON,
    WORKSPACES,
    an_entry,
    ledgers,
    moments,
    rewrite,
)
from support.plans import note_plans

pytestmark = pytest.mark.anyio

OpenDatabase: TypeAlias = Callable[[], Awaitable[Database]]
LENGTH = timedelta(days=3)
times = st.integers(-5, 60_000).map(lambda ms: timedelta(milliseconds=ms))
properties = settings(
    max_examples=examples(0.25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def query(start: datetime = NOON - DAY, end: datetime = NOON + DAY, **more: Any) -> ReportQuery:
    given = {"width": DAY, "default_workspace": DEFAULT_WORKSPACE, **more}
    return ReportQuery(start=start, end=end, **given)


async def both(connection: AsyncConnection, asked: ReportQuery) -> tuple[list[Sum], list[Sum]]:
    """Return all measures, from the roll-ups and from the ledger."""
    exact = replace(asked, from_ledger=True)
    return (
        await sums(connection, asked, tuple(MEASURES)),
        await sums(connection, exact, tuple(MEASURES)),
    )


async def check_whole(database: Database, start: datetime, end: datetime) -> None:
    """Check the roll-ups of each width against the ledger, by all dimensions."""
    async with database.read() as connection:
        for width in WIDTHS:
            kept, exact = await both(
                connection, query(start, end, width=width, group_by=DIMENSIONS)
            )
            assert kept == exact
            kept, exact = await both(connection, query(start, end, width=width, group_by=SUMMARY))
            assert kept == exact


@properties
@given(data=st.data(), entries=ledgers(NOON, LENGTH))
async def test_sums_of_rollups_are_those_of_the_ledger(
    database: Database, data: st.DataObject, entries: Sequence[LedgerEntry]
) -> None:
    slow = [
        replace(
            one,
            first_token_at=one.started_at
            + timedelta(milliseconds=data.draw(st.integers(-5, 60_000))),
            error_type=data.draw(st.sampled_from([None, "api_error"])),
        )
        if data.draw(st.booleans())
        else one
        for one in entries
    ]
    slow = [replace(one, money_us=data.draw(st.integers(0, 60_000_000))) for one in slow]
    asked = query(
        data.draw(moments(NOON, LENGTH)),
        data.draw(moments(NOON, LENGTH)),
        width=data.draw(st.sampled_from(WIDTHS)),
        group_by=data.draw(st.lists(st.sampled_from(DIMENSIONS), unique=True, max_size=3)),
        failed=data.draw(st.booleans()),
        filters={
            name: data.draw(st.sets(st.sampled_from([one for one in values if one]), min_size=1))
            for name, values in (
                ("api_key_id", KEYS),
                ("model", MODELS),
                ("workspace_id", WORKSPACES),
                ("outcome", tuple(Outcome)),
            )
            if data.draw(st.booleans())
        },
    )
    async with database.write() as connection:
        await rewrite(connection, slow)
        kept, exact = await both(connection, asked)
    assert kept == exact
    await check_whole(database, NOON - DAY, NOON + LENGTH + DAY)


async def test_wait_for_money_is_no_part_of_the_time_to_the_first_token(
    database: Database,
) -> None:
    waits_ms = (0, 0, 1_000, 4_000, 5_000)
    entries = [
        replace(
            an_entry(number),
            first_token_at=NOON + timedelta(milliseconds=4_003),
            money_us=wait_ms * 1000,
        )
        for number, wait_ms in enumerate(waits_ms)
    ]
    async with database.write() as connection:
        await add_entries(connection, entries)
    fastest = FIRST_TOKENS[0]
    async with database.read() as connection:
        (found,) = await sums(connection, query(), ["first_tokens", "first_token_us", fastest])
    taken = [4_003, 4_003, 3_003, 3, 0]
    assert found.values["first_tokens"] == len(taken)
    assert found.values["first_token_us"] == sum(taken) * 1000
    assert found.values[fastest] == 2
    await check_whole(database, NOON - DAY, NOON + DAY)


async def test_entry_that_comes_again_counts_once(database: Database) -> None:
    changed = replace(an_entry(1), model="another")
    for entries in ([an_entry(1)], [an_entry(2), changed, an_entry(3), changed], [an_entry(3)]):
        async with database.write() as connection:
            await add_entries(connection, entries)
    async with database.read() as connection:
        (whole,) = await sums(connection, query(), ["requests", "cost"])
        groups = await connection.scalar(select(func.count()).select_from(usage_groups))
    assert whole.values == {"requests": 3, "cost": 3 * an_entry().costs.total}
    # Its own, and that of its summary.
    assert groups == 2
    await check_whole(database, NOON - DAY, NOON + DAY)


async def test_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def add_and_fail() -> None:
        async with database.write() as connection:
            await add_entries(connection, [an_entry(1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await add_and_fail()
    async with database.read() as connection:
        assert await sums(connection, query(), ["requests"]) == []


async def test_day_is_read_from_few_rows_however_many_requests_it_has(database: Database) -> None:
    entries = [an_entry(number, NOON + number * MINUTE) for number in range(100)]
    async with database.write() as connection:
        await add_entries(connection, entries)
    async with database.read() as connection:
        rows = select(func.count()).where(usage_rollups.c.width == stored_width(DAY))
        assert await connection.scalar(rows) == 1
        (whole,) = await sums(connection, query(), ["requests"])
    assert whole.values == {"requests": 100}


async def test_old_rollups_go_in_portions_and_reports_stay_the_same(
    database: Database,
) -> None:
    ages = [timedelta(0), 2 * DAY, 3 * DAY + MINUTE, 5 * DAY, 91 * DAY, 200 * DAY]
    entries = [an_entry(number, NOON - age) for number, age in enumerate(ages)]
    span = (NOON - 300 * DAY, NOON + DAY)
    async with database.write() as connection:
        await add_entries(connection, entries)
    times = 0
    more = True
    while more:
        async with database.write() as connection:
            more = await forget_rollups(connection, NOON)
        times += 1
        await check_whole(database, *span)
    assert times == 4  # minutes of four days
    async with database.read() as connection:
        floors = await rollup_floors(connection)
        assert floors == {width: begin_of(NOON - kept, width) for width, kept in KEPT_FOR.items()}
        counts = select(usage_rollups.c.width, func.count()).group_by(usage_rollups.c.width)
        left = {row[0]: row[1] for row in (await connection.execute(counts)).all()}
    counts = {MINUTE: 2, HOUR: 4, DAY: 6}
    assert left == {
        stored_width(width, summary=summary): count
        for width, count in counts.items()
        for summary in (False, True)
    }


async def test_floor_never_falls_when_the_clock_goes_back(database: Database) -> None:
    async with database.write() as connection:
        assert not await forget_rollups(connection, NOON)
        await add_entries(connection, [an_entry(1, NOON - 9 * DAY)])
        assert not await forget_rollups(connection, NOON - 9 * DAY)
        assert (await rollup_floors(connection))[MINUTE] == NOON - 3 * DAY
    await check_whole(database, NOON - 10 * DAY, NOON)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_processes_that_add_at_once_add_up(opened: OpenDatabase, database: Database) -> None:
    """One waits for the other, never both for each other, whatever order their entries have."""
    elsewhere = await opened()
    first = [an_entry(number, NOON + number * DAY) for number in range(5)]
    others = [replace(one, id=f"{one.id}_too") for one in reversed(first)]

    async def add(to: Database, entries: Sequence[LedgerEntry]) -> None:
        async with to.write() as connection:
            await add_entries(connection, entries)

    async with database.write() as connection:
        await add_entries(connection, first)
        adding = asyncio.create_task(add(elsewhere, [*others, *first]))
        assert await waits(adding)
    await adding
    await check_whole(database, NOON - DAY, NOON + 9 * DAY)
    async with database.read() as connection:
        whole = await sums(connection, query(end=NOON + 9 * DAY), ["requests"])
    assert sum(one.values["requests"] for one in whole) == 10


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_sums_without_groups_are_read_in_the_order_of_their_moments(
    database: Database,
) -> None:
    async with database.write() as connection:
        await add_entries(connection, [an_entry(number) for number in range(3)])
        plans = note_plans(connection)
        await sums(connection, query(width=MINUTE, start=NOON, end=NOON + DAY), ["requests"])
    *_, plan = plans
    assert plan == "SEARCH usage_rollups USING PRIMARY KEY (width=? AND start>? AND start<?)"


@pytest.mark.parametrize(
    ("group_by", "filters", "read"),
    [
        ((), {}, 2),
        (("error_type", "model"), {}, 2),
        ((), {"model": ["a"]}, 1),
        (("model",), {"workspace_id": ["w1"]}, 1),
        (("api_key_id",), {}, 6),
    ],
)
async def test_sums_of_the_whole_organization_are_read_from_summaries(
    database: Database, group_by: Sequence[str], filters: dict[str, list[str]], read: int
) -> None:
    entries = [
        replace(an_entry(number), api_key_id=f"k{number}", workspace_id=f"w{number}", model=model)
        for number, model in enumerate("aaabbb")
    ]
    async with database.write() as connection:
        await add_entries(connection, entries)
        asked = query(group_by=group_by, filters=filters)
        kept, exact = await both(connection, asked)
        assert kept == exact
        # A row that counts as nine tells by the sum how many rows were read.
        await connection.execute(text("UPDATE usage_rollups SET requests = 9"))
        whole = await sums(connection, asked, ["requests"])
    assert sum(one.values["requests"] for one in whole) == 9 * read
