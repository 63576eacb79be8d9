"""Rows as frozen values: the common steps of the functions of all tables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Executable, Table, insert, select
from sqlalchemy.dialects import sqlite

from antiphon.store.database.connection import AsyncConnection

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

T = TypeVar("T")


def insertion(connection: AsyncConnection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    """Return an `INSERT` that supports `ON CONFLICT`, which both databases spell alike."""
    if connection.dialect.name == "postgresql":
        # Its import takes a tenth of the time of the server's, and SQLite does not need it.
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert(table)
    return sqlite.insert(table)


async def add(connection: AsyncConnection, table: Table, record: object) -> None:
    """Insert a record; its fields have the names of the table's columns."""
    row = {column.name: getattr(record, column.name) for column in table.columns}
    await connection.execute(insert(table).values(row))


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
    """Return a value of `kind` for each row; `convert` converts columns, for example to enums."""
    converters = (convert or {}).items()
    found = await connection.execute(query, parameters)
    names = tuple(found.keys())
    values = []
    # Plain tuples: a mapping of SQLAlchemy for each row takes three times as long.
    for row in map(tuple, found.all()):
        given = dict(zip(names, row, strict=True))
        for name, make in converters:
            given[name] = make(given[name])
        values.append(kind(**given))
    return tuple(values)
