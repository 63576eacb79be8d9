"""Adds many rows to a table by few statements.

SQLite's driver needs Python's lock for each statement, and the event loop's thread holds it nearly
all the time. Row by row, a group of 250 took 50 ms beside a busy loop; so a statement has many
rows. PostgreSQL takes a list for each column.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from sqlalchemy import JSON, BigInteger, Boolean, Integer, Table

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.tables import Moment

ROWS_AT_ONCE: Final = 250
"""How many rows are sent at once."""
MADE_AT_ONCE: Final = 32
"""How many rows are made at once: other work of the event loop waits so long, 2 µs a row."""

_IN_STATEMENT: Final = (50, 10, 1)


class Target(NamedTuple):
    """Where rows are added: their columns, in their order, and the unique ones of these.

    A row whose unique columns are there already changes nothing; without unique columns it is an
    error. JSON is given as text. `told` is the column of which
    PostgreSQL tells the values of new rows.
    """

    table: Table
    columns: tuple[str, ...]
    unique: tuple[str, ...] = ()
    told: str | None = None

    @property
    def _names(self) -> str:
        return ", ".join(self.columns)

    @property
    def _unless_known(self) -> str:
        return f"ON CONFLICT ({', '.join(self.unique)}) DO NOTHING" if self.unique else ""

    def by_values(self, rows: int) -> str:
        """Return SQLite's statement for so many rows, whose values follow one another."""
        row = f"({', '.join('?' * len(self.columns))})"
        values = ", ".join([row] * rows)
        return f"INSERT INTO {self.table.name} ({self._names}) VALUES {values} {self._unless_known}"  # noqa: S608 - names

    def by_arrays(self) -> str:
        """Return PostgreSQL's statement, which takes the values of each column."""
        kinds = (_kind(self.table.c[name].type) for name in self.columns)
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, start=1))
        told = f" RETURNING {self.told}" if self.told else ""
        return (
            f"INSERT INTO {self.table.name} ({self._names}) "  # noqa: S608 - names
            f"SELECT * FROM unnest({arrays}) {self._unless_known}{told}"
        )


async def add_rows(
    connection: AsyncConnection, target: Target, rows: Iterable[tuple[object, ...]]
) -> list[Any]:
    """Add rows, which are made as they are sent. Returns what `Target.told` says."""
    told: list[Any] = []
    rest = iter(rows)
    while some := await _made(rest):
        if connection.dialect.name == "sqlite":
            await _add_by_values(connection, target, some)
            continue
        columns = tuple(list(column) for column in zip(*some, strict=True))
        added = await connection.exec_driver_sql(_by_arrays(target), [columns])
        if target.told:
            told += added.scalars()
    return told


async def _made(rows: Iterator[tuple[object, ...]]) -> list[tuple[object, ...]]:
    made = list(islice(rows, MADE_AT_ONCE))
    while made and len(made) % MADE_AT_ONCE == 0 and len(made) < ROWS_AT_ONCE:
        await asyncio.sleep(0)
        more = list(islice(rows, min(MADE_AT_ONCE, ROWS_AT_ONCE - len(made))))
        if not more:
            break
        made += more
    return made


async def _add_by_values(
    connection: AsyncConnection, target: Target, rows: Sequence[tuple[object, ...]]
) -> None:
    place = 0
    for size in _IN_STATEMENT:
        until = len(rows) - (len(rows) - place) % size
        groups = [
            tuple(chain.from_iterable(rows[start : start + size]))
            for start in range(place, until, size)
        ]
        place = until
        if groups:
            # One call of the driver, which executes the same prepared statement again and again.
            await connection.exec_driver_sql(_by_values(target, size), groups)


@cache
def _by_values(target: Target, rows: int) -> str:
    return target.by_values(rows)


@cache
def _by_arrays(target: Target) -> str:
    return target.by_arrays()


def _kind(column: Any) -> str:
    match column:
        case Boolean():
            return "boolean"
        case BigInteger() | Integer() | Moment():
            return "bigint"
        case JSON():
            return "json"
        case _:
            return "text"
