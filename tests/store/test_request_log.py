import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import func, select, text

from antiphon.core.billing.pricing import Price
from antiphon.core.billing.rollups import DAY, HOUR, MINUTE
from antiphon.core.billing.usage import TokenCounts
from antiphon.core.limits.refusals import RefusedBy
from antiphon.core.request_records import BreakpointUse, CacheUse, RequestFacts, RequestRecord
from antiphon.store import request_log
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.log_tables import refusal_rollups
from antiphon.store.request_log import (
    PORTION,
    Refusal,
    RequestQuery,
    Within,
    add_refusals,
    add_requests,
    find_request,
    forget_refusals,
    forget_requests,
    list_requests,
)
from antiphon.store.rollups import forget_rollups, stored_width
from antiphon.wire.admin.limits import BucketInfo
from support.examples import examples
from support.ledger import NOON
from support.plans import note_plans

pytestmark = pytest.mark.anyio


def a_record(number: int = 1, **fields: Any) -> RequestRecord:
    given: dict[str, Any] = {
        "id": f"req_{number}",
        "ended_at": NOON + timedelta(seconds=number),
        "route": "/v1/messages",
        "status": 200,
        "api_key_id": "apikey_1",
        "model": "claude-opus-5-5",
        "duration_us": 1_500_000,
        **fields,
    }
    return RequestRecord(**given)


WHOLE = a_record(
    status=429,
    error_type="rate_limit_error",
    workspace_id="wrkspc_a",
    served_model="small",
    streamed=True,
    batch_id="msgbatch_1",
    queue_us=1,
    prefill_us=2,
    decode_us=3,
    tokens=TokenCounts(
        input=4, cache_write_5m=5, cache_write_1h=6, cache_read=7, output=8, thinking=1
    ),
    cost=2**60,
    engine="llama",
    engine_number=2,
    money_us=4,
    account_id="user_1",
    facts=RequestFacts(
        price=Price(input=3, output=15, long_above=9, long=Price(input=6)),
        cache=CacheUse(
            read=7,
            written=11,
            planned_read=9,
            reason="engine-had-less",
            breakpoints=(BreakpointUse(tokens=7, ttl="5m", state="read"),),
        ),
        refused_by=RefusedBy(
            kind="rate_limit",
            limit=5,
            scope="workspace",
            scope_id="wrkspc_a",
            type="requests_per_minute",
            retry_after_ms=60,
            buckets=(
                BucketInfo(
                    scope="workspace",
                    scope_id="wrkspc_a",
                    type="requests_per_minute",
                    limit=5,
                    remaining=0,
                    full_in_ms=60_000,
                ),
            ),
        ),
    ),
)


async def add(database: Database, *records: RequestRecord) -> None:
    async with database.write() as connection:
        await add_requests(connection, records)


async def ids(connection: AsyncConnection, query: RequestQuery) -> list[str]:
    """Return the ids of every page."""
    found: list[str] = []
    while True:
        page = await list_requests(connection, query)
        assert len(page.records) <= query.limit
        found += [one.id for one in page.records]
        if page.following is None:
            return found
        query = query._replace(after=page.following)


@pytest.mark.parametrize("record", [WHOLE, a_record()], ids=["whole", "sparse"])
async def test_request_reads_back_as_it_was_added(
    database: Database, record: RequestRecord
) -> None:
    await add(database, record)
    async with database.read() as connection:
        assert await find_request(connection, record.id) == record
        assert (await list_requests(connection, RequestQuery(9))).records == (record,)
        assert await find_request(connection, "req_other") is None
        assert await find_request(connection, "req_\0") is None


async def test_request_that_comes_again_stays_as_it_was(database: Database) -> None:
    await add(database, a_record(1))
    await add(database, replace(a_record(1), status=500), a_record(2))
    await add(database)
    async with database.read() as connection:
        assert await ids(connection, RequestQuery(1)) == ["req_2", "req_1"]
        assert await find_request(connection, "req_1") == a_record(1)


def matches(record: RequestRecord, filters: Mapping[str, Any]) -> bool:
    facts = {
        **{name: getattr(record, name) for name in record.__struct_fields__},
        "status_class": record.status // 100,
    }
    return all(facts[name] == value for name, value in filters.items())


