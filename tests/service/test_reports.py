import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from antiphon.core.billing.ledger import LedgerEntry, recorded_name
from antiphon.core.billing.money import nano_dollars_of
from antiphon.core.billing.reports import WIDTHS, BucketWidth, Span, buckets, wire_time
from antiphon.core.pagination import TokenCursor
from antiphon.service.accounts import Accounts, establish
from antiphon.service.activity import Activity
from antiphon.service.desks import MOST_AT_ONCE, Desks
from antiphon.service.reports import Reports
from antiphon.service.requests import Requests
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.wire.admin.reports import CostResult, ReportBucket, UsageResult
from support.examples import examples
from support.ledger import DEFAULT_WORKSPACE, KEYS, MODELS, WORKSPACES, an_entry, ledgers, rewrite

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 20, tzinfo=UTC)
LENGTH = timedelta(days=3)
NOW = START + LENGTH - timedelta(microseconds=1)
DIMENSIONS = (
    "account_id",
    "api_key_id",
    "context_window",
    "inference_geo",
    "model",
    "service_account_id",
    "service_tier",
    "workspace_id",
)
COUNTERS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
NOTHING = (0,) * (len(COUNTERS) + 1)
TOKEN_TYPES = {
    "uncached_input_tokens": "input",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
    "cache_read_input_tokens": "cache_read",
    "output_tokens": "output",
}

