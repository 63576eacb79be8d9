"""The request log in the database: added in groups, listed newest first, removed when it is old."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    Subquery,
    delete,
    false,
    func,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from antiphon.core.billing.rollups import WIDTHS, begin_of
from antiphon.core.billing.usage import TokenCounts
from antiphon.core.moments import since_epoch
from antiphon.core.request_records import NO_FACTS, RequestFacts, RequestRecord
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.log_tables import refusal_rollups, request_log
from antiphon.store.database.many_rows import Target, add_rows
from antiphon.store.database.pages import as_row, behind, within
from antiphon.store.database.tables import stored_moment
from antiphon.store.rollups import rollup_floors, stored_width

PORTION: Final = 2000
"""How many requests one transaction removes at most."""
WINDOW: Final = 4000
"""How many requests a page looks at, if the index of one filter has to be searched for others."""
MOST_SEARCHES: Final = 50
"""Of how many indexes a page is put together; beyond them, it looks at the newest requests."""

# In the order of `_row`: what is stored as a record has it, then what is made of it.
_AS_THEY_ARE = (
    *("id", "route", "status", "error_type", "api_key_id", "workspace_id", "account_id", "model"),
    *("served_model", "engine", "engine_number", "streamed", "batch_id", "duration_us"),
    *("queue_us", "money_us", "prefill_us", "decode_us", "cost"),
)
_TOKENS = TokenCounts.__struct_fields__
_REQUESTS = Target(
    request_log,
    (
        *_AS_THEY_ARE,
        *(f"{counter}_tokens" for counter in _TOKENS),
        *("ended_at", "status_class", "facts"),
    ),
    unique=("id",),
)
# One call for all of them: a row is made for each request.
_as_they_are = attrgetter(*_AS_THEY_ARE, *(f"tokens.{counter}" for counter in _TOKENS))
_columns = request_log.c
_PLACE = (_columns.ended_at, _columns.number)
_Places: TypeAlias = Select[tuple[datetime, int]]


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
    return (
        *_as_they_are(record),
        since_epoch(record.ended_at),
        record.status // 100,
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


class Within(NamedTuple):
    """The requests that a caller may see: those of `workspaces` whose caller is known.

    With an `account` they are its own alone: those without a key, and those of its `keys`.
    """

    workspaces: frozenset[str]
    account: str | None = None
    keys: frozenset[str] = frozenset()

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what holds of each of these requests; no index serves it."""
        key, account = _unindexed("api_key_id"), _unindexed("account_id")
        known = or_(key != "", account.is_not(None))
        own = or_(account == self.account, key.in_(self.keys))
        return [
            _unindexed("workspace_id").in_(self.workspaces),
            known if self.account is None else own,
        ]

    def searches(self, filters: Mapping[str, str | int]) -> list[ColumnElement[bool]]:
        """Return conditions that an index serves each, one of which holds of each request."""
        if self.account is not None:
            by_key = [_columns.api_key_id == key for key in sorted(self.keys)]
            return [_columns.account_id == self.account, *by_key]
        if (key := filters.get("api_key_id")) is not None:
            return [_columns.api_key_id == key]
        asked = filters.get("workspace_id")
        seen = sorted(one for one in self.workspaces if asked in {None, one})
        return [_columns.workspace_id == one for one in seen]


class RequestQuery(NamedTuple):
    """A page of the listing: newest first, after a place, within a time, with these filters.

    The keys of `filters` are `FILTERS`. `within` is what the caller may see; `None` is everything.
    """

    limit: int
    after: Place | None = None
    start: datetime | None = None
    end: datetime | None = None
    filters: Mapping[str, str | int] = {}
    within: Within | None = None


async def list_requests(connection: AsyncConnection, asked: RequestQuery) -> RequestPage:
    """Return a page of requests. It is shorter than its limit if filters match seldom.

    Of several filters one is found by its index; of what that finds, a page looks at `WINDOW`
    requests. What the caller may see is found by the index of each of its parts, which share the
    window.
    """
    searches, rest = _search(asked)
    if not rest:
        whole = _in_span(asked).where(*searches).limit(asked.limit + 1)
        found = (await connection.execute(whole)).mappings().all()
        return _page(found, asked.limit)
    places = _in_span(asked).with_only_columns(*_PLACE)
    each = max(1, WINDOW // len(searches))
    end = await _end_of_window(connection, [places.where(one) for one in searches], each)
    window = _merged([places.where(one).limit(each) for one in searches])
    numbers = select(window.c.number)
    if end is not None:
        numbers = numbers.where(tuple_(*window.c) >= as_row(_PLACE, end))
    matching = _ordered(select(request_log)).where(_columns.number.in_(numbers), *rest)
    found = (await connection.execute(matching.limit(asked.limit + 1))).mappings().all()
    page = _page(found, asked.limit)
    return page if page.following else RequestPage(page.records, end)


async def _end_of_window(
    connection: AsyncConnection, searches: Sequence[_Places], each: int
) -> Place | None:
    """Return the oldest place down to which every search was looked through; `None` for all.

    Each search ends after so many places, some earlier than others: older places of one could be
    behind places of another that nobody has looked at.
    """
    lasts = _merged([one.limit(1).offset(each - 1) for one in searches])
    newest = select(lasts).order_by(*(column.desc() for column in lasts.c)).limit(1)
    end = (await connection.execute(newest)).first()
    return None if end is None else Place(*end)


def _merged(searches: Sequence[_Places]) -> Subquery:
    """Return the places that any of these searches finds.

    Each is a query of its own, as a condition over all of them would be served by no index.
    """
    parts = [one.subquery() for one in searches]
    return union_all(*(select(part.c.ended_at, part.c.number) for part in parts)).subquery()


def _search(
    asked: RequestQuery,
) -> tuple[Sequence[ColumnElement[bool]], Sequence[ColumnElement[bool]]]:
    """Return conditions of which an index serves each and one has to hold, and all others.

    The first are none, or true, where the newest requests are looked at.
    """
    names = [name for name in FILTERS if asked.filters.get(name) is not None]
    if asked.within is None:
        searches = [_holds(name, _columns[name], asked) for name in names[:1]]
        return searches, [_holds(name, _unindexed(name), asked) for name in names[1:]]
    rest = [_holds(name, _unindexed(name), asked) for name in names]
    searches = asked.within.searches(asked.filters) or [false()]
    few = searches if len(searches) <= MOST_SEARCHES else [true()]
    return few, [*asked.within.conditions(), *rest]


def _in_span(asked: RequestQuery) -> Select[*tuple[RowMapping, ...]]:
    span = within(_columns.ended_at, asked.start, asked.end)
    query = _ordered(select(request_log)).where(*span)
    if asked.after is not None:
        query = query.where(behind(_PLACE, asked.after, falls=True))
    return query


def _ordered(query: Select[*tuple[RowMapping, ...]]) -> Select[*tuple[RowMapping, ...]]:
    return query.order_by(_columns.ended_at.desc(), _columns.number.desc())


def _holds(name: str, column: ColumnElement[Any], asked: RequestQuery) -> ColumnElement[bool]:
    """Return the condition of a filter over its column."""
    value = asked.filters[name]
    condition = column == value
    if name == "status_class" and value != 2:  # noqa: PLR2004 - the class of success
        # The index of classes has no others.
        condition &= _columns.error_type.is_not(None)
    return condition


def _unindexed(name: str) -> ColumnElement[Any]:
    """Return a column in a form that no index serves.

    Requests of a window are found by their numbers. A database that takes an index of another
    condition instead would read all that there ever was.
    """
    return func.coalesce(_columns[name], _columns[name])


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
