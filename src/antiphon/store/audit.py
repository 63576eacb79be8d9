"""The audit log: each administrative change, its actor, and the object before and after."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import literal, select, tuple_

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.records import add, read
from antiphon.store.database.tables import audit_log


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


async def add_audit_entry(connection: AsyncConnection, entry: AuditEntry) -> None:
    """Add an entry, in the transaction of its change."""
    await add(connection, audit_log, entry)


async def list_audit_entries(
    connection: AsyncConnection,
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
    object_id: str | None = None,
    since: datetime | None = None,
) -> tuple[AuditEntry, ...]:
    """Return entries, the newest first; `before` is the time and id of the last listed one."""
    query = select(audit_log).order_by(audit_log.c.at.desc(), audit_log.c.id.desc()).limit(limit)
    if before is not None:
        # Compared as one row, so that both databases find the place in the index.
        place = tuple_(audit_log.c.at, audit_log.c.id)
        last = (literal(before[0], audit_log.c.at.type), literal(before[1], audit_log.c.id.type))
        query = query.where(place < tuple_(*last))
    if object_id is not None:
        query = query.where(audit_log.c.object_id == object_id)
    if since is not None:
        query = query.where(audit_log.c.at >= since)
    return await read(connection, AuditEntry, query)
