"""What the prompt cache has saved, by day, model, key and workspace, as the command tells it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.pricing import Price
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.service.accounts import establish
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.reports import UsageLine, UsageSummary
from antiphon.store.database.database import Database
from antiphon.store.ledger import COUNTERS
from support.examples import examples
from support.ledger import DEFAULT_WORKSPACE, KEYS, MODELS, WORKSPACES, ledgers, rewrite

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 20, tzinfo=UTC)
LENGTH = timedelta(days=3)
SPAN = (START, START + LENGTH)
# 1 dollar for a million tokens; writes for 1.25 and 2, reads for 0.1.
PRICE = Price(input=1000, cache_write_5m=1250, cache_write_1h=2000, cache_read=100, output=5000)


@pytest.fixture
async def summary(database: Database) -> UsageSummary:
    await establish(database, bytes, lambda: START)
    return UsageSummary(AdminTransactions(database, bytes, lambda: START))


async def write(database: Database, entries: Sequence[LedgerEntry]) -> None:
    async with database.write() as connection:
        await rewrite(connection, entries)


def entry(number: int, tokens: TokenCounts, price: Price = PRICE) -> LedgerEntry:
    opening = Opening(
        id=f"req_{number}", started_at=START, model="m", served_model="m", price=price
    )
    closing = Closing(tokens=tokens, outcome=Outcome.COMPLETED, ended_at=START)
    return entry_of(opening, closing)


def paid(tokens: TokenCounts) -> tuple[int, ...]:
    """Return the counters; drawn entries may have thinking without output, which is none."""
    return tuple(getattr(tokens, name) for name in COUNTERS)


async def only_line(summary: UsageSummary) -> UsageLine:
    (line,) = await summary.lines(SPAN, ["model"], {})
    return line


async def test_reads_save_and_writes_cost_by_the_recorded_prices(
    database: Database, summary: UsageSummary
) -> None:
    first = TokenCounts(input=50, cache_write_5m=2000, cache_write_1h=1000, output=9)
    later = TokenCounts(input=70, cache_read=3000, output=9)
    await write(database, [entry(1, first)])
    line = await only_line(summary)
    assert (line.saved, line.hit_rate) == (-2000 * 250 - 1000 * 1000, 0.0)
    await write(database, [entry(1, first), entry(2, later), entry(3, later)])
    line = await only_line(summary)
    assert line.saved == 2 * 3000 * 900 - 2000 * 250 - 1000 * 1000
    assert line.hit_rate == 6000 / 9190


async def test_saving_is_that_of_the_card_of_the_prompt(
    database: Database, summary: UsageSummary
) -> None:
    price = Price(
        input=1000, cache_read=100, long_above=100, long=Price(input=9000, cache_read=900)
    )
    await write(database, [entry(1, TokenCounts(input=1, cache_read=100), price)])
    assert (await only_line(summary)).saved == 100 * (9000 - 900)


async def test_requests_without_a_cache_or_a_price_save_nothing(
    database: Database, summary: UsageSummary
) -> None:
    free = entry(2, TokenCounts(input=5, cache_read=300), Price())
    await write(database, [entry(1, TokenCounts(input=700, output=5)), free])
    line = await only_line(summary)
    assert (line.requests, line.saved, line.hit_rate) == (2, 0, 300 / 1005)


async def test_prompt_that_is_read_for_nothing_saves_its_whole_price(
    database: Database, summary: UsageSummary
) -> None:
    await write(database, [entry(1, TokenCounts(cache_read=300), Price(input=7))])
    assert (await only_line(summary)).saved == 2100


async def test_entries_of_an_earlier_release_save_nothing(
    database: Database, summary: UsageSummary
) -> None:
    later = TokenCounts(cache_read=3000)
    older = replace(entry(1, later), uncached_cost=None)
    await write(database, [older, entry(2, later)])
    assert (await only_line(summary)).saved == 3000 * 900


async def test_request_that_used_nothing_has_no_hit_rate(
    database: Database, summary: UsageSummary
) -> None:
    await write(database, [entry(1, TokenCounts())])
    line = await only_line(summary)
    assert (line.requests, line.saved, line.hit_rate) == (1, 0, None)


@settings(
    max_examples=examples(0.25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    entries=ledgers(START, LENGTH),
    by=st.lists(
        st.sampled_from(["day", "model", "api_key_id", "workspace_id"]), min_size=1, unique=True
    ),
    only=st.fixed_dictionaries(
        {},
        optional={
            "model": st.sampled_from(MODELS).map(lambda one: [one]),
            "api_key_id": st.sampled_from(KEYS[1:]).map(lambda one: [one]),
            "workspace_id": st.sampled_from(WORKSPACES[1:]).map(lambda one: [one]),
        },
    ),
)
async def test_lines_are_the_sums_of_the_ledger_however_they_are_grouped(
    database: Database,
    summary: UsageSummary,
    entries: Sequence[LedgerEntry],
    by: list[str],
    only: dict[str, list[str]],
) -> None:
    await write(database, entries)
    requests: Counter[tuple[str | None, ...]] = Counter()
    saved: Counter[tuple[str | None, ...]] = Counter()
    tokens: defaultdict[tuple[str | None, ...], TokenCounts] = defaultdict(TokenCounts)
    for one in entries:
        values = {
            "day": one.started_at.date().isoformat(),
            "model": one.model,
            "api_key_id": one.api_key_id,
            "workspace_id": one.workspace_id or DEFAULT_WORKSPACE,
        }
        if any(values[name] not in chosen for name, chosen in only.items()):
            continue
        at = tuple(values[name] for name in by)
        requests[at] += 1
        tokens[at] += one.tokens
        prompt = one.costs.total - one.costs.output - one.costs.web_search
        saved[at] += one.uncached_cost - prompt
    lines = await summary.lines(SPAN, by, only)
    assert [line.dimensions for line in lines] == sorted(
        requests, key=lambda at: tuple(value or "" for value in at)
    )
    for line in lines:
        at = line.dimensions
        assert (line.requests, line.saved) == (requests[at], saved[at])
        assert paid(line.tokens) == paid(tokens[at])
