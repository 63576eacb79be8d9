"""The audit log, page by page, and the search for what was done to an object."""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from datetime import datetime
from typing import Any

from antiphon.core.pagination import TokenCursor, cut_page
from antiphon.service.admin.transactions import AdminTransactions, moment
from antiphon.store.audit import EVERY_CHANGE, AuditEntry, AuditFilter, list_audit_entries
from antiphon.wire.admin.organizations import AuditInfo, TokenListing

# The entries that are read at once while the log is searched.
_PAGE = 1000
# The name by which the limits of the organization are found.
ORGANIZATION = "organization"


def _concerns(entry: AuditEntry, ids: Collection[str]) -> bool:
    """Return whether a change was one of these objects, or of their limits or members."""
    named = entry.object_id
    if named in ids or any(named.startswith(f"{one}/") or named.endswith(f"/{one}") for one in ids):
        return True
    scope = limit_scope(entry) or {}
    return scope.get("workspace_id", scope.get("api_key_id", scope.get("type"))) in ids


def _names(entry: AuditEntry, wanted: str) -> bool:
    """Return whether the object of a change had this id, name or address."""
    return entry.object_id == wanted or any(
        wanted in {described.get("name"), described.get("email")}
        for described in (entry.before, entry.after)
        if described is not None
    )


class AuditLog:
    """Lists administrative changes."""

    def __init__(self, transactions: AdminTransactions) -> None:
        self._transactions = transactions

    async def page(
        self,
        cursor: TokenCursor,
        wanted: AuditFilter = EVERY_CHANGE,
        *,
        newest_first: bool = True,
    ) -> TokenListing:
        """Return a page. Raises `InvalidRequestError` for a token of another listing."""
        async with self._transactions.read() as connection:
            found = await list_audit_entries(
                connection,
                limit=cursor.size + 1,
                after=cursor.place,
                wanted=wanted,
                newest_first=newest_first,
            )
        shown, following = cut_page(found, cursor.size, lambda entry: (entry.at, entry.id))
        return TokenListing(data=tuple(map(audit_info, shown)), next_page=following)

    async def search(
        self, *, limit: int, since: datetime | None = None, ids: Collection[str] | None = None
    ) -> tuple[AuditInfo, ...]:
        """Return the newest changes since a moment, of all objects or of those with these ids.

        With `ids` it reads the log from its newest entry on until `limit` entries are found: at
        worst all entries since the moment, of which it keeps a page in memory.
        """
        found: list[AuditEntry] = []
        async with aclosing(self._pages(limit if ids is None else _PAGE, since)) as pages:
            async for page in pages:
                found += [one for one in page if ids is None or _concerns(one, ids)]
                if len(found) >= limit:
                    break
        return tuple(audit_info(entry) for entry in found[:limit])

    async def once_named(self, wanted: str) -> frozenset[str]:
        """Return the ids of the objects that had this id, name or address in any entry.

        It reads the whole log, a page at a time.
        """
        found: set[str] = set()
        async with aclosing(self._pages(_PAGE)) as pages:
            async for page in pages:
                found |= {one.object_id for one in page if _names(one, wanted)}
        return frozenset(found)

    async def _pages(
        self, size: int, since: datetime | None = None
    ) -> AsyncGenerator[tuple[AuditEntry, ...]]:
        after: tuple[datetime, str] | None = None
        wanted = AuditFilter(start=since)
        async with self._transactions.read() as connection:
            while True:
                page = await list_audit_entries(connection, limit=size, after=after, wanted=wanted)
                yield page
                if len(page) < size:
                    return
                after = page[-1].at, page[-1].id


def limit_scope(entry: AuditEntry) -> dict[str, Any] | None:
    """Return whose limit was changed, `None` if the change was none of a limit."""
    described = entry.after or entry.before or {}
    match entry.object_type:
        case "spend_limit":
            scope: dict[str, Any] = described["scope"]
            return scope
        case "limit_increase_request":
            of: dict[str, Any] = described["limit"]["scope"]
            return of
        case "rate_limit":
            for kind in ("workspace", "api_key"):
                if owner := described.get(f"{kind}_id"):
                    return {"type": kind, f"{kind}_id": owner}
            return {"type": ORGANIZATION}
        case _:
            return None


def audit_info(entry: AuditEntry) -> AuditInfo:
    """Return an entry as the API shows it."""
    return AuditInfo(
        id=entry.id,
        created_at=moment(entry.at),
        actor=entry.actor,
        action=entry.action,
        object={"type": entry.object_type, "id": entry.object_id},
        scope=limit_scope(entry),
        before=entry.before,
        after=entry.after,
        request_id=entry.request_id,
    )
