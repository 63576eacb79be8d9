"""Sums of the ledger in buckets of time, from its roll-ups, and from itself where there are none.

The database adds up. Entries are read at the edges of a span, and before the floor of a width:
`core.billing.rollups` decides which part of a span is answered by what.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import add
from typing import Any

import msgspec
from anyio import to_thread
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Label,
    Row,
    Select,
    cast,
    func,
    literal_column,
    select,
    type_coerce,
)

from antiphon.core.billing.rollups import Piece, pieces
from antiphon.core.billing.usage import Costs, TokenCounts
from antiphon.core.moments import moment_at
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.log_tables import refusal_rollups
from antiphon.store.database.rollup_tables import usage_groups, usage_rollups
from antiphon.store.database.tables import ledger
from antiphon.store.ledger import COUNTERS
from antiphon.store.rollups import MEASURES, SUMMARY, rollup_floors, stored_width

_WITHOUT_CALLER = ("authentication_error", "permission_error")
_TOKENS = (*COUNTERS, "thinking")
_TOKEN_COLUMNS = tuple((name, f"{name}_tokens") for name in _TOKENS)
_COST_COLUMNS = tuple((name, f"{name}_cost") for name in COUNTERS)


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query for sums: from `start` to before `end`, for each bucket of this `width`.

    `width` is that of a roll-up. `group_by` and the keys of `filters` are dimensions of roll-ups
    (`store.database.rollup_tables:DIMENSIONS`). The default workspace has an id in the ledger and
    none in a report; entries without a workspace belong to it as well. `failed` leaves out what
    has no type of error. `from_ledger` reads every entry instead of roll-ups, with the same result.
    """

    start: datetime
    end: datetime
    width: timedelta
    default_workspace: str
    group_by: Sequence[str] = ()
    filters: Mapping[str, Collection[str]] | None = None
    failed: bool = False
    from_ledger: bool = False


class Sum(msgspec.Struct, frozen=True):
    """The sums of one bucket and group; `values` are those of the measures, by their names."""

    starting_at: datetime
    dimensions: Mapping[str, str | None]
    values: Mapping[str, int]

    @property
    def tokens(self) -> TokenCounts:
        """The sums of the counters that were asked for."""
        values = self.values
        return TokenCounts(
            **{name: values[column] for name, column in _TOKEN_COLUMNS if column in values}
        )

    @property
    def costs(self) -> Costs:
        """The sums of the costs of all counters, if they were asked for."""
        return Costs(
            **{name: self.values[column] for name, column in _COST_COLUMNS},
            web_search=self.values["web_search_cost"],
        )


TOKEN_MEASURES = tuple(f"{name}_tokens" for name in _TOKENS)
COST_MEASURES = (*(f"{name}_cost" for name in COUNTERS), "web_search_cost")


async def usage_sums(connection: AsyncConnection, query: ReportQuery) -> list[Sum]:
    """Sum the counters but thinking, which is a part of output; no groups that used nothing."""
    counted = [*(f"{name}_tokens" for name in COUNTERS), "web_searches"]
    found = await sums(connection, query, counted)
    return [one for one in found if any(one.values.values())]


async def cost_sums(connection: AsyncConnection, query: ReportQuery) -> list[Sum]:
    """Sum the costs of each counter, without groups that cost nothing."""
    found = await sums(connection, query, COST_MEASURES)
    return [one for one in found if any(one.values.values())]


async def sums(
    connection: AsyncConnection, query: ReportQuery, measures: Sequence[str]
) -> list[Sum]:
    """Sum measures for each bucket and group, in the order of both; absent names come first.

    `measures` are keys of `store.rollups:MEASURES`.
    """
    if query.from_ledger:
        parts: tuple[Piece, ...] = (Piece(query.start, query.end, None),)
    else:
        floors = await rollup_floors(connection)
        parts = pieces(query.start, query.end, query.width, floors)
    rows: list[Sequence[Row[Any]]] = []
    for part in parts:
        source = _entries if part.width is None else _rollups
        rows.append((await connection.execute(source(query, part, measures))).all())
    # A day in minutes, by key and model, has tens of thousands of rows: too many for the loop.
    return await to_thread.run_sync(_merged, rows, query.group_by, measures)


async def refusal_sums(
    connection: AsyncConnection, query: ReportQuery, *, of_known: bool = False
) -> list[Sum]:
    """Count the requests that were refused before they were admitted, as `requests`.

    Their dimensions are `workspace_id`, `api_key_id`, `model` and `error_type`. What is before the
    floor of the narrowest width that a span needs is not known any more. `of_known` leaves out
    what was refused because its caller is not known: it belongs to no workspace.
    """
    floors = await rollup_floors(connection)
    rows: list[Sequence[Row[Any]]] = []
    for part in pieces(query.start, query.end, query.width, floors):
        if part.width is not None:
            counted = _refusals(query, part)
            if of_known:
                columns = refusal_rollups.c
                unknown = columns.error_type.in_(_WITHOUT_CALLER)
                counted = counted.where((columns.api_key_id != "") | ~unknown)
            rows.append((await connection.execute(counted)).all())
    return await to_thread.run_sync(_merged, rows, query.group_by, ("requests",))


def _refusals(query: ReportQuery, part: Piece) -> Select[Any]:
    assert part.width is not None  # noqa: S101 - for the type checker
    columns = refusal_rollups.c
    named = {name: columns[name] for name in query.group_by}
    filters = query.filters or {}
    chosen = [columns[name].in_(_ids(name, ids, query)) for name, ids in filters.items()]
    moment = type_coerce(columns.start, BigInteger)
    values = {"requests": columns.requests}
    return _summing(query, moment, named, values, has_buckets=part.width == query.width).where(
        columns.width == literal_column(str(stored_width(part.width)), BigInteger),
        columns.start >= part.start,
        columns.start < part.end,
        *chosen,
    )