def is_within(record: RequestRecord, within: Within | None) -> bool:
    if within is None:
        return True
    own = record.account_id == within.account or record.api_key_id in within.keys
    known = bool(record.api_key_id or record.account_id)
    return record.workspace_id in within.workspaces and (known if within.account is None else own)


outcomes = st.sampled_from(
    [(200, None), (200, "api_error"), (429, "rate_limit_error"), (500, "api_error")]
)
seconds = st.integers(0, 9).map(lambda number: timedelta(seconds=number))
# Some end at the same moment.
drawn_rows = st.lists(
    st.tuples(
        seconds,
        outcomes,
        st.sampled_from(["", "apikey_1", "apikey_2"]),
        st.sampled_from(["", "wrkspc_a"]),
        st.sampled_from(["claude-opus-5-5", "small"]),
        st.sampled_from(["user_1", "user_2", None]),
    ),
    max_size=20,
)
drawn_within = st.none() | st.builds(
    Within,
    st.frozensets(st.sampled_from(["", "wrkspc_a", "wrkspc_gone"])),
    st.sampled_from([None, "user_1"]),
    st.frozensets(st.sampled_from(["apikey_1", "apikey_2"])),
)
drawn_filters = st.fixed_dictionaries(
    {},
    optional={
        "error_type": st.sampled_from(["api_error", "rate_limit_error"]),
        "api_key_id": st.sampled_from(["", "apikey_1"]),
        "status_class": st.sampled_from([2, 4, 5]),
        "model": st.sampled_from(["small", "unknown"]),
        "workspace_id": st.sampled_from(["", "wrkspc_a"]),
    },
)
drawn_queries = st.builds(
    lambda limit, start, length, filters, within: RequestQuery(
        limit, start=NOON + start, end=NOON + start + length, filters=filters, within=within
    ),
    limit=st.integers(1, 7),
    start=seconds,
    length=seconds,
    filters=drawn_filters,
    within=drawn_within,
)


@settings(
    max_examples=examples(0.5),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=drawn_rows,
    asked=drawn_queries,
    window=st.integers(1, 9),
    most_searches=st.sampled_from([1, 50]),
)
async def test_pages_are_all_that_match_newest_first(
    database: Database,
    rows: Sequence[tuple[Any, ...]],
    asked: RequestQuery,
    window: int,
    most_searches: int,
) -> None:
    records = [
        a_record(
            number,
            ended_at=NOON + after,
            status=status,
            error_type=error,
            api_key_id=key,
            workspace_id=workspace,
            model=model,
            account_id=None if key else account,
        )
        for number, (after, (status, error), key, workspace, model, account) in enumerate(rows)
    ]
    assert asked.start is not None
    assert asked.end is not None
    wanted = [
        (one.ended_at, number, one.id)
        for number, one in enumerate(records)
        if matches(one, asked.filters)
        and is_within(one, asked.within)
        and asked.start <= one.ended_at < asked.end
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(request_log, "WINDOW", window)
        patch.setattr(request_log, "MOST_SEARCHES", most_searches)
        async with database.write() as connection:
            await connection.execute(text("DELETE FROM request_log"))
            await add_requests(connection, records)
            found = await ids(connection, asked)
    assert found == [request for *_, request in sorted(wanted, reverse=True)]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "ix_request_log_newest"),
        ({"api_key_id": "apikey_1"}, "ix_request_log_keys"),
        ({"workspace_id": "wrkspc_a", "model": "small"}, "ix_request_log_models"),
        ({"workspace_id": ""}, "ix_request_log_workspaces"),
        ({"status_class": 4, "model": "small"}, "ix_request_log_failed"),
        ({"error_type": "api_error", "status_class": 5}, "ix_request_log_errors"),
    ],
)
async def test_page_is_found_by_an_index_and_not_sorted(
    database: Database, filters: Mapping[str, Any], index: str
) -> None:
    async with database.write() as connection:
        await add_requests(connection, [a_record(number) for number in range(9)])
        plans = note_plans(connection)
        after = (await list_requests(connection, RequestQuery(2))).following
        plans.clear()
        await list_requests(connection, RequestQuery(2, after=after, filters=filters))
    assert plans
    for plan in plans:
        assert f"USING INDEX {index}" in plan or f"USING COVERING INDEX {index}" in plan
        assert "SCAN request_log" not in plan
    assert len(filters) > 1 or "TEMP B-TREE" not in plans[0]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("within", "filters", "indexes"),
    [
        (Within(frozenset({"", "wrkspc_a"})), {}, {"workspaces"}),
        (Within(frozenset({"", "wrkspc_a"})), {"api_key_id": "apikey_1"}, {"keys"}),
        (Within(frozenset({""}), "user_1", frozenset({"apikey_1"})), {}, {"accounts", "keys"}),
    ],
)
async def test_what_a_caller_may_see_is_found_by_indexes(
    database: Database, within: Within, filters: Mapping[str, Any], indexes: set[str]
) -> None:
    async with database.write() as connection:
        await add_requests(connection, [a_record(number) for number in range(9)])
        plans = note_plans(connection)
        await list_requests(connection, RequestQuery(2, filters=filters, within=within))
    for plan in plans:
        assert set(re.findall(r"ix_request_log_(\w+)", plan)) == indexes
        assert "SCAN request_log" not in plan


