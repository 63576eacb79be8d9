"""The audit log, page by page."""

import re
from datetime import UTC, datetime, timedelta

from antiphon.core.pagination import (
    not_a_page,
    page_position,
    page_token,
)
from antiphon.service.admin.transactions import AdminTransactions, moment
from antiphon.store.audit import AuditEntry, list_audit_entries
from antiphon.wire.admin.organizations import AuditInfo, TokenListing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The position after an entry: its moment in microseconds, and its id.
_POSITION = re.compile(r"([0-9]{1,17}) ([0-9A-Za-z_]+)", re.ASCII)


class AuditLog:
    """Lists administrative changes, the newest first."""

    def __init__(self, transactions: AdminTransactions) -> None:
        self._transactions = transactions

    async def page(
        self, *, limit: int, token: str | None = None, object_id: str | None = None
    ) -> TokenListing:
        """Return a page. Raises `InvalidRequestError` for a token of another listing."""
        before = None if token is None else _after(token)
        async with self._transactions.read() as connection:
            found = await list_audit_entries(
                connection, limit=limit + 1, before=before, object_id=object_id
            )
        shown = found[:limit]
        return TokenListing(
            data=tuple(audit_info(entry) for entry in shown),
            next_page=_token_after(shown[-1]) if len(found) > limit else None,
        )


def audit_info(entry: AuditEntry) -> AuditInfo:
    """Return an entry as the API shows it."""
    return AuditInfo(
        id=entry.id,
        created_at=moment(entry.at),
        actor=entry.actor,
        action=entry.action,
        object={"type": entry.object_type, "id": entry.object_id},
        before=entry.before,
        after=entry.after,
        request_id=entry.request_id,
    )


def _token_after(entry: AuditEntry) -> str:
    return page_token(f"{(entry.at - _EPOCH) // _MICROSECOND} {entry.id}")


def _after(token: str) -> tuple[datetime, str]:
    position = _POSITION.fullmatch(page_position(token) or "")
    if position is None:
        raise not_a_page()
    return _EPOCH + int(position[1]) * _MICROSECOND, position[2]
