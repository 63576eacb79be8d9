"""Rows as frozen values: the common steps of the functions of all tables."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Executable, Table, insert, select
from sqlalchemy.dialects import sqlite

from antiphon.core.names import folded
from antiphon.store.database.connection import AsyncConnection

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

T = TypeVar("T")

PORTION: Final = 250
"""How many rows are read at once of what may be many."""


def insertion(connection: AsyncConnection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Return an `INSERT` that supports `ON CONFLICT`, which both databases spell alike."""
    if connection.dialect.name == "postgresql":
        # Its import takes a tenth of the time of the server's, and SQLite does not need it.
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert(table)
    return sqlite.insert(table)


async def add(connection: AsyncConnection, table: Table, *records: object) -> None:
    """Insert records; their fields have the names of the table's columns."""
    names = [column.name for column in table.columns]
    rows = [{name: getattr(record, name) for name in names} for record in records]
    await connection.execute(insert(table), rows)


def with_folded_name(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of a row, with its folded name if its name is one of them."""
    folding = {"folded_name": folded(changes["name"])} if "name" in changes else {}
    return {**changes, **folding}


async def find(
    connection: AsyncConnection, kind: type[T], table: Table, record_id: str
) -> T | None:
    """Return the record with this id. PostgreSQL refuses a text with a NUL, and no id has one."""
    if "\0" in record_id:
        return None
    one = select(table).where(table.c.id == record_id)
    return next(iter(await read(connection, kind, one)), None)


async def read(
    connection: AsyncConnection,
    kind: type[T],
    query: Executable,
    convert: Mapping[str, Any] | None = None,
    parameters: Mapping[str, object] | None = None,
) -> tuple[T, ...]:
    """Return a value of `kind` for each row; `convert` converts columns, for example to enums.

    Columns that are no fields of `kind` are left out.
    """
    found = await connection.execute(query, parameters)
    fields, makers = _fields(kind), convert or {}
    places = [(place, name) for place, name in enumerate(found.keys()) if name in fields]
    converted = [(place, name, makers[name]) for place, name in places if name in makers]
    values = []
    # Plain tuples: a mapping of SQLAlchemy for each row takes three times as long.
    for row in map(tuple, found.all()):
        given = {name: row[place] for place, name in places}
        for place, name, make in converted:
            given[name] = make(row[place])
        values.append(kind(**given))
    return tuple(values)


def _fields(kind: type) -> Collection[str]:
    fields: Collection[str] | None = getattr(kind, "__struct_fields__", None)
    return getattr(kind, "__dataclass_fields__", ()) if fields is None else fields


def portions(ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield ids, at most `PORTION` at once: SQLite takes some thousand in a statement."""
    rest = iter(ids)
    while portion := tuple(islice(rest, PORTION)):
        yield portion
