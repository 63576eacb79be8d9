"""Reports as the official SDK asks for them: its queries, its pages, its words for tokens.

It has no method for these two routes, so they are asked by its general one.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
from anthropic import Anthropic, BadRequestError
from anthropic.pagination import SyncReportPageCursor
from anthropic.types.beta.organization import (
    BetaAnalyticsContextWindow,
    BetaAnalyticsServiceTier,
    BetaAnalyticsTokenType,
)

from antiphon.core.billing.money import nano_dollars_of
from antiphon.core.billing.reports import WIDTHS, TokenType
from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.database.migrations import migrate
from antiphon.store.ledger import add_entries
from support.ledger import an_entry
from support.processes import KEY, Program, serving

ADMIN = "sk-antiphon-admin-key-of-the-tests"
USAGE = "/v1/organizations/usage_report/messages"
COST = "/v1/organizations/cost_report"
START = datetime(2026, 7, 1, tzinfo=UTC)
DAYS = 40

Line = dict[str, Any]


async def fill(path: Path) -> None:
    """Write the ledger of an organization with a request on every day, by one key or none."""
    database = await open_database(sqlite_url(path))
    await migrate(database)
    async with database.write() as connection:
        await add_entries(
            connection,
            [
                an_entry(day, START + timedelta(days=day, hours=3), api_key_id=key)
                for day, key in enumerate([None, "apikey_1"] * (DAYS // 2))
            ],
        )
    await database.aclose()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("reports")
    (folder / "antiphon.toml").write_text('engine = "scripted"\n', encoding="utf-8")
    asyncio.run(fill(folder / "antiphon.db"))
    environ = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_ADMIN_KEY": ADMIN}
    with serving(folder, environ=environ) as program:
        yield program


@pytest.fixture
def admin(server: Program) -> Iterator[Anthropic]:
    with Anthropic(base_url=server.url, api_key=ADMIN, max_retries=0) as client:
        yield client


def buckets(admin: Anthropic, path: str, **params: Any) -> list[dict[str, Any]]:
    """Return the buckets of all pages, as the SDK walks them."""
    options: Any = {"params": {"starting_at": START, **params}}
    cursor: Any = SyncReportPageCursor[object]
    return list(admin.get_api_list(path, model=object, page=cursor, options=options))


def lines(found: list[dict[str, Any]]) -> list[Line]:
    return [line for bucket in found for line in bucket["results"]]


def test_sdk_walks_all_pages_of_usage(admin: Anthropic) -> None:
    end = (START + timedelta(days=DAYS)).astimezone(timezone(timedelta(hours=5, minutes=30)))
    found = buckets(admin, USAGE, ending_at=end, bucket_width="1d")
    assert len(found) == DAYS
    assert [line["output_tokens"] for line in lines(found)] == [7] * DAYS
    keyed = buckets(
        admin, USAGE, ending_at=end, limit=31, group_by=["api_key_id"], api_key_ids=["apikey_1"]
    )
    assert [line["api_key_id"] for line in lines(keyed)] == ["apikey_1"] * (DAYS // 2)


def test_sdk_walks_all_pages_of_a_bill(admin: Anthropic) -> None:
    end = START + timedelta(days=DAYS)
    whole = lines(buckets(admin, COST, ending_at=end))
    told = lines(buckets(admin, COST, ending_at=end, group_by=["description", "workspace_id"]))
    sums = [sum(nano_dollars_of(line["amount"]) for line in every) for every in (whole, told)]
    assert sums == [DAYS * an_entry().costs.total] * 2
    assert {line["token_type"] for line in told} == set(get_args(BetaAnalyticsTokenType))


@pytest.mark.parametrize("width", WIDTHS)
def test_sdk_may_ask_for_as_many_buckets_as_are_allowed(admin: Anthropic, width: str) -> None:
    most = WIDTHS[width].most
    end = START + most * WIDTHS[width].span
    assert len(buckets(admin, USAGE, ending_at=end, bucket_width=width, limit=most)) == most
    with pytest.raises(BadRequestError, match=f"limit: Input should be less than .* {most}"):
        buckets(admin, USAGE, ending_at=end, bucket_width=width, limit=most + 1)


def test_every_tier_and_window_that_the_sdk_knows_may_be_asked_for(admin: Anthropic) -> None:
    chosen = {
        "service_tiers": list(get_args(BetaAnalyticsServiceTier)),
        "context_window": list(get_args(BetaAnalyticsContextWindow)),
        "speeds": ["fast", "standard"],
        "group_by": ["speed", "service_tier", "context_window"],
    }
    (line,) = lines(buckets(admin, USAGE, ending_at=START + timedelta(days=1), **chosen))
    assert (line["speed"], line["service_tier"]) == ("standard", "standard")


def test_token_types_have_the_names_of_the_sdk() -> None:
    assert set(get_args(TokenType)) == set(get_args(BetaAnalyticsTokenType))
