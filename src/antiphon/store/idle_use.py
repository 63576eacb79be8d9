"""What batches used of the engines' time, in hours: added up by every process, kept for a while."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import RowMapping, case, delete, select

from antiphon.core.idle_use import DELAY_BOUNDS_MS, IdleUse
from antiphon.store.database.batch_tables import idle_use
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.records import insertion

_SECONDS: Final = ("total", "busy", "interactive", "delay", "longest_delay")
_COUNTS: Final = ("interactive", "yielded", "parked")
_DELAYS: Final = (*(f"delays_{bound}_ms" for bound in DELAY_BOUNDS_MS), "delays_longer")
_LONGEST: Final = "longest_delay_us"
_MICROSECONDS: Final = 1_000_000


class LaneHour(NamedTuple):
    """An hour of a lane: the beginning of the hour, and the name of the lane."""

    hour: datetime
    lane: str


async def add_idle_uses(connection: AsyncConnection, uses: Mapping[LaneHour, IdleUse]) -> None:
    """Add to what is stored of each hour of each lane."""
    columns = idle_use.c
    # All processes take the rows in one order, so that no two of them wait for each other.
    for at, use in sorted(uses.items()):
        adding = insertion(connection, idle_use).values(**at._asdict(), **_row(use))
        sums = {name: columns[name] + adding.excluded[name] for name in _row(use)}
        longer = adding.excluded[_LONGEST] > columns[_LONGEST]
        sums[_LONGEST] = case((longer, adding.excluded[_LONGEST]), else_=columns[_LONGEST])
        key = ["hour", "lane"]
        await connection.execute(adding.on_conflict_do_update(index_elements=key, set_=sums))


async def idle_uses(
    connection: AsyncConnection, start: datetime, end: datetime
) -> dict[LaneHour, IdleUse]:
    """Return the hours that begin from `start` to before `end`, in their order."""
    columns = idle_use.c
    query = select(idle_use).where(columns.hour >= start, columns.hour < end)
    rows = await connection.execute(query.order_by(columns.hour, columns.lane))
    return {LaneHour(row["hour"], row["lane"]): _use(row) for row in rows.mappings()}


async def forget_idle_use(connection: AsyncConnection, before: datetime) -> None:
    """Remove the hours that began before a moment."""
    await connection.execute(delete(idle_use).where(idle_use.c.hour < before))


def _row(use: IdleUse) -> dict[str, int]:
    return {
        **{f"{name}_us": round(getattr(use, f"{name}_s") * _MICROSECONDS) for name in _SECONDS},
        **{name: getattr(use, name) for name in _COUNTS},
        **dict(zip(_DELAYS, use.delays, strict=True)),
    }


def _use(row: RowMapping) -> IdleUse:
    return IdleUse(
        **{f"{name}_s": row[f"{name}_us"] / _MICROSECONDS for name in _SECONDS},
        **{name: row[name] for name in _COUNTS},
        delays=tuple(row[name] for name in _DELAYS),
    )
