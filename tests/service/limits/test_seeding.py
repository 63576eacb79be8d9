from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.limits.spend import accounts_of
from antiphon.core.limits.values import Account
from antiphon.service.accounts import establish
from antiphon.service.limits.seeding import SpentTotals
from antiphon.store.database.database import Database
from antiphon.store.directory import read_directory
from support.examples import examples
from support.ledger import DEFAULT_WORKSPACE, an_entry, ledgers, rewrite

pytestmark = pytest.mark.anyio

# From a Saturday to a Friday, with the end of a month between.
START = datetime(2026, 6, 27, tzinfo=UTC)


@pytest.fixture
async def founded(database: Database) -> Database:
    await establish(database, bytes, lambda: START)
    return database


async def write(database: Database, entries: Sequence[LedgerEntry]) -> None:
    async with database.write() as connection:
        await rewrite(connection, entries)


async def charged(database: Database, entry: LedgerEntry) -> tuple[Account, ...]:
    """Return the accounts that running counters charge an entry to."""
    async with database.read() as connection:
        organization = (await read_directory(connection)).organization.id
    scopes = [
        ("organization", organization),
        ("workspace", entry.workspace_id or DEFAULT_WORKSPACE),
    ]
    if entry.api_key_id is not None:
        scopes.append(("key", entry.api_key_id))
    return accounts_of(scopes, entry.started_at)


@settings(
    max_examples=examples(0.25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    entries=ledgers(START, timedelta(days=6)),
    # The clock of the new start: before some of the entries, and after others.
    now=st.integers(0, 8 * 24 - 1).map(lambda hours: START + timedelta(hours=hours)),
)
async def test_totals_equal_the_running_counters_wherever_the_clock_was_set(
    founded: Database, entries: Sequence[LedgerEntry], now: datetime
) -> None:
    await write(founded, entries)
    running: Counter[Account] = Counter()
    for entry in entries:
        for account in await charged(founded, entry):
            running[account] += entry.costs.total
    began = {one.period: one.start for one in accounts_of([("", "")], now)}
    of_old = {one for one in running if one.start < began[one.period]}
    seed = await SpentTotals(founded, lambda: now, with_settled=False)()
    assert seed.spent == {
        one: amount for one, amount in running.items() if amount and one not in of_old
    }


async def test_only_shared_counters_read_the_ids_of_the_last_hour(
    founded: Database,
) -> None:
    entry = an_entry(1, START)
    await write(founded, [entry, an_entry(2, START - timedelta(days=2))])

    def soon_after() -> datetime:
        return entry.ended_at + timedelta(minutes=1)

    assert (await SpentTotals(founded, soon_after, with_settled=True)()).settled == (entry.id,)
    assert (await SpentTotals(founded, soon_after, with_settled=False)()).settled == ()
