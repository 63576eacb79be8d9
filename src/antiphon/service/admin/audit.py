"""The audit log, page by page."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from datetime import UTC, datetime, timedelta

from antiphon.core.errors import InvalidRequestError
from antiphon.service.admin.transactions import AdminTransactions, moment
from antiphon.store.audit import AuditEntry, list_audit_entries
from antiphon.wire.admin.organizations import AuditInfo, TokenListing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# When and which entry was the last one: microseconds, and an id.
_PLACE = re.compile(r"([0-9]{1,17}) ([0-9A-Za-z_]+)", re.ASCII)


class AuditLog:
    """Reads what was changed, the newest first."""

    def __init__(self, office: AdminTransactions) -> None:
        self._office = office

    async def page(
        self, *, limit: int, token: str | None = None, object_id: str | None = None
    ) -> TokenListing:
        """Return a page. Raises `InvalidRequestError` for a token that was not given here."""
        before = None if token is None else _place(token)
        async with self._office.read() as connection:
            found = await list_audit_entries(
                connection, limit=limit + 1, before=before, object_id=object_id
            )
        shown = found[:limit]
        return TokenListing(
            data=tuple(audit_info(entry) for entry in shown),
            next_page=_token(shown[-1]) if len(found) > limit else None,
        )


def audit_info(entry: AuditEntry) -> AuditInfo:
    """Describe an entry."""
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


def _token(entry: AuditEntry) -> str:
    place = f"{(entry.at - _EPOCH) // _MICROSECOND} {entry.id}"
    return "page_" + urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(token: str) -> tuple[datetime, str]:
    text = token.removeprefix("page_")
    wrong = InvalidRequestError("page: not a page of this listing")
    try:
        place = _PLACE.fullmatch(urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    except (Base64Error, ValueError) as error:
        raise wrong from error
    if place is None:
        raise wrong
    return _EPOCH + int(place[1]) * _MICROSECOND, place[2]