async def test_searches_share_the_window_and_no_request_comes_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "WINDOW", 4)
    newer = [a_record(number, workspace_id="wrkspc_a") for number in range(10, 16)]
    older = [a_record(number, workspace_id="wrkspc_b") for number in range(4)]
    await add(database, *older, *newer)
    within = Within(frozenset({"wrkspc_a", "wrkspc_b"}))
    async with database.read() as connection:
        found = await ids(connection, RequestQuery(9, within=within))
    assert found == [one.id for one in reversed([*older, *newer])]


@pytest.mark.parametrize("most", [1, 50])
async def test_user_gets_the_own_requests_alone_however_they_are_searched(
    database: Database, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(request_log, "MOST_SEARCHES", most)
    own = [a_record(1, api_key_id="", account_id="user_1"), a_record(2, api_key_id="apikey_1")]
    others = [a_record(3, api_key_id="", account_id="user_2"), a_record(4, api_key_id="apikey_2")]
    await add(database, *own, *others)
    within = Within(frozenset({""}), "user_1", frozenset({"apikey_1"}))
    async with database.read() as connection:
        assert await ids(connection, RequestQuery(1, within=within)) == ["req_2", "req_1"]


async def test_old_requests_go_in_portions(database: Database) -> None:
    await add(database, *(a_record(number) for number in range(PORTION + 5)))
    async with database.write() as connection:
        last = NOON + timedelta(seconds=PORTION + 3)
        assert await forget_requests(connection, last)
        assert not await forget_requests(connection, last)
        assert await ids(connection, RequestQuery(9)) == [
            f"req_{PORTION + 4}",
            f"req_{PORTION + 3}",
        ]


async def test_refusals_are_counted_in_minutes_hours_and_days(database: Database) -> None:
    kind = ("", "apikey_1", "small", "rate_limit_error")
    refused = {
        Refusal(NOON, *kind): 3,
        Refusal(NOON + MINUTE, *kind): 2,
        Refusal(NOON + HOUR, "", "", "", "authentication_error"): 1,
    }
    async with database.write() as connection:
        await add_refusals(connection, refused)
        await add_refusals(connection, refused)
        await add_refusals(connection, {})
    async with database.read() as connection:
        columns = refusal_rollups.c
        sums = select(columns.width, columns.error_type, func.sum(columns.requests), func.count())
        rows = await connection.execute(sums.group_by(columns.width, columns.error_type))
        found = {(row[0], row[1]): (int(row[2]), row[3]) for row in rows.all()}
    assert found == {
        (stored_width(width), error): count
        for width, limited in ((MINUTE, (10, 2)), (HOUR, (10, 1)), (DAY, (10, 1)))
        for error, count in (("rate_limit_error", limited), ("authentication_error", (2, 1)))
    }


async def test_counts_of_refusals_go_with_the_rollups_of_their_width(database: Database) -> None:
    kind = ("", "", "", "authentication_error")
    async with database.write() as connection:
        for age in (timedelta(0), 4 * DAY, 91 * DAY):
            await add_refusals(connection, {Refusal(NOON - age, *kind): 1})
        await forget_rollups(connection, NOON)
        await forget_refusals(connection)
        columns = refusal_rollups.c
        rows = await connection.execute(select(columns.width, func.count()).group_by(columns.width))
        assert dict(map(tuple, rows.all())) == {
            stored_width(MINUTE): 1,
            stored_width(HOUR): 2,
            stored_width(DAY): 3,
        }
