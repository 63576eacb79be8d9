"""One-time links to the Console: their tokens, of which the database has the digests."""

from datetime import datetime
from typing import TYPE_CHECKING

from antiphon.core.errors import AuthenticationError
from antiphon.core.ids import SECRET_ENTROPY, hash_secret, make_secret
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.store.console import Link, LinkKind, add_link, find_link, take_link

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection

# The page of each kind. The token stands in the fragment, which browsers send to nobody.
_PAGES = {LinkKind.SETUP: "setup", LinkKind.SIGN_IN: "sign-in", LinkKind.INVITE: "invite"}
# The links of one kind for one subject that work at a time: several servers may have started.
MOST_AT_A_TIME = 10


async def make_link(
    connection: "AsyncConnection",
    transactions: AdminTransactions,
    kind: LinkKind,
    expires_at: datetime,
    subject: str | None = None,
) -> str:
    """Store a new link, and return its token."""
    token = make_secret(transactions.entropy(SECRET_ENTROPY), "")
    link = Link(
        digest=hash_secret(token),
        kind=kind,
        subject=subject,
        created_at=transactions.now(),
        expires_at=expires_at,
    )
    await add_link(connection, link, MOST_AT_A_TIME)
    return token


async def use_link(
    connection: "AsyncConnection", token: str, kind: LinkKind, now: datetime
) -> str | None:
    """Use up a link, and return its subject. Raises `AuthenticationError` for one that is over.

    If the transaction fails, the link is as it was.
    """
    return _subject(await take_link(connection, hash_secret(token), kind), now)


async def check_link(
    connection: "AsyncConnection", token: str, kind: LinkKind, now: datetime
) -> str | None:
    """Return the subject of a link, which stays usable. Raises `AuthenticationError`."""
    return _subject(await find_link(connection, hash_secret(token), kind), now)


def _subject(link: Link | None, now: datetime) -> str | None:
    if link is None or link.expires_at <= now:
        raise AuthenticationError("This link was used before, has expired, or never worked")
    return link.subject


def link_to(base_url: str, kind: LinkKind, token: str) -> str:
    """Return the address of a link. It is a secret until it was used."""
    return f"{base_url.rstrip('/')}/console/{_PAGES[kind]}#token={token}"
