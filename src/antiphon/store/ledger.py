"""The ledger at rest: entries are added and never changed; everything else is a sum of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from sqlalchemy import ColumnElement, RowMapping, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from antiphon.core.ledger import LedgerEntry
from antiphon.core.usage import Costs, Outcome, TokenCounts
from antiphon.store.tables import ledger, stored_moment

COUNTERS = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
_FACTS = tuple(name for name in LedgerEntry.__struct_fields__ if name not in {"tokens", "costs"})

# The columns of an entry: first its moments, then where the others are found in it.
_MOMENTS = ("started_at", "first_token_at", "ended_at")
_PLACES = {
    **{name: name for name in _FACTS if name not in _MOMENTS},
    **{f"{counter}_tokens": f"tokens.{counter}" for counter in (*COUNTERS, "thinking")},
    **{f"{counter}_cost": f"costs.{counter}" for counter in COUNTERS},
    "cost": "costs.total",
}
_COLUMNS = (*_MOMENTS, *_PLACES)
_VALUES = attrgetter(*_PLACES.values())

LONGEST_REQUEST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a key has spent in a workspace, in nano-dollars, since each of the moments asked for."""

    workspace_id: str | None
    api_key_id: str | None
    amounts: Mapping[str, int]


async def add_entries(connection: AsyncConnection, entries: Sequence[LedgerEntry]) -> None:
    """Add entries; those that are there already stay as they are."""
    if not entries:
        return
    positional = "?" if connection.dialect.name == "sqlite" else "${}"
    values = ", ".join(positional.format(place) for place in range(1, 1 + len(_COLUMNS)))
    adding = f"INSERT INTO ledger ({', '.join(_COLUMNS)}) VALUES ({values}) "  # noqa: S608 - names
    # Not by the names of parameters: that takes three times as long, for every request.
    await connection.exec_driver_sql(
        adding + "ON CONFLICT (id) DO NOTHING", [_row(entry) for entry in entries]
    )


async def find_entry(connection: AsyncConnection, entry_id: str) -> LedgerEntry | None:
    """Return the entry of a request, if it is over."""
    found = await connection.execute(select(ledger).where(ledger.c.id == entry_id))
    row = found.mappings().one_or_none()
    return None if row is None else _entry(row)


async def spent_since(
    connection: AsyncConnection, moments: Mapping[str, datetime]
) -> tuple[Spent, ...]:
    """Sum what was spent since each of the moments, for each pair of workspace and key.

    One question answers for all periods and all scopes: what a workspace spent is the sum over
    its keys, what the organization spent the sum over everything.
    """
    sums = [_spent(since).label(name) for name, since in moments.items()]
    scope = (ledger.c.workspace_id, ledger.c.api_key_id)
    query = select(*scope, *sums).where(ledger.c.started_at >= min(moments.values()))
    rows = await connection.execute(query.group_by(*scope))
    return tuple(
        Spent(row["workspace_id"], row["api_key_id"], {name: int(row[name]) for name in moments})
        for row in rows.mappings()
    )


async def entries_since(connection: AsyncConnection, moment: datetime) -> tuple[str, ...]:
    """Return the ids of the requests that were over at this moment or later.

    None takes longer than a day, so an index spares looking at all that there ever were.
    """
    recent = (ledger.c.started_at >= moment - LONGEST_REQUEST) & (ledger.c.ended_at >= moment)
    return tuple(await connection.scalars(select(ledger.c.id).where(recent)))


def summed(spent: Iterable[Spent], moment: str) -> int:
    """Add up what was spent since a moment, whoever spent it."""
    return sum(each.amounts[moment] for each in spent)


def _spent(since: datetime) -> ColumnElement[int]:
    return func.sum(case((ledger.c.started_at >= since, ledger.c.cost), else_=0))


def _row(entry: LedgerEntry) -> tuple[object, ...]:
    moments = (entry.started_at, entry.first_token_at, entry.ended_at)
    return (*map(stored_moment, moments), *_VALUES(entry))


def _entry(row: RowMapping) -> LedgerEntry:
    tokens = {counter: row[f"{counter}_tokens"] for counter in COUNTERS}
    costs = {counter: row[f"{counter}_cost"] for counter in COUNTERS}
    facts = {name: row[name] for name in _FACTS}
    facts["outcome"] = Outcome(row["outcome"])
    return LedgerEntry(
        **facts,
        tokens=TokenCounts(**tokens, thinking=row["thinking_tokens"]),
        costs=Costs(**costs),
    )
