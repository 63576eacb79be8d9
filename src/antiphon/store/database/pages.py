"""Pages of tables: rows in an order that an index serves, found by the last one of another page.

A listing by ids is read with `read_page`. One by tokens, which know the place of a row, is read
with the condition of what is `behind` that place.
"""

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Column, ColumnElement, Select, Table, literal, select, true, tuple_

from antiphon.core.pagination import IdCursor, check_cursor, unknown_id
from antiphon.store.database import records
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.records import read

T = TypeVar("T")


class Order(NamedTuple):
    """The order of a listing. Ids decide between equal values, in the same direction."""

    by: ColumnElement[Any]
    id: ColumnElement[str]
    is_descending: bool = True


class Page(NamedTuple, Generic[T]):
    """Some rows in their order, and whether more follow in the requested direction."""

    records: tuple[T, ...]
    has_more: bool


class Rows(NamedTuple):
    """The rows of a listing: of which table, in which order.

    `seen` says which rows its reader may know of, and `wanted` which of them are asked for. A
    cursor may name any that is seen, for example one that was archived since.
    """

    table: Table
    order: Order
    seen: Sequence[ColumnElement[bool]] = ()
    wanted: Sequence[ColumnElement[bool]] = ()


async def read_page(
    connection: AsyncConnection,
    kind: type[T],
    rows: Rows,
    cursor: IdCursor,
    convert: Mapping[str, Any] | None = None,
) -> Page[T]:
    """Return one page of rows as values of `kind`.

    With `before_id` the page ends just before that row. Raises `InvalidRequestError` for an id that
    is not in the listing, and for both ids at once.
    """
    check_cursor(cursor)
    order = rows.order
    backwards = cursor.before_id is not None
    query = select(rows.table).where(*rows.seen, *rows.wanted)
    edge = cursor.before_id if backwards else cursor.after_id
    falls = order.is_descending != backwards
    if falls:
        query = query.order_by(order.by.desc(), order.id.desc())
    else:
        query = query.order_by(order.by, order.id)
    parts: Sequence[ColumnElement[bool]] = [true()]
    if edge is not None:
        name = "before_id" if backwards else "after_id"
        value = await _value_of(connection, rows, edge, name)
        parts = _parts_behind(order, value, edge, falls=falls)
    found: tuple[T, ...] = ()
    for part in parts:
        asked = query.where(part)
        if cursor.limit != sys.maxsize:
            asked = asked.limit(cursor.limit + 1 - len(found))
        found += await read(connection, kind, asked, convert)
    shown = found[: cursor.limit]
    return Page(shown[::-1] if backwards else shown, len(found) > cursor.limit)


async def read_portions(  # noqa: PLR0913 - what is read, as what, in which order
    connection: AsyncConnection,
    kind: type[T],
    query: Select[*tuple[Any, ...]],
    by: Sequence[Column[Any]],
    convert: Mapping[str, Any] | None = None,
    *,
    falls: bool = False,
) -> AsyncGenerator[tuple[T, ...]]:
    """Yield values as `read` returns them, a portion at a time, in the order of unique columns.

    So other work of the event loop waits for one portion, some milliseconds, however many rows
    there are. `kind` has fields of the names of the columns.
    """
    order = [one.desc() for one in by] if falls else by
    ordered = query.order_by(*order).limit(records.PORTION)
    portion = await read(connection, kind, ordered, convert)
    while portion:
        yield portion
        if len(portion) < records.PORTION:
            return
        place = [getattr(portion[-1], one.name) for one in by]
        rest = ordered.where(behind(by, place, falls=falls))
        portion = await read(connection, kind, rest, convert)


def as_row(columns: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> ColumnElement[Any]:
    """Return values of columns as one row, for comparisons with the row of these columns."""
    return tuple_(*(literal(one, to.type) for one, to in zip(values, columns, strict=True)))


def behind(
    columns: Sequence[ColumnElement[Any]], place: Sequence[Any], *, falls: bool
) -> ColumnElement[bool]:
    """Return the condition of the rows behind a place in the order of columns.

    They are compared as one row, so that both databases find the place in the index.
    """
    row, last = tuple_(*columns), as_row(columns, place)
    return row < last if falls else row > last


def within(
    column: ColumnElement[datetime], start: datetime | None, end: datetime | None
) -> list[ColumnElement[bool]]:
    """Return the conditions of a span of time, without its end; `None` is no bound."""
    conditions = [] if start is None else [column >= start]
    return conditions if end is None else [*conditions, column < end]


def _parts_behind(
    order: Order, value: object, edge: str, *, falls: bool
) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of the rows behind an edge, in parts that follow each other.

    An index finds the place of each.
    """
    if isinstance(order.by, Column):
        return [behind((order.by, order.id), (value, edge), falls=falls)]
    # SQLite finds no expression in an index that is compared as a part of a row.
    same = order.by == value
    if falls:
        return [same & (order.id < edge), order.by < value]
    return [same & (order.id > edge), order.by > value]


async def _value_of(connection: AsyncConnection, rows: Rows, row_id: str, name: str) -> object:
    """Return the value by which a row is ordered."""
    # PostgreSQL refuses a text with a NUL, and no id has one.
    if "\0" not in row_id:
        order = rows.order
        query = select(order.by).where(order.id == row_id, *rows.seen)
        row = (await connection.execute(query)).first()
        if row is not None:
            return row[0]
    raise unknown_id(row_id, name)
