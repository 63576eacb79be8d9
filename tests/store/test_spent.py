from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.migrations import migrate
from antiphon.store.database.tables import DAY
from antiphon.store.ledger import add_entries, spent_by_day
from support.examples import examples
from support.ledger import an_entry, ledgers, rewrite

pytestmark = pytest.mark.anyio

JUNE_27 = date(2026, 6, 27)


@settings(
    max_examples=examples(0.25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    entries=ledgers(datetime(2026, 6, 27, tzinfo=UTC), timedelta(days=6)),
    since=st.integers(0, 7).map(lambda days: JUNE_27 + timedelta(days=days)),
)
async def test_spending_of_a_day_is_the_sum_of_its_entries(
    database: Database, entries: Sequence[LedgerEntry], since: date
) -> None:
    async with database.write() as connection:
        await rewrite(connection, entries)
        spent = await spent_by_day(connection, since)
    wanted: Counter[tuple[date, str | None, str | None]] = Counter()
    for entry in entries:
        if (day := entry.started_at.date()) >= since:
            wanted[day, entry.workspace_id, entry.api_key_id] += entry.costs.total
    assert {(one.day, one.workspace_id, one.api_key_id): one.amount for one in spent} == wanted


async def test_last_microsecond_of_a_day_belongs_to_it(database: Database) -> None:
    midnight = datetime(2026, 7, 1, tzinfo=UTC)
    async with database.write() as connection:
        await add_entries(
            connection,
            [an_entry(1, midnight - timedelta(microseconds=1)), an_entry(2, midnight)],
        )
        assert [one.day for one in await spent_by_day(connection, date(2026, 7, 1))] == [
            date(2026, 7, 1)
        ]
        both = await spent_by_day(connection, date(2026, 6, 30))
    assert sorted(one.day for one in both) == [date(2026, 6, 30), date(2026, 7, 1)]


async def test_sqlite_sorts_nothing_to_add_up_the_days(sqlite_path: Path) -> None:
    async with aclosing(await open_database(sqlite_url(sqlite_path))) as database:
        await migrate(database)
        async with database.read() as connection:
            plan = await connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN SELECT {DAY}, workspace_id, api_key_id, sum(cost) "  # noqa: S608 - a constant
                f"FROM ledger WHERE {DAY} >= 20000 GROUP BY {DAY}, workspace_id, api_key_id"
            )
            found = str(plan.all())
    assert "USING INDEX ix_ledger_days" in found
    assert "TEMP B-TREE" not in found
