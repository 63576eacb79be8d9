"""The request log in the database: added in groups, listed newest first, removed when it is old."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, RowMapping, Select, delete, literal, select, tuple_

from antiphon.core.billing.rollups import WIDTHS, begin_of
from antiphon.core.billing.usage import TokenCounts
from antiphon.core.request_records import NO_FACTS, RequestFacts, RequestRecord
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.log_tables import refusal_rollups, request_log
from antiphon.store.database.many_rows import Target, add_rows
from antiphon.store.database.tables import stored_moment
from antiphon.store.rollups import rollup_floors, stored_width

PORTION: Final = 2000
"""How many requests one transaction removes at most."""
WINDOW: Final = 4000
"""How many requests a page looks at, if the index of one filter has to be searched for others."""

_REQUESTS = Target(
    request_log,
    (
        *("id", "ended_at", "route", "status", "status_class", "error_type", "api_key_id"),
        *("workspace_id", "model", "served_model", "streamed", "batch_id", "duration_us"),
        *("queue_us", "prefill_us", "decode_us", "input_tokens", "cache_write_5m_tokens"),
        *("cache_write_1h_tokens", "cache_read_tokens", "output_tokens", "thinking_tokens"),
        *("cost", "facts"),
    ),
    unique=("id",),
)
_TOKENS = TokenCounts.__struct_fields__
_columns = request_log.c


class Place(NamedTuple):
    """The place of a request in the listing; the next page begins after it."""

    ended_at: datetime
    number: int


class RequestPage(NamedTuple):
    """Some requests, the newest first, and where the next page begins; `None` after the last."""

    records: tuple[RequestRecord, ...]
    following: Place | None


class Refusal(NamedTuple):
    """The kind of a refused request, and the minute of its end."""

    minute: datetime
    workspace_id: str
    api_key_id: str
    model: str
    error_type: str


async def add_requests(connection: AsyncConnection, records: Sequence[RequestRecord]) -> None:
    """Add requests; those that are there stay as they are."""
    await add_rows(connection, _REQUESTS, map(_row, records))


def _row(record: RequestRecord) -> tuple[object, ...]:
    facts = record.facts
    tokens = record.tokens
    return (
        record.id,
        stored_moment(record.ended_at),
        record.route,
        record.status,
        record.status // 100,
        record.error_type,
        record.api_key_id,
        record.workspace_id,
        record.model,
        record.served_model,
        record.streamed,
        record.batch_id,
        record.duration_us,
        record.queue_us,
        record.prefill_us,
        record.decode_us,
        tokens.input,
        tokens.cache_write_5m,
        tokens.cache_write_1h,
        tokens.cache_read,
        tokens.output,
        tokens.thinking,
        record.cost,
        None if facts is NO_FACTS else msgspec.json.encode(facts).decode(),
    )


async def add_refusals(connection: AsyncConnection, refusals: Mapping[Refusal, int]) -> None:
    """Add to the numbers of refused requests, in minutes, hours and days."""
    sums: dict[tuple[object, ...], int] = {}
    for refusal, requests in refusals.items():
        for width in WIDTHS:
            start = stored_moment(begin_of(refusal.minute, width))
            at = (stored_width(width), start, *refusal[1:])
            sums[at] = sums.get(at, 0) + requests
    marks = ", ".join(
        "?" if connection.dialect.name == "sqlite" else f"${place}" for place in range(1, 8)
    )
    adding = (
        "INSERT INTO refusal_rollups "  # noqa: S608 - marks
        f"(width, start, workspace_id, api_key_id, model, error_type, requests) VALUES ({marks}) "
        "ON CONFLICT (width, start, workspace_id, api_key_id, model, error_type) "
        "DO UPDATE SET requests = refusal_rollups.requests + excluded.requests"
    )
    # All processes take the rows in one order, so that no two of them wait for each other.
    rows = [(*at, requests) for at, requests in sorted(sums.items(), key=str)]
    if rows:
        await connection.exec_driver_sql(adding, rows)


# The filters, those that leave the fewest requests first: the first one is found by its index.
FILTERS: Final = ("error_type", "api_key_id", "status_class", "model", "workspace_id")


class RequestQuery(NamedTuple):
    """A page of the listing: newest first, after a place, within a time, with these filters.

    The keys of `filters` are `FILTERS`.
    """

    limit: int
    after: Place | None = None
    start: datetime | None = None
    end: datetime | None = None
    filters: Mapping[str, str | int] = {}


async def list_requests(connection: AsyncConnection, asked: RequestQuery) -> RequestPage:
    """Return a page of requests. It is shorter than its limit if filters match seldom.

    Of several filters one is found by its index; of what that finds, a page looks at `WINDOW`
    requests.
    """
    conditions = _matching(asked)
    rest = conditions[1:]
    within = _within(asked).where(*conditions[:1])
    if not rest:
        found = (await connection.execute(within.limit(asked.limit + 1))).mappings().all()
        return _page(found, asked.limit)
    window = within.limit(WINDOW).with_only_columns(_columns.number).subquery()
    matching = _ordered(select(request_log)).where(
        _columns.number.in_(select(window.c.number)), *rest
    )
    found = (await connection.execute(matching.limit(asked.limit + 1))).mappings().all()
    if len(found) > asked.limit:
        return _page(found, asked.limit)
    last = within.with_only_columns(_columns.ended_at, _columns.number).limit(1).offset(WINDOW - 1)
    end = (await connection.execute(last)).first()
    return RequestPage(_page(found, asked.limit).records, None if end is None else Place(*end))


def _within(asked: RequestQuery) -> Select[*tuple[RowMapping, ...]]:
    query = _ordered(select(request_log))
    if asked.start is not None:
        query = query.where(_columns.ended_at >= asked.start)
    if asked.end is not None:
        query = query.where(_columns.ended_at < asked.end)
    if asked.after is not None:
        # Compared as one row, so that both databases find the place in the index.
        place = tuple_(_columns.ended_at, _columns.number)
        last = (literal(one, to.type) for one, to in zip(asked.after, place, strict=True))
        query = query.where(place < tuple_(*last))
    return query


def _ordered(query: Select[*tuple[RowMapping, ...]]) -> Select[*tuple[RowMapping, ...]]:
    return query.order_by(_columns.ended_at.desc(), _columns.number.desc())


def _matching(asked: RequestQuery) -> list[ColumnElement[bool]]:
    conditions = []
    for name in FILTERS:
        if (value := asked.filters.get(name)) is None:
            continue
        condition = _columns[name] == value
        if name == "status_class" and value != 2:  # noqa: PLR2004 - the class of success
            # The index of classes has no others.
            condition &= _columns.error_type.is_not(None)
        conditions.append(condition)
    return conditions


def _page(rows: Sequence[RowMapping], limit: int) -> RequestPage:
    shown = rows[:limit]
    following = Place(shown[-1]["ended_at"], shown[-1]["number"]) if len(rows) > limit else None
    return RequestPage(tuple(map(_record, shown)), following)


async def find_request(connection: AsyncConnection, request_id: str) -> RequestRecord | None:
    """Return a request by its id."""
    if "\0" in request_id:
        return None
    one = select(request_log).where(_columns.id == request_id)
    row = (await connection.execute(one)).mappings().first()
    return None if row is None else _record(row)


def _record(row: RowMapping) -> RequestRecord:
    names = set(RequestRecord.__struct_fields__) - {"tokens", "facts"}
    facts = row["facts"]
    return RequestRecord(
        **{name: row[name] for name in names},
        tokens=TokenCounts(**{name: row[f"{name}_tokens"] for name in _TOKENS}),
        facts=NO_FACTS if facts is None else msgspec.json.decode(facts, type=RequestFacts),
    )


async def forget_requests(connection: AsyncConnection, before: datetime) -> bool:
    """Remove requests that ended before a moment, at most `PORTION`; say if there may be more."""
    old = (
        select(_columns.number)
        .where(_columns.ended_at < before)
        .order_by(_columns.ended_at, _columns.number)
        .limit(PORTION)
    )
    gone = await connection.execute(delete(request_log).where(_columns.number.in_(old)))
    return gone.rowcount == PORTION


async def forget_refusals(connection: AsyncConnection) -> None:
    """Remove the counts of refusals before the floor of their width."""
    for width, floor in (await rollup_floors(connection)).items():
        of_width = refusal_rollups.c.width == stored_width(width)
        old = refusal_rollups.c.start < floor
        await connection.execute(delete(refusal_rollups).where(of_width, old))
