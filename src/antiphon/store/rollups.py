"""Roll-ups in the database: written in the transaction that adds entries to the ledger.

One statement sums up the new entries, for each minute, hour and day and each combination of
dimensions, and adds the sums to what is stored. So roll-ups and ledger are never apart, whoever
writes, and whatever dies. `store.reports` reads them.

Pages of the whole organization read summaries: sums over all keys and workspaces, which are rows
of their own. They are few, whatever the number of combinations.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Final

from sqlalchemy import delete, select, update

from antiphon.core.billing.rollups import FIRST_TOKEN_BOUNDS_MS, KEPT_FOR, WIDTHS, begin_of
from antiphon.core.moments import MICROSECOND, microseconds_of
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.rollup_tables import DIMENSIONS, usage_floors, usage_rollups

PORTION: Final = 60
"""How many buckets of a width one transaction removes at most."""

SUMMARY: Final = ("model", "error_type")
"""The dimensions of summaries: further rows, summed up over all other dimensions."""

_COUNTERS = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")

# What the queue and the engine took: a wait for money is neither's. Clocks go back sometimes, and
# no time is below zero.
_ADMITTED_AT = "started_at + coalesce(money_us, 0)"
_FIRST_TOKEN_US = (
    f"CASE WHEN first_token_at > {_ADMITTED_AT} THEN first_token_at - ({_ADMITTED_AT}) ELSE 0 END"
)


def _first_tokens(above_ms: int, bound_ms: int | None) -> str:
    # What is below zero is in the first of them, as zero is. `BETWEEN` subtracts only once.
    if bound_ms is None:
        within = f"> {above_ms * 1000}"
    elif above_ms:
        within = f"BETWEEN {above_ms * 1000 + 1} AND {bound_ms * 1000}"
    else:
        within = f"<= {bound_ms * 1000}"
    return f"CASE WHEN first_token_at - ({_ADMITTED_AT}) {within} THEN 1 ELSE 0 END"


FIRST_TOKENS: Final = (
    *(f"first_tokens_{bound}_ms" for bound in FIRST_TOKEN_BOUNDS_MS),
    "first_tokens_longer",
)
"""The columns of `core.billing.rollups:percentile`, in their order."""

MEASURES: Final[Mapping[str, str]] = {
    "requests": "1",
    **{f"{name}_tokens": f"{name}_tokens" for name in (*_COUNTERS, "thinking")},
    **{f"{name}_cost": f"{name}_cost" for name in _COUNTERS},
    "cost": "cost",
    # What the prompt cache has saved, in nano-dollars: the cost of the prompt as plain input,
    # without what it has cost. Entries of earlier releases do not say the first.
    "saved": (
        "CASE WHEN uncached_cost IS NOT NULL AND "
        "cache_write_5m_tokens + cache_write_1h_tokens + cache_read_tokens > 0 "
        "THEN uncached_cost - (cost - output_cost - coalesce(web_search_cost, 0)) ELSE 0 END"
    ),
    "duration_us": "CASE WHEN ended_at > started_at THEN ended_at - started_at ELSE 0 END",
    "first_tokens": "CASE WHEN first_token_at IS NOT NULL THEN 1 ELSE 0 END",
    "first_token_us": _FIRST_TOKEN_US,
    **{
        name: _first_tokens(above, bound)
        for name, above, bound in zip(
            FIRST_TOKENS,
            (0, *FIRST_TOKEN_BOUNDS_MS),
            (*FIRST_TOKEN_BOUNDS_MS, None),
            strict=True,
        )
    },
    # The requests that read anything from the prompt cache.
    "cache_reads": "CASE WHEN cache_read_tokens > 0 THEN 1 ELSE 0 END",
    "web_searches": "coalesce(web_searches, 0)",
    "web_search_cost": "coalesce(web_search_cost, 0)",
}
"""What a roll-up sums up, as an expression over the ledger. All are whole numbers."""


def stored_width(width: timedelta, *, summary: bool = False) -> int:
    """Return a width in the form of the database: microseconds, below zero for summaries."""
    stored = microseconds_of(width)
    return -stored if summary else stored


async def add_rollups(
    connection: AsyncConnection, which: str, parameters: tuple[object, ...]
) -> None:
    """Add entries of the ledger to the roll-ups. Each may be added once.

    `which` is the condition of the entries, in the database's SQL.
    """
    # In the order of their keys: two transactions that took them in other orders could wait for
    # each other on PostgreSQL. They come last in every transaction, for the same reason.
    await connection.exec_driver_sql(adding_groups().format(which=which), [parameters])
    await connection.exec_driver_sql(adding_rollups().format(which=which), [parameters])


@cache
def adding_groups() -> str:
    """Return the statement that adds the combinations of `{which}` entries that are new.

    Each has that of its summary beside it, in which all other dimensions are empty.
    """
    names = ", ".join(DIMENSIONS)
    values = ", ".join(f"coalesce(ledger.{name}, '') AS {name}" for name in DIMENSIONS)
    summaries = ", ".join(f"{_in_summary('fresh', name)} AS {name}" for name in DIMENSIONS)
    return f"""
        INSERT INTO usage_groups ({names})
        WITH fresh AS (
            SELECT DISTINCT {values} FROM ledger
            WHERE {{which}} AND NOT EXISTS (SELECT 1 FROM usage_groups AS g WHERE {_same_group()})
        )
        SELECT {names} FROM fresh UNION SELECT {summaries} FROM fresh
        ORDER BY {names}
        ON CONFLICT ({names}) DO NOTHING
    """  # noqa: S608 - names of columns


@cache
def adding_rollups() -> str:
    """Return the statement that adds `{which}` entries to the sums of their buckets.

    The combinations are there.
    """
    sums = ", ".join(f"sum({made}) AS {name}" for name, made in MEASURES.items())
    names = ", ".join(MEASURES)
    same_summary = " AND ".join(f"s.{name} = {_in_summary('g', name)}" for name in DIMENSIONS)
    # PostgreSQL's sums of whole numbers are decimals.
    all_sums = ", ".join(f"CAST(sum(m.{name}) AS BIGINT)" for name in MEASURES)
    added = ", ".join(f"{name} = usage_rollups.{name} + excluded.{name}" for name in MEASURES)
    widths = " UNION ALL ".join(
        f"SELECT {stored_width(one)} AS width, {stored_width(one, summary=summary)} AS stored"
        for one in WIDTHS
        for summary in (False, True)
    )
    # A cross join keeps its order on SQLite: each entry looks for its group, and each sum of a
    # group for its summary.
    return f"""
        INSERT INTO usage_rollups (width, start, group_id, {names})
        SELECT w.stored, m.minute - m.minute % w.width,
            CASE WHEN w.stored < 0 THEN s.id ELSE m.group_id END, {all_sums}
        FROM (
            SELECT ledger.started_at - ledger.started_at % 60000000 AS minute, g.id AS group_id,
                {sums}
            FROM ledger CROSS JOIN usage_groups AS g
            WHERE {{which}} AND {_same_group()}
            GROUP BY 1, 2
        ) AS m CROSS JOIN usage_groups AS g CROSS JOIN usage_groups AS s CROSS JOIN ({widths}) AS w
        WHERE g.id = m.group_id AND {same_summary}
        GROUP BY 1, 2, 3
        ORDER BY 1, 2, 3
        ON CONFLICT (width, start, group_id) DO UPDATE SET {added}
    """  # noqa: S608 - names of columns


def _same_group() -> str:
    return " AND ".join(f"g.{name} = coalesce(ledger.{name}, '')" for name in DIMENSIONS)


def _in_summary(table: str, name: str) -> str:
    return f"{table}.{name}" if name in SUMMARY else "''"


async def rollup_floors(connection: AsyncConnection) -> dict[timedelta, datetime]:
    """Return for each width that is not kept for ever from when on its roll-ups are whole."""
    rows = await connection.execute(select(usage_floors))
    return {row["width"] * MICROSECOND: row["start"] for row in rows.mappings()}


async def forget_rollups(connection: AsyncConnection, now: datetime) -> bool:
    """Remove roll-ups that are older than they are kept: the oldest `PORTION` of each width.

    Returns whether there are more. What began before the floor is read from the ledger.
    """
    more = False
    columns = usage_rollups.c
    for width, floor in (await rollup_floors(connection)).items():
        until = begin_of(now - KEPT_FOR[width], width)
        of_width = columns.width == stored_width(width)
        oldest = await connection.scalar(
            select(columns.start).where(of_width).order_by(columns.start).limit(1)
        )
        if oldest is not None and oldest < until:
            wanted, until = until, min(until, oldest + PORTION * width)
            more = more or until < wanted
            for gone in (of_width, columns.width == stored_width(width, summary=True)):
                await connection.execute(delete(usage_rollups).where(gone, columns.start < until))
        if until > floor:
            raised = update(usage_floors).where(usage_floors.c.width == stored_width(width))
            await connection.execute(raised.values(start=until))
    return more