properties = settings(
    max_examples=examples(0.25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def reports(database: Database) -> Reports:
    await establish(database, bytes, lambda: START)
    return Reports(Desks(database), Accounts(database, await database.watch()))


async def write(database: Database, entries: Sequence[LedgerEntry]) -> None:
    async with database.write() as connection:
        await rewrite(connection, entries)


async def usage(
    reports: Reports, width: str, group_by: Sequence[str] = (), **filters: Sequence[str]
) -> list[tuple[str, UsageResult]]:
    """Return every line of every page."""
    lines, page, begins = [], None, []
    while True:
        asked = Span(starting_at=wire_time(START), limit=str(WIDTHS[width].most), page=page)
        report = await reports.usage(buckets(width, asked, NOW), group_by, filters)
        assert report.has_more == (report.next_page is not None)
        begins += [bucket.starting_at for bucket in report.data]
        lines += [(bucket.starting_at, line) for bucket in report.data for line in bucket.results]
        page = report.next_page
        if page is None:
            assert len(begins) == LENGTH // WIDTHS[width].span
            assert begins == sorted(set(begins))
            return lines


async def costs(reports: Reports, group_by: Sequence[str] = ()) -> list[tuple[str, CostResult]]:
    report = await reports.costs(buckets("1d", Span(starting_at=wire_time(START)), NOW), group_by)
    assert len(report.data) == 3
    return [(bucket.starting_at, line) for bucket in report.data for line in bucket.results]


def shown(entry: LedgerEntry, name: str) -> Any:
    """What a report says of an entry; nothing where it is the default workspace's."""
    value = getattr(entry, name)
    return None if value == DEFAULT_WORKSPACE else value


def counted(line: UsageResult) -> tuple[int, ...]:
    return (
        line.uncached_input_tokens,
        line.cache_read_input_tokens,
        line.cache_creation.ephemeral_5m_input_tokens,
        line.cache_creation.ephemeral_1h_input_tokens,
        line.output_tokens,
        line.server_tool_use.web_search_requests,
    )


def used(entry: LedgerEntry) -> tuple[int, ...]:
    return (*(getattr(entry.tokens, name) for name in COUNTERS), entry.web_searches)


def plus(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def together(lines: Sequence[UsageResult]) -> tuple[int, ...]:
    return reduce(plus, map(counted, lines), NOTHING)


def bucket_of(entry: LedgerEntry, width: str) -> str:
    span = WIDTHS[width].span
    return wire_time(START + (entry.started_at - START) // span * span)


@properties
@given(
    entries=ledgers(START, LENGTH),
    width=st.sampled_from(list(WIDTHS)),
    group_by=st.sets(st.sampled_from(DIMENSIONS)).map(sorted),
)
async def test_usage_report_is_the_sum_of_the_ledger_in_every_bucket_and_group(
    database: Database,
    reports: Reports,
    entries: Sequence[LedgerEntry],
    width: str,
    group_by: Sequence[str],
) -> None:
    await write(database, entries)
    expected: defaultdict[Any, tuple[int, ...]] = defaultdict(lambda: NOTHING)
    for entry in entries:
        if any(used(entry)):
            key = (bucket_of(entry, width), *(shown(entry, name) for name in group_by))
            expected[key] = plus(expected[key], used(entry))
    lines = await usage(reports, width, group_by)
    found = {
        (start, *(getattr(line, name) for name in group_by)): counted(line) for start, line in lines
    }
    assert len(found) == len(lines)
    assert found == expected
    for _, line in lines:
        assert {getattr(line, name) for name in set(DIMENSIONS) - set(group_by)} <= {None}


@pytest.mark.sql_elsewhere
@properties
@given(
    entries=ledgers(START, LENGTH),
    filters=st.fixed_dictionaries(
        {
            "workspace_id": st.sets(st.sampled_from(WORKSPACES[1:])),
            "model": st.sets(st.sampled_from([*MODELS, "another"])),
            "api_key_id": st.sets(st.sampled_from(KEYS[1:])),
            "service_tier": st.sets(st.sampled_from(["standard", "batch", "priority"])),
        }
    ),
)
async def test_filters_let_through_lines_that_fit_all_of_them(
    database: Database,
    reports: Reports,
    entries: Sequence[LedgerEntry],
    filters: dict[str, set[str]],
) -> None:
    await write(database, entries)
    lines = await usage(reports, "1d", **filters)
    total = NOTHING
    for entry in entries:
        named = replace(entry, workspace_id=entry.workspace_id or DEFAULT_WORKSPACE)
        if all(not ids or getattr(named, name) in ids for name, ids in filters.items()):
            total = plus(total, used(entry))
    summed = NOTHING
    for _, line in lines:
        summed = plus(summed, counted(line))
    assert summed == total


@dataclass(frozen=True)
class Query:
    """A query: its buckets are `first` to before `last`, counted from the start."""

    width: BucketWidth
    limit: int
    first: int
    last: int
    group_by: Sequence[str]
    filters: dict[str, Sequence[str]]

    def span(self, page: str | None, limit: int) -> Span:
        start, end = (START + place * WIDTHS[self.width].span for place in (self.first, self.last))
        return Span(
            starting_at=wire_time(start), ending_at=wire_time(end), limit=str(limit), page=page
        )

    def spans(self, entry: LedgerEntry) -> bool:
        return self.first <= (entry.started_at - START) // WIDTHS[self.width].span < self.last

    def lets_through(self, entry: LedgerEntry) -> bool:
        named = replace(entry, workspace_id=entry.workspace_id or DEFAULT_WORKSPACE)
        return all(
            not ids or getattr(named, name, "standard") in ids for name, ids in self.filters.items()
        )


@st.composite
def queries(draw: st.DrawFn, *widths: BucketWidth) -> Query:
    """Any query that has at most four pages."""
    width = draw(st.sampled_from(widths))
    there = LENGTH // WIDTHS[width].span
    limit = draw(st.integers(1, WIDTHS[width].most))
    first = draw(st.integers(0, there - 1))
    last = draw(st.integers(first + 1, min(there, first + 4 * limit)))
    values = {
        "workspace_id": WORKSPACES[1:],
        "model": MODELS,
        "api_key_id": KEYS[1:],
        "account_id": ("user_1", "user_2"),
        "service_account_id": ("svac_1",),
        "service_tier": ("standard", "batch", "priority"),
        "context_window": ("0-200k", "200k-1M"),
        "inference_geo": ("not_available", "us"),
        "speed": ("standard",),
    }
    group_by = draw(st.lists(st.sampled_from(list(values)), unique=True))
    filtered = draw(st.lists(st.sampled_from(list(values)), unique=True, max_size=3))
    filters = {name: draw(st.lists(st.sampled_from(values[name]), max_size=3)) for name in filtered}
    return Query(width, limit, first, last, group_by, filters)


@properties
@given(entries=ledgers(START, LENGTH), asked=queries("1m", "1h", "1d"))
async def test_pages_and_groups_divide_the_usage_and_lose_nothing_of_it(
    database: Database, reports: Reports, entries: Sequence[LedgerEntry], asked: Query
) -> None:
    await write(database, entries)

    async def answered(limit: int, group_by: Sequence[str]) -> list[ReportBucket[UsageResult]]:
        found: list[ReportBucket[UsageResult]] = []
        page = None
        while page is not None or not found:
            span = asked.span(page, limit)
            asked_buckets = buckets(asked.width, span, NOW)
            report = await reports.usage(asked_buckets, group_by, asked.filters)
            assert len(report.data) <= limit
            found += report.data
            page = report.next_page
        return found

    pages = await answered(asked.limit, asked.group_by)
    assert len(pages) == asked.last - asked.first
    assert pages == await answered(WIDTHS[asked.width].most, asked.group_by)
    whole = await answered(asked.limit, ())
    for grouped, total in zip(pages, whole, strict=True):
        assert grouped.starting_at == total.starting_at
        assert together(grouped.results) == together(total.results)
    expected = (
        used(entry) for entry in entries if asked.spans(entry) and asked.lets_through(entry)
    )
    in_all = together([line for bucket in whole for line in bucket.results])
    assert in_all == reduce(plus, expected, NOTHING)


@pytest.mark.sql_elsewhere
@properties
@given(
    entries=ledgers(START, LENGTH),
    asked=queries("1d"),
    group_by=st.sets(st.sampled_from(["workspace_id", "description"])).map(sorted),
)
async def test_pages_of_a_bill_add_up_to_its_days(
    database: Database,
    reports: Reports,
    entries: Sequence[LedgerEntry],
    asked: Query,
    group_by: Sequence[str],
) -> None:
    await write(database, entries)
    lines: list[CostResult] = []
    page, days = None, 0
    while page is not None or not days:
        report = await reports.costs(buckets("1d", asked.span(page, 1), NOW), group_by)
        (day,) = report.data
        lines += day.results
        page, days = report.next_page, days + 1
    assert days == asked.last - asked.first
    due = [entry.costs for entry in entries if asked.spans(entry)]
    assert sum(nano_dollars_of(line.amount) for line in lines) == sum(one.total for one in due)
    if "description" in group_by:
        for name, costs in TOKEN_TYPES.items():
            told = [line.amount for line in lines if line.token_type == name]
            assert sum(map(nano_dollars_of, told)) == sum(getattr(one, costs) for one in due)
        searched = [line.amount for line in lines if line.cost_type == "web_search"]
        assert sum(map(nano_dollars_of, searched)) == sum(one.web_search for one in due)


@properties
@given(
    entries=ledgers(START, LENGTH),
    group_by=st.sets(st.sampled_from(["workspace_id", "description"])).map(sorted),
)
async def test_cost_report_is_the_ledger_to_the_nano_dollar_however_it_is_grouped(
    database: Database,
    reports: Reports,
    entries: Sequence[LedgerEntry],
    group_by: Sequence[str],
) -> None:
    await write(database, entries)
    lines = await costs(reports, group_by)
    expected: defaultdict[Any, int] = defaultdict(int)
    for entry in entries:
        expected[bucket_of(entry, "1d")] += entry.costs.total
    found: defaultdict[Any, Decimal] = defaultdict(Decimal)
    for start, line in lines:
        found[start] += Decimal(line.amount) * 10**7
    assert {key: value for key, value in expected.items() if value} == found
    assert len({(start, line.workspace_id, line.description) for start, line in lines}) == len(
        lines
    )
    for _, line in lines:
        assert (line.description is not None) == ("description" in group_by)
        of_tokens = line.cost_type == "tokens"
        assert (line.token_type is not None) == (line.model is not None) == of_tokens
        assert line.workspace_id in {None, "wrkspc_a", "wrkspc_b"}


@pytest.mark.sql_elsewhere
async def test_filter_finds_names_as_the_ledger_stores_them(
    database: Database, reports: Reports
) -> None:
    odd = "claude-" + "x" * 300 + "\0"
    await write(database, [an_entry(1, START, model=recorded_name(odd))])
    assert len(await usage(reports, "1d", model=[odd])) == 1
    assert await usage(reports, "1d", model=["claude-\0"], api_key_id=["\0", "\ud800"]) == []
    assert await usage(reports, "1d", model=[f"model-{number}" for number in range(5_000)]) == []


@pytest.mark.sql_elsewhere
async def test_bill_has_a_line_for_the_cost_of_each_counter(
    database: Database, reports: Reports
) -> None:
    await write(database, [an_entry(1, START), an_entry(2, START)])
    lines = [line for _, line in await costs(reports, ["description", "workspace_id"])]
    assert [(line.description, line.token_type, line.amount) for line in lines] == [
        ("Claude Opus 5.5 Usage - Input Tokens", "uncached_input_tokens", "0.008"),
        (
            "Claude Opus 5.5 Usage - Input Tokens, Cache Write 5m",
            "cache_creation.ephemeral_5m_input_tokens",
            "0.003",
        ),
        (
            "Claude Opus 5.5 Usage - Input Tokens, Cache Write 1h",
            "cache_creation.ephemeral_1h_input_tokens",
            "0.0032",
        ),
        ("Claude Opus 5.5 Usage - Input Tokens, Cache Read", "cache_read_input_tokens", "0.004"),
        ("Claude Opus 5.5 Usage - Output Tokens", "output_tokens", "0.028"),
    ]
    assert {(line.model, line.cost_type, line.currency) for line in lines} == {
        ("claude-opus-5-5", "tokens", "USD")
    }


@pytest.mark.sql_elsewhere
async def test_free_request_is_in_no_cost_report(database: Database, reports: Reports) -> None:
    free = an_entry(1, START, model="small")
    await write(database, [free])
    assert await costs(reports, ["description"]) == []
    assert len(await usage(reports, "1h", ["model"])) == 1


@pytest.mark.sql_elsewhere
async def test_speed_is_reported_only_in_a_group_by_speed(
    database: Database, reports: Reports
) -> None:
    await write(database, [an_entry(1, START)])
    ((_, line),) = await usage(reports, "1d")
    assert line.speed is UNSET
    ((_, line),) = await usage(reports, "1d", ["speed"], speed=["fast", "standard"])
    assert line.speed == "standard"
    assert await usage(reports, "1d", ["speed"], speed=["fast"]) == []


class CountedDatabase(Database):
    """A database of another, which knows how many have read in it at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.reading = self.most = 0

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            async with self._database.read() as connection:
                yield connection
        finally:
            self.reading -= 1


async def test_many_reports_at_once_leave_connections_to_other_readers(database: Database) -> None:
    await establish(database, bytes, lambda: START)
    await write(database, [an_entry(1, START)])
    counted = CountedDatabase(database)
    accounts = Accounts(database, await database.watch())
    desks = Desks(counted)
    reports = Reports(desks, accounts)
    activity, requests = Activity(desks, accounts), Requests(desks, ())
    asked = buckets("1h", Span(starting_at=wire_time(START)), NOW)
    usages = [reports.usage(asked, ["model"], {}) for _ in range(8)]
    bills = [reports.costs(asked, ["workspace_id"]) for _ in range(8)]
    happenings = [activity.report(asked, ["model"], {}) for _ in range(8)]
    lists = [requests.page(TokenCursor(1), filters={}) for _ in range(8)]
    found = await asyncio.gather(*usages, *bills, *happenings, *lists)
    assert [len(one.data[0].results) for one in found[:24]] == [1] * 24
    assert counted.most == MOST_AT_ONCE


async def test_cancelled_report_leaves_room_for_the_next(
    database: Database, reports: Reports
) -> None:
    await write(database, [an_entry(1, START)])
    asked = buckets("1d", Span(starting_at=wire_time(START)), NOW)
    for turns in range(12):
        task = asyncio.create_task(reports.usage(asked, (), {}))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert len((await reports.usage(asked, (), {})).data[0].results) == 1
