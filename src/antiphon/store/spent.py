"""What was spent, day by day: a sum over the ledger."""

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import BigInteger, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from antiphon.core.limits.periods import midnight
from antiphon.store.tables import DAY, ledger

_FIRST_DAY = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a key has spent in a workspace on one day in UTC, in nano-dollars."""

    day: date
    workspace_id: str | None
    api_key_id: str | None
    amount: int


async def spent_by_day(connection: AsyncConnection, since: date) -> tuple[Spent, ...]:
    """Sum what was spent since a day, for each day and each pair of workspace and key.

    Periods begin and end with a day, and what a workspace spent is the sum over its keys: so
    this one question answers for all periods and all scopes.
    """
    day = literal_column(DAY, BigInteger)
    # SQLite finds the days already grouped in an index, PostgreSQL a span of moments.
    recent = (
        day >= (since - _FIRST_DAY).days
        if connection.dialect.name == "sqlite"
        else ledger.c.started_at >= midnight(since)
    )
    scope = (ledger.c.workspace_id, ledger.c.api_key_id)
    query = select(day.label("day"), *scope, func.sum(ledger.c.cost).label("amount"))
    rows = await connection.execute(query.where(recent).group_by(day, *scope))
    return tuple(
        Spent(
            day=_FIRST_DAY + timedelta(days=row["day"]),
            workspace_id=row["workspace_id"],
            api_key_id=row["api_key_id"],
            amount=int(row["amount"]),
        )
        for row in rows.mappings()
    )
