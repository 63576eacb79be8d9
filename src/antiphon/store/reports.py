"""Sums of the ledger in buckets of time. The database adds up, so a report reads no entry twice."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from anyio import to_thread
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Label,
    Row,
    func,
    literal_column,
    or_,
    select,
    true,
    type_coerce,
)

from antiphon.core.billing.usage import Costs, TokenCounts
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.tables import ledger
from antiphon.store.ledger import COUNTERS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Not columns: the number of entries, and what the prompt cache has saved, in nano-dollars.
REQUESTS = "requests"
SAVED = "saved"


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query for sums: from `start` to before `end`, for each bucket of this `width`.

    `group_by` and the keys of `filters` are columns of the ledger. The default workspace has an id
    in the ledger and none in a report; entries without a workspace belong to it as well.
    """

    start: datetime
    end: datetime
    width: timedelta
    default_workspace: str
    group_by: Sequence[str] = ()
    filters: Mapping[str, Collection[str]] | None = None


class UsageSum(msgspec.Struct, frozen=True):
    starting_at: datetime
    dimensions: Mapping[str, str | None]
    tokens: TokenCounts


class CostSum(msgspec.Struct, frozen=True):
    starting_at: datetime
    dimensions: Mapping[str, str | None]
    costs: Costs


class RequestSum(msgspec.Struct, frozen=True):
    starting_at: datetime
    dimensions: Mapping[str, str | None]
    requests: int


class SavingSum(msgspec.Struct, frozen=True):
    starting_at: datetime
    dimensions: Mapping[str, str | None]
    saved: int


async def usage_sums(connection: AsyncConnection, query: ReportQuery) -> list[UsageSum]:
    """Sum the counters, without requests that used nothing."""
    counters = (*COUNTERS, "thinking")
    used = or_(*(ledger.c[f"{name}_tokens"] > 0 for name in COUNTERS))
    rows = await _sums(connection, query, [f"{name}_tokens" for name in counters], used)
    return [
        UsageSum(start, dimensions, TokenCounts(**dict(zip(counters, sums, strict=True))))
        for start, dimensions, sums in rows
    ]


async def cost_sums(connection: AsyncConnection, query: ReportQuery) -> list[CostSum]:
    """Sum the costs of each counter, without requests that cost nothing."""
    columns = [f"{name}_cost" for name in COUNTERS]
    rows = await _sums(connection, query, columns, ledger.c.cost > 0)
    return [
        CostSum(start, dimensions, Costs(**dict(zip(COUNTERS, sums, strict=True))))
        for start, dimensions, sums in rows
    ]


async def request_sums(connection: AsyncConnection, query: ReportQuery) -> list[RequestSum]:
    """Count the admitted requests, also those that used nothing."""
    rows = await _sums(connection, query, [REQUESTS], true())
    return [RequestSum(start, dimensions, count) for start, dimensions, (count,) in rows]


async def saving_sums(connection: AsyncConnection, query: ReportQuery) -> list[SavingSum]:
    """Sum what the prompt cache has saved: less than nothing where writes cost more than reads.

    Of each request that wrote or read, it is the cost of its prompt as plain input, without what
    the prompt has cost. Entries of earlier releases do not say the first, and count as nothing.
    """
    cached = or_(*(ledger.c[f"{name}_tokens"] > 0 for name in COUNTERS if name.startswith("cache")))
    rows = await _sums(connection, query, [SAVED], cached & ledger.c.uncached_cost.is_not(None))
    return [SavingSum(start, dimensions, saved) for start, dimensions, (saved,) in rows]


async def _sums(
    connection: AsyncConnection,
    query: ReportQuery,
    columns: Sequence[str],
    counts: ColumnElement[bool],
) -> list[tuple[datetime, dict[str, str | None], list[int]]]:
    """Sum columns for each bucket and group, in the order of both; absent names come first."""
    moment = type_coerce(ledger.c.started_at, BigInteger)
    # Text instead of a parameter: PostgreSQL would see a different parameter at each use.
    width = literal_column(str(query.width // _MICROSECOND), BigInteger)
    # No label may be the name of a column: PostgreSQL would group by the column instead.
    groups = [_dimension(name, query).label(f"by_{name}") for name in query.group_by]
    selected: list[Label[Any]] = [(moment - moment % width).label("bucket"), *groups]
    sums: list[Label[Any]] = [_sum(name) for name in columns]
    summing = (
        select(*selected, *sums)
        .where(ledger.c.started_at >= query.start, ledger.c.started_at < query.end, counts)
        .where(*(_chosen(name, ids, query) for name, ids in (query.filters or {}).items()))
        .group_by(*(label.name for label in selected))
    )
    rows = (await connection.execute(summing)).all()
    # A day in minutes, by key and model, has tens of thousands of rows: too many for the loop.
    return await to_thread.run_sync(_in_order, rows, query.group_by)


def _in_order(
    rows: Sequence[Row[Any]], group_by: Sequence[str]
) -> list[tuple[datetime, dict[str, str | None], list[int]]]:
    groups = len(group_by)
    found = [
        (
            _EPOCH + row[0] * _MICROSECOND,
            dict(zip(group_by, row[1 : groups + 1], strict=True)),
            [int(value) for value in row[groups + 1 :]],
        )
        for row in rows
    ]
    return sorted(found, key=lambda row: (row[0], *((one or "") for one in row[1].values())))


def _sum(name: str) -> Label[Any]:
    if name == REQUESTS:
        return func.count().label(name)
    if name == SAVED:
        output = ledger.c.output_cost
        return func.sum(ledger.c.uncached_cost - (ledger.c.cost - output)).label(name)
    return func.sum(ledger.c[name]).label(name)


def _dimension(name: str, query: ReportQuery) -> ColumnElement[str | None]:
    column = ledger.c[name]
    return func.nullif(column, query.default_workspace) if name == "workspace_id" else column


def _chosen(name: str, ids: Collection[str], query: ReportQuery) -> ColumnElement[bool]:
    chosen = ledger.c[name].in_(ids)
    if name == "workspace_id" and query.default_workspace in ids:
        return or_(chosen, ledger.c.workspace_id.is_(None))
    return chosen
