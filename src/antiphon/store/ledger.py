"""The ledger at rest: entries are added and never changed; everything else is a sum of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, RowMapping, case, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from antiphon.core.ledger import LedgerEntry
from antiphon.core.usage import Costs, Outcome, TokenCounts
from antiphon.store.tables import ledger

COUNTERS = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
_FACTS = tuple(name for name in LedgerEntry.__struct_fields__ if name not in {"tokens", "costs"})


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
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    adding = dialect.insert(ledger).on_conflict_do_nothing(index_elements=[ledger.c.id])
    await connection.execute(adding, [_row(entry) for entry in entries])


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


def _row(entry: LedgerEntry) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(entry, name) for name in _FACTS}
    tokens, costs = entry.tokens, entry.costs
    for counter in COUNTERS:
        row[f"{counter}_tokens"] = getattr(tokens, counter)
        row[f"{counter}_cost"] = getattr(costs, counter)
    row["thinking_tokens"] = tokens.thinking
    row["cost"] = costs.total
    return row


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
