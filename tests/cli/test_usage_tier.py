"""`antiphon usage --by tier`: what batches used and cost, and what all other requests did."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.usage import Costs, TokenCounts
from antiphon.store.data_folder import database_path
from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.ledger import add_entries
from cli.conftest import Shell
from support.ledger import NOON, an_entry

SPAN = f"usage --since {NOON:%Y-%m-%d} --until {NOON + timedelta(days=2):%Y-%m-%d}"
CENT = 10**7


def entries() -> Sequence[LedgerEntry]:
    """Return three requests of a batch, and four others: of two days, of two models."""
    made = []
    for number in range(7):
        of_batch = {"service_tier": "batch", "batch_id": "msgbatch_1"} if number < 3 else {}
        model, at = f"model-{number % 2}", NOON + timedelta(days=number % 2)
        entry = an_entry(number, at, model=model, **of_batch)
        tokens = TokenCounts(input=10, output=1 + number)
        costs = Costs(input=CENT, output=number * CENT)
        made.append(replace(entry, tokens=tokens, costs=costs))
    return made


@pytest.fixture
def used(shell: Shell) -> Shell:
    async def add() -> None:
        database = await open_database(sqlite_url(database_path(shell.data_dir)))
        async with database.write() as connection:
            await add_entries(connection, entries())
        await database.aclose()

    shell("keys list")
    asyncio.run(add())
    return shell


def test_tiers_are_lines_with_their_tokens_and_money(used: Shell) -> None:
    batch, standard = used.json(f"{SPAN} --by tier")
    assert (batch["service_tier"], standard["service_tier"]) == ("batch", "standard")
    assert (batch["requests"], standard["requests"]) == (3, 4)
    assert (batch["output_tokens"], standard["output_tokens"]) == (1 + 2 + 3, 4 + 5 + 6 + 7)
    assert (batch["cost_usd"], standard["cost_usd"]) == ("0.06", "0.22")
    titles, *lines = (line.split() for line in used(f"{SPAN} --by tier").splitlines())
    assert titles[0] == "tier"
    assert [line[0] for line in lines] == ["batch", "standard", "in"]


@pytest.mark.parametrize("others", ["day", "model", "key", "workspace", "day,model"])
def test_sums_by_tier_are_those_of_every_other_view(used: Shell, others: str) -> None:
    def sums(lines: list[dict[str, Any]]) -> dict[str, Decimal]:
        counted = [name for name in lines[0] if name.endswith("_tokens")]
        names = ["requests", "cost_usd", *counted]
        return {name: sum((Decimal(line[name]) for line in lines), Decimal(0)) for name in names}

    by_tier = sums(used.json(f"{SPAN} --by tier"))
    assert by_tier == sums(used.json(f"{SPAN} --by {others}"))
    assert by_tier == sums(used.json(f"{SPAN} --by {others},tier"))


def test_engines_have_no_tiers(shell: Shell) -> None:
    assert "'tier' is none of" in shell.misunderstood("usage --engine --by tier")
