"""Passwords, sessions of browsers and one-time links at rest: digests only.

Each change of what a session may do is announced in its own transaction, as that of a key is.
"""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert, literal, or_, select, update

from antiphon.store.database.changes import EVERYBODY, ChangeKind, announce
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.console_tables import console_links, console_sessions, passwords
from antiphon.store.database.pages import read_portions
from antiphon.store.database.records import insertion, portions, read
from antiphon.store.database.tables import workspace_members
from antiphon.store.workspaces import Member

# So many users whose sessions have ended are announced one by one.
_MOST_TOLD = 20


class Password(msgspec.Struct, frozen=True, kw_only=True):
    """The hash of a user's password."""

    user_id: str
    hash: str
    changed_at: datetime

    def __repr__(self) -> str:
        # A hash can be guessed offline, so no traceback shows one.
        return f"Password(user_id={self.user_id!r})"


class StoredSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a browser. It ends at `ends_at`, or earlier if it is idle.

    `last_used_at` may be a minute behind. Until `renews_until` it may set a password without the
    current one. `provider` is the issuer at which it can be ended too.
    """

    digest: bytes
    user_id: str
    created_at: datetime
    last_used_at: datetime
    ends_at: datetime
    renews_until: datetime | None = None
    provider: str | None = None


class LinkKind(StrEnum):
    """What a link is for: the first administrator, a user of the operator's choice, an invite."""

    SETUP = "setup"
    SIGN_IN = "sign_in"
    INVITE = "invite"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link that works once. `subject` is the id of its user or of its invite."""

    digest: bytes
    kind: LinkKind
    subject: str | None
    created_at: datetime
    expires_at: datetime


async def find_password(connection: AsyncConnection, user_id: str) -> Password | None:
    """Return the password of a user, if there is one."""
    own = select(passwords).where(passwords.c.user_id == user_id)
    return next(iter(await read(connection, Password, own)), None)


async def has_passwords(connection: AsyncConnection) -> bool:
    """Return whether anybody can sign in by a password."""
    return await connection.scalar(select(literal(1)).select_from(passwords).limit(1)) is not None


async def set_password(connection: AsyncConnection, password: Password) -> None:
    """Give a user a password, in place of an earlier one."""
    row = {"hash": password.hash, "changed_at": password.changed_at}
    one = insertion(connection, passwords).values(user_id=password.user_id, **row)
    await connection.execute(one.on_conflict_do_update(index_elements=["user_id"], set_=row))
    await announce(connection, ChangeKind.PEOPLE, password.user_id)


async def add_session(
    connection: AsyncConnection, session: StoredSession, id_token: str | None = None
) -> None:
    """Add a session; `id_token` is that of its provider, which `id_token_of` alone returns."""
    row = {name: getattr(session, name) for name in StoredSession.__struct_fields__}
    await connection.execute(insert(console_sessions).values(**row, id_token=id_token))
    await announce(connection, ChangeKind.PEOPLE, session.user_id)


async def list_sessions(
    connection: AsyncConnection, user_ids: Collection[str] | None = None
) -> AsyncGenerator[tuple[StoredSession, ...]]:
    """Yield the sessions of these users, or all, in portions: also ended ones that are still there.

    Those of many users, who are given, are not in one order.
    """
    by = [console_sessions.c.digest]
    # Not their ID tokens, which are long.
    every = select(*(console_sessions.c[name] for name in StoredSession.__struct_fields__))
    if user_ids is None:
        async for found in read_portions(connection, StoredSession, every, by):
            yield found
        return
    for some in portions(user_ids):
        theirs = every.where(console_sessions.c.user_id.in_(some))
        async for found in read_portions(connection, StoredSession, theirs, by):
            yield found


async def memberships_of_signed_in(
    connection: AsyncConnection, user_ids: Collection[str] | None = None
) -> dict[str, dict[str, str]]:
    """Return the role in each workspace of these users, or of all who have a session.

    It reads in portions. No index begins with the users of members, so each query looks at all
    members: one query for all who have a session, and one for each portion of these users.
    """
    columns = workspace_members.c
    by = [columns.workspace_id, columns.user_id]
    chosen: Iterable[Any] = [select(console_sessions.c.user_id)]
    if user_ids is not None:
        chosen = portions(user_ids)
    found: dict[str, dict[str, str]] = {}
    for some in chosen:
        theirs = select(workspace_members).where(columns.user_id.in_(some))
        async for members in read_portions(connection, Member, theirs, by):
            for one in members:
                found.setdefault(one.user_id, {})[one.workspace_id] = one.workspace_role
    return found


async def last_use_of(connection: AsyncConnection, digest: bytes) -> datetime | None:
    """Return when a session was last used, as far as the processes have told; `None` for none."""
    own = select(console_sessions.c.last_used_at).where(console_sessions.c.digest == digest)
    found: datetime | None = await connection.scalar(own)
    return found


async def id_token_of(connection: AsyncConnection, digest: bytes) -> str | None:
    """Return the ID token by which a session began at a provider, if it was kept."""
    own = select(console_sessions.c.id_token).where(console_sessions.c.digest == digest)
    found: str | None = await connection.scalar(own)
    return found


async def note_session_use(connection: AsyncConnection, uses: Mapping[bytes, datetime]) -> None:
    """Store the last uses of sessions. The sessions in memory do not depend on them."""
    columns = console_sessions.c
    later = (columns.digest == bindparam("one")) & (columns.last_used_at < bindparam("at"))
    await connection.execute(
        update(console_sessions).where(later).values(last_used_at=bindparam("at")),
        # In a fixed order, so that two servers do not wait for each other's rows.
        [{"one": digest, "at": at} for digest, at in sorted(uses.items())],
    )


async def end_session(connection: AsyncConnection, digest: bytes) -> bool:
    """End a session; return whether there was one."""
    own = delete(console_sessions).where(console_sessions.c.digest == digest)
    user_id = await connection.scalar(own.returning(console_sessions.c.user_id))
    if user_id is not None:
        await announce(connection, ChangeKind.PEOPLE, user_id)
    return user_id is not None


async def end_sessions_of(connection: AsyncConnection, user_id: str) -> int:
    """End all sessions of a user; return how many there were."""
    theirs = delete(console_sessions).where(console_sessions.c.user_id == user_id)
    gone = await connection.execute(theirs)
    await announce(connection, ChangeKind.PEOPLE, user_id)
    return gone.rowcount


async def remove_ended(connection: AsyncConnection, now: datetime, used_since: datetime) -> None:
    """Remove the sessions that have ended by now, or were not used since a moment."""
    columns = console_sessions.c
    over = or_(columns.ends_at <= now, columns.last_used_at <= used_since)
    gone = delete(console_sessions).where(over).returning(columns.user_id)
    user_ids = set(await connection.scalars(gone))
    # After a long rest of the server they may be many.
    for user_id in user_ids if len(user_ids) <= _MOST_TOLD else [EVERYBODY]:
        await announce(connection, ChangeKind.PEOPLE, user_id)


async def keep_newest(connection: AsyncConnection, user_id: str, most: int) -> None:
    """End the oldest sessions of a user beyond so many."""
    columns = console_sessions.c
    newest = (
        select(columns.digest)
        .where(columns.user_id == user_id)
        .order_by(columns.created_at.desc(), columns.digest)
        .limit(most)
    )
    # Read first: a subquery with a limit is planned anew for each row on some versions.
    kept = list(await connection.scalars(newest))
    theirs = delete(console_sessions).where(columns.user_id == user_id)
    await connection.execute(theirs.where(columns.digest.not_in(kept)))


async def add_link(connection: AsyncConnection, link: Link, most: int) -> None:
    """Add a link. Of its kind and subject the newest `most` stay, and those of no time go."""
    columns = console_links.c
    await connection.execute(delete(console_links).where(columns.expires_at <= link.created_at))
    same = (columns.kind == link.kind) & (
        columns.subject.is_(None) if link.subject is None else columns.subject == link.subject
    )
    newest = select(columns.digest).where(same).order_by(columns.created_at.desc(), columns.digest)
    kept = list(await connection.scalars(newest.limit(most - 1)))
    await connection.execute(delete(console_links).where(same, columns.digest.not_in(kept)))
    row = {name: getattr(link, name) for name in Link.__struct_fields__}
    await connection.execute(insert(console_links).values(row))


async def find_link(connection: AsyncConnection, digest: bytes, kind: LinkKind) -> Link | None:
    """Return a link of this kind, also one that has expired."""
    one = (console_links.c.digest == digest) & (console_links.c.kind == kind)
    found = await read(connection, Link, select(console_links).where(one), {"kind": LinkKind})
    return next(iter(found), None)


async def take_link(connection: AsyncConnection, digest: bytes, kind: LinkKind) -> Link | None:
    """Remove a link of this kind and return it; of several takers one gets it."""
    found = await find_link(connection, digest, kind)
    if found is None:
        return None
    gone = await connection.execute(delete(console_links).where(console_links.c.digest == digest))
    return found if gone.rowcount else None


async def drop_links(
    connection: AsyncConnection, kind: LinkKind, subject: str | None = None
) -> None:
    """Remove the links of a kind, or those of one subject."""
    these = delete(console_links).where(console_links.c.kind == kind)
    if subject is not None:
        these = these.where(console_links.c.subject == subject)
    await connection.execute(these)


async def drop_sessions_and_links(connection: AsyncConnection) -> None:
    """End every session, and remove every link."""
    await connection.execute(delete(console_sessions))
    await connection.execute(delete(console_links))
    await announce(connection, ChangeKind.PEOPLE)
