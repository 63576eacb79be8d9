"""Who users are at an OpenID provider: by issuer and subject, which never change."""

from datetime import datetime

import msgspec
from sqlalchemy import delete, select

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.console_tables import answered_requests, identities
from antiphon.store.database.records import insertion, read


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A person at a provider, and the user who that is; `None` for one who was removed."""

    issuer: str
    subject: str
    user_id: str | None
    linked_at: datetime


async def find_identity(connection: AsyncConnection, issuer: str, subject: str) -> Identity | None:
    """Return what is known of a person at a provider."""
    columns = identities.c
    one = select(identities).where(columns.issuer == issuer, columns.subject == subject)
    return next(iter(await read(connection, Identity, one)), None)


async def identity_of(connection: AsyncConnection, issuer: str, user_id: str) -> Identity | None:
    """Return who a user is at a provider, if the user was linked to somebody there."""
    columns = identities.c
    one = select(identities).where(columns.issuer == issuer, columns.user_id == user_id)
    return next(iter(await read(connection, Identity, one)), None)


async def set_identity(connection: AsyncConnection, identity: Identity) -> None:
    """Link a person at a provider to a user, in place of an earlier one.

    The transaction fails with `DuplicateError` if the user is somebody else there.
    """
    row = {name: getattr(identity, name) for name in Identity.__struct_fields__}
    one = insertion(connection, identities).values(row)
    new = {"user_id": identity.user_id, "linked_at": identity.linked_at}
    await connection.execute(
        one.on_conflict_do_update(index_elements=["issuer", "subject"], set_=new)
    )


async def remove_identity(connection: AsyncConnection, issuer: str, user_id: str) -> bool:
    """Forget who a user is at a provider; return whether that was known."""
    columns = identities.c
    theirs = delete(identities).where(columns.issuer == issuer, columns.user_id == user_id)
    return bool((await connection.execute(theirs)).rowcount)


async def answer_once(
    connection: AsyncConnection, digest: bytes, now: datetime, expires_at: datetime
) -> bool:
    """Note that a request was answered; return whether it is the first time."""
    over = delete(answered_requests).where(answered_requests.c.expires_at <= now)
    await connection.execute(over)
    one = insertion(connection, answered_requests).values(digest=digest, expires_at=expires_at)
    noted = await connection.execute(one.on_conflict_do_nothing())
    return bool(noted.rowcount)
