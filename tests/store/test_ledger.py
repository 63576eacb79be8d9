from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.usage import Costs, Outcome, TokenCounts
from antiphon.store.database.database import Database
from antiphon.store.database.tables import ledger
from antiphon.store.ledger import add_entries
from support.ledger import NOON, an_entry, find_entry

pytestmark = pytest.mark.anyio

WHOLE = LedgerEntry(
    id="req_whole",
    started_at=NOON,
    first_token_at=NOON + timedelta(microseconds=1),
    ended_at=NOON + timedelta(seconds=1),
    api_key_id="apikey_1",
    workspace_id="wrkspc_a",
    account_id="user_1",
    service_account_id="svac_1",
    batch_id="msgbatch_1",
    model="claude-opus-5-5",
    served_model="small",
    service_tier="batch",
    context_window="200k-1M",
    inference_geo="us",
    outcome=Outcome.FAILED,
    stop_reason="end_turn",
    error_type="overloaded_error",
    tokens=TokenCounts(
        input=1, cache_write_5m=2, cache_write_1h=3, cache_read=4, output=5, thinking=6
    ),
    costs=Costs(
        input=7, cache_write_5m=8, cache_write_1h=9, cache_read=10, output=11, web_search=13
    ),
    uncached_cost=70,
    money_us=12,
    web_searches=14,
)


async def add(database: Database, *entries: LedgerEntry) -> None:
    async with database.write() as connection:
        await add_entries(connection, entries)


async def count(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(ledger))


@pytest.mark.parametrize("entry", [WHOLE, an_entry()], ids=["whole", "sparse"])
async def test_entry_reads_back_as_it_was_added(database: Database, entry: LedgerEntry) -> None:
    await add(database, entry)
    async with database.read() as connection:
        assert await find_entry(connection, entry.id) == entry
        assert await find_entry(connection, "req_other") is None


async def test_total_is_the_sum_of_the_costs(database: Database) -> None:
    await add(database, WHOLE)
    async with database.read() as connection:
        assert await connection.scalar(select(ledger.c.cost)) == 58


async def test_existing_entry_stays_and_new_ones_are_added(
    database: Database,
) -> None:
    await add(database, an_entry(1))
    changed = replace(an_entry(1), model="another", tokens=TokenCounts())
    await add(database, an_entry(2), changed, an_entry(3), changed)
    assert await count(database) == 3
    async with database.read() as connection:
        assert await find_entry(connection, "req_1") == an_entry(1)


async def test_adding_no_entries_changes_nothing(database: Database) -> None:
    await add(database)
    assert await count(database) == 0


async def test_no_column_can_hold_a_prompt_or_a_key() -> None:
    assert not {"prompt", "content", "text", "secret", "digest"} & set(ledger.columns.keys())
