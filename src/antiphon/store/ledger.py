"""The ledger in the database: entries are added, never changed, and summed up."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from operator import attrgetter

import msgspec
from sqlalchemy import BigInteger, func, literal_column, select

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.usage import Costs, Outcome, TokenCounts
from antiphon.core.limits.periods import midnight
from antiphon.core.moments import since_epoch
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.many_rows import Target, add_rows
from antiphon.store.database.tables import DAY, ledger, stored_moment
from antiphon.store.rollups import add_rollups

COUNTERS = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
_FACTS = tuple(name for name in LedgerEntry.__struct_fields__ if name not in {"tokens", "costs"})

# In the order of `_row`: what is stored as an entry has it, then what is made of it.
_AS_THEY_ARE = (
    *("id", "api_key_id", "workspace_id", "account_id", "service_account_id", "batch_id"),
    *("model", "served_model", "service_tier", "context_window", "inference_geo"),
    *("stop_reason", "error_type", "uncached_cost"),
)
_COLUMNS = (
    *_AS_THEY_ARE,
    *(f"{counter}_tokens" for counter in (*COUNTERS, "thinking")),
    *(f"{counter}_cost" for counter in COUNTERS),
    *("started_at", "first_token_at", "ended_at", "outcome"),
    *("cost", "money_us", "web_searches", "web_search_cost"),
)
# One call for all of them: a row is made for each request.
_as_they_are = attrgetter(
    *_AS_THEY_ARE,
    *(f"tokens.{counter}" for counter in (*COUNTERS, "thinking")),
    *(f"costs.{counter}" for counter in COUNTERS),
)
_ENTRIES = Target(ledger, _COLUMNS, unique=("id",), told="id")

LONGEST_REQUEST = timedelta(days=1)


async def add_entries(connection: AsyncConnection, entries: Sequence[LedgerEntry]) -> None:
    """Add entries, also to the roll-ups; existing ones stay unchanged, and count no more.

    It comes last in a transaction, which then holds rows that many others want to change.
    """
    if not entries:
        return
    rows = map(_row, entries)
    if connection.dialect.name == "sqlite":
        # Nobody else writes meanwhile, and no entry is ever removed: what is new is behind the
        # last.
        last = await connection.exec_driver_sql("SELECT coalesce(max(rowid), 0) FROM ledger")
        await add_rows(connection, _ENTRIES, rows)
        await add_rollups(connection, "ledger.rowid > ?", (last.scalar_one(),))
    else:
        new = await add_rows(connection, _ENTRIES, rows)
        await add_rollups(connection, "ledger.id = ANY($1)", (new,))


async def find_entries(connection: AsyncConnection, ids: Sequence[str]) -> tuple[LedgerEntry, ...]:
    """Return the entries with these ids, in any order."""
    found = await connection.execute(select(ledger).where(ledger.c.id.in_(ids)))
    facts = set(_FACTS) - {"outcome", "money_us", "web_searches"}
    return tuple(
        LedgerEntry(
            **{name: row[name] for name in facts},
            outcome=Outcome(row["outcome"]),
            money_us=row["money_us"] or 0,
            web_searches=row["web_searches"] or 0,
            tokens=TokenCounts(**{name: row[f"{name}_tokens"] for name in (*COUNTERS, "thinking")}),
            costs=Costs(
                **{name: row[f"{name}_cost"] for name in COUNTERS},
                web_search=row["web_search_cost"] or 0,
            ),
        )
        for row in found.mappings()
    )


async def entries_since(connection: AsyncConnection, moment: datetime) -> tuple[str, ...]:
    """Return the ids of the requests that ended at this moment or later.

    No request takes longer than a day, so an index finds them.
    """
    recent = (ledger.c.started_at >= moment - LONGEST_REQUEST) & (ledger.c.ended_at >= moment)
    return tuple(await connection.scalars(select(ledger.c.id).where(recent)))


async def last_started_at(connection: AsyncConnection) -> datetime | None:
    """Return when the last request of the ledger began."""
    found: datetime | None = await connection.scalar(select(func.max(ledger.c.started_at)))
    return found


def _row(entry: LedgerEntry) -> tuple[object, ...]:
    costs = entry.costs
    return (
        *_as_they_are(entry),
        since_epoch(entry.started_at),
        stored_moment(entry.first_token_at),
        since_epoch(entry.ended_at),
        entry.outcome._value_,
        costs.total,
        entry.money_us or None,
        entry.web_searches or None,
        costs.web_search or None,
    )


_FIRST_DAY = date(1970, 1, 1)


class SpentOnDay(msgspec.Struct, frozen=True):
    """The nano-dollars that a key has spent in a workspace on one day in UTC."""

    day: date
    workspace_id: str | None
    api_key_id: str | None
    amount: int


async def spent_by_day(connection: AsyncConnection, since: date) -> tuple[SpentOnDay, ...]:
    """Sum the costs since a day, for each day and each pair of workspace and key.

    Periods begin and end with a day, and a workspace spends the sum of its keys: so this query
    yields the sums of all periods and all scopes.
    """
    day = literal_column(DAY, BigInteger)
    # SQLite has the days grouped in an index; PostgreSQL has an index of moments.
    recent = (
        day >= (since - _FIRST_DAY).days
        if connection.dialect.name == "sqlite"
        else ledger.c.started_at >= midnight(since)
    )
    scope = (ledger.c.workspace_id, ledger.c.api_key_id)
    query = select(day.label("day"), *scope, func.sum(ledger.c.cost).label("amount"))
    rows = await connection.execute(query.where(recent).group_by(day, *scope))
    return tuple(
        SpentOnDay(
            day=_FIRST_DAY + timedelta(days=row["day"]),
            workspace_id=row["workspace_id"],
            api_key_id=row["api_key_id"],
            amount=int(row["amount"]),
        )
        for row in rows.mappings()
    )