def _merged(
    found: Sequence[Sequence[Row[Any]]], group_by: Sequence[str], measures: Sequence[str]
) -> list[Sum]:
    """Add up the rows of pieces that have a bucket and a group in common."""
    groups = 1 + len(group_by)
    # A slice of a plain tuple is ten times as fast as one of a row.
    rows = [tuple(row) for of_piece in found for row in of_piece]
    if sum(map(bool, found)) > 1:
        rows = _added_up(rows, groups)
    try:
        rows.sort()
    except TypeError:
        # Some names are absent, which no text can be compared with: they come first.
        rows.sort(key=lambda row: (row[0], *[value or "" for value in row[1:groups]]))
    start = lru_cache(maxsize=8)(moment_at)
    return [
        Sum(
            start(row[0]),
            dict(zip(group_by, row[1:groups], strict=True)),
            dict(zip(measures, row[groups:], strict=True)),
        )
        for row in rows
    ]


def _added_up(rows: Sequence[tuple[Any, ...]], groups: int) -> list[tuple[Any, ...]]:
    added: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for row in rows:
        at, values = row[:groups], row[groups:]
        before = added.get(at)
        added[at] = values if before is None else tuple(map(add, before, values))
    return [at + values for at, values in added.items()]


def _entries(query: ReportQuery, part: Piece, measures: Sequence[str]) -> Select[Any]:
    """Return the statement that sums up the entries of a piece."""
    values = {name: literal_column(MEASURES[name], BigInteger) for name in measures}
    named = {name: ledger.c[name] for name in (*query.group_by, *(query.filters or {}))}
    moment = type_coerce(ledger.c.started_at, BigInteger)
    chosen = [
        # An absent name is that of the default workspace, and no other filter selects it.
        func.coalesce(named[name], "").in_(_ids(name, ids, query))
        if name == "workspace_id"
        else named[name].in_(ids)
        for name, ids in (query.filters or {}).items()
    ]
    if query.failed:
        chosen.append(ledger.c.error_type.is_not(None))
    return _summing(query, moment, named, values).where(
        ledger.c.started_at >= part.start, ledger.c.started_at < part.end, *chosen
    )


def _rollups(query: ReportQuery, part: Piece, measures: Sequence[str]) -> Select[Any]:
    """Return the statement that sums up the roll-ups of a piece."""
    assert part.width is not None  # noqa: S101 - for the type checker
    columns, groups = usage_rollups.c, usage_groups.c
    width = stored_width(part.width, summary=_is_summary(query))
    named = {name: groups[name] for name in query.group_by}
    values: dict[str, ColumnElement[int]] = {name: columns[name] for name in measures}
    moment = type_coerce(columns.start, BigInteger)
    summing = _summing(query, moment, named, values, has_buckets=part.width == query.width).where(
        # Text instead of a parameter: SQLite's planner then knows how few rows have this width.
        columns.width == literal_column(str(width), BigInteger),
        columns.start >= part.start,
        columns.start < part.end,
    )
    if named:
        summing = summing.join(usage_groups, groups.id == columns.group_id)
    chosen: list[ColumnElement[bool]] = [
        groups[name].in_(_ids(name, ids, query)) for name, ids in (query.filters or {}).items()
    ]
    if query.failed:
        chosen.append(groups.error_type != "")
    if chosen:
        summing = summing.where(columns.group_id.in_(select(groups.id).where(*chosen)))
    return summing


def _is_summary(query: ReportQuery) -> bool:
    return {*query.group_by, *(query.filters or {})} <= {*SUMMARY}


def _summing(
    query: ReportQuery,
    moment: ColumnElement[int],
    named: Mapping[str, ColumnElement[str | None]],
    values: Mapping[str, ColumnElement[int]],
    *,
    has_buckets: bool = False,
) -> Select[Any]:
    """Return the statement of sums. With `has_buckets`, each moment is the start of a bucket."""
    # Text instead of a parameter: PostgreSQL would see a different parameter at each use.
    width = literal_column(str(stored_width(query.width)), BigInteger)
    # No label may be the name of a column: PostgreSQL would group by the column instead.
    groups: list[Label[Any]] = [
        _shown(name, named[name], query).label(f"by_{name}") for name in query.group_by
    ]
    # SQLite has the roll-ups in the order of their moments, so it need not sort to group them.
    start = moment if has_buckets else moment - moment % width
    selected: list[Label[Any]] = [start.label("bucket"), *groups]
    # PostgreSQL's sums of whole numbers are decimals.
    added = [
        cast(func.sum(value), BigInteger).label(f"sum_{name}") for name, value in values.items()
    ]
    return select(*selected, *added).group_by(*(label.name for label in selected))


def _shown(
    name: str, column: ColumnElement[str | None], query: ReportQuery
) -> ColumnElement[str | None]:
    """Return a dimension as reports show it; in roll-ups, what is absent is empty."""
    present = func.nullif(column, "")
    return func.nullif(present, query.default_workspace) if name == "workspace_id" else present


def _ids(name: str, ids: Collection[str], query: ReportQuery) -> Collection[str]:
    """Return the ids that a filter selects; those of the default workspace may be empty."""
    if name == "workspace_id" and query.default_workspace in ids:
        return [*ids, ""]
    return ids
