"""The audit log: each administrative change, its actor, and the object before and after."""

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import select

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.many_rows import Target, add_rows
from antiphon.store.database.pages import behind, within
from antiphon.store.database.records import read
from antiphon.store.database.tables import audit_log, stored_moment

# In the order of `_row`.
_ENTRIES: Final = Target(
    audit_log,
    (
        *("id", "at", "actor", "action", "object_type", "object_id"),
        *("before", "after", "request_id", "actor_id"),
    ),
)


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One administrative change, written in the transaction that makes it.

    `actor` is an admin key, or the command line. `before` is `None` for a new object, `after` for
    a removed one.
    """

    id: str
    at: datetime
    actor: dict[str, Any]
    action: str
    object_type: str
    object_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    request_id: str | None = None

    @property
    def actor_id(self) -> str | None:
        """The id of the actor, if it has one."""
        return self.actor.get("id")


async def add_audit_entry(connection: AsyncConnection, *entries: AuditEntry) -> None:
    """Add entries, in the transaction of their changes."""
    await add_rows(connection, _ENTRIES, map(_row, entries))


def _row(entry: AuditEntry) -> tuple[object, ...]:
    return (
        entry.id,
        stored_moment(entry.at),
        _json(entry.actor),
        entry.action,
        entry.object_type,
        entry.object_id,
        _json(entry.before),
        _json(entry.after),
        entry.request_id,
        entry.actor_id,
    )


def _json(described: dict[str, Any] | None) -> str | None:
    return None if described is None else msgspec.json.encode(described).decode()


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects entries; a filter of `None` selects all. The time excludes its end."""

    object_id: str | None = None
    actor_id: str | None = None
    action: str | None = None
    start: datetime | None = None
    end: datetime | None = None


EVERY_CHANGE: Final = AuditFilter()


async def list_audit_entries(
    connection: AsyncConnection,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
    wanted: AuditFilter = EVERY_CHANGE,
    newest_first: bool = True,
) -> tuple[AuditEntry, ...]:
    """Return entries in the order of time; `after` is the time and id of the last listed one.

    One filter of `object_id`, `actor_id` and `action` is found by its index.
    """
    columns = audit_log.c
    query = select(audit_log).where(*within(columns.at, wanted.start, wanted.end)).limit(limit)
    if newest_first:
        query = query.order_by(columns.at.desc(), columns.id.desc())
    else:
        query = query.order_by(columns.at, columns.id)
    if after is not None:
        query = query.where(behind((columns.at, columns.id), after, falls=newest_first))
    for name in ("object_id", "actor_id", "action"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(columns[name] == value)
    return await read(connection, AuditEntry, query)
