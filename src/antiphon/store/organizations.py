"""The organization, its users, and its invitations."""

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import delete, select, update

from antiphon.core.names import folded
from antiphon.store.database.changes import ChangeKind, announce
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.pages import behind
from antiphon.store.database.records import add, find, insertion, portions, read
from antiphon.store.database.tables import (
    api_keys,
    installation_secrets,
    invites,
    organizations,
    users,
)
from antiphon.store.workspaces import Workspace, add_workspace


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """The organization of this installation."""

    id: str
    name: str
    created_at: datetime


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person. The address is stored in lower case and belongs to one user only."""

    id: str
    email: str
    name: str
    role: str
    added_at: datetime

    @property
    def folded_name(self) -> str:
        """The name as it is sorted and searched."""
        return folded(self.name)


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation to become a user; its status follows from its times."""

    id: str
    email: str
    role: str
    invited_at: datetime
    expires_at: datetime
    accepted_at: datetime | None = None
    deleted_at: datetime | None = None


async def find_organization(connection: AsyncConnection) -> Organization | None:
    """Return the organization, if it has been founded."""
    found = await read(connection, Organization, select(organizations))
    return next(iter(found), None)


async def found_organization(
    connection: AsyncConnection, organization: Organization, default: Workspace
) -> None:
    """Add the organization with its Default workspace, which gets the existing keys.

    Call it in a transaction in which `find_organization` has found none.
    """
    await add(connection, organizations, organization)
    await add_workspace(connection, default)
    homeless = update(api_keys).where(api_keys.c.workspace_id.is_(None), api_keys.c.kind == "api")
    await connection.execute(homeless.values(workspace_id=default.id))
    await announce(connection, ChangeKind.ALL)


async def list_users(
    connection: AsyncConnection,
    *,
    limit: int | None = None,
    after: tuple[datetime, str] | None = None,
    ids: Collection[str] = (),
) -> tuple[User, ...]:
    """Return users, the newest first: at most `limit`, those behind a moment and an id, with `ids`.

    PostgreSQL refuses a text with a NUL, and no id has one.
    """
    columns = users.c
    newest = select(users).order_by(columns.added_at.desc(), columns.id.desc()).limit(limit)
    if after is not None:
        newest = newest.where(behind((columns.added_at, columns.id), after, falls=True))
    if ids:
        newest = newest.where(columns.id.in_([one for one in ids if "\0" not in one]))
    return await read(connection, User, newest)


async def find_user(connection: AsyncConnection, user_id: str) -> User | None:
    """Find a user by id."""
    return await find(connection, User, users, user_id)


async def find_users(connection: AsyncConnection, user_ids: Collection[str]) -> dict[str, User]:
    """Find users by their ids."""
    found: dict[str, User] = {}
    for some in portions(user_ids):
        these = select(users).where(users.c.id.in_(some))
        found.update((one.id, one) for one in await read(connection, User, these))
    return found


async def find_user_by_email(connection: AsyncConnection, email: str) -> User | None:
    """Find a user by address, regardless of case."""
    same = select(users).where(users.c.email == email.lower())
    return next(iter(await read(connection, User, same)), None)


async def add_user(connection: AsyncConnection, user: User) -> None:
    """Add a user; the transaction fails with `DuplicateError` if the address is taken."""
    await add(connection, users, user)


async def change_role(connection: AsyncConnection, user_id: str, role: str) -> None:
    """Change the role of a user."""
    await connection.execute(update(users).where(users.c.id == user_id).values(role=role))
    await announce(connection, ChangeKind.PEOPLE, user_id)


async def remove_user(connection: AsyncConnection, user_id: str) -> None:
    """Remove a user, also from all workspaces, and end all sessions. The keys of the user stay."""
    await connection.execute(delete(users).where(users.c.id == user_id))
    await announce(connection, ChangeKind.PEOPLE, user_id)


async def list_invites(connection: AsyncConnection) -> tuple[Invite, ...]:
    """Return every invitation, also those that are over, the newest first."""
    newest = select(invites).order_by(invites.c.invited_at.desc(), invites.c.id)
    return await read(connection, Invite, newest)


async def find_invite(connection: AsyncConnection, invite_id: str) -> Invite | None:
    """Find an invitation by id, also one that is over."""
    return await find(connection, Invite, invites, invite_id)


async def add_invite(connection: AsyncConnection, invite: Invite) -> None:
    """Add an invitation."""
    await add(connection, invites, invite)


async def end_invite(
    connection: AsyncConnection,
    invite_id: str,
    *,
    accepted_at: datetime | None = None,
    deleted_at: datetime | None = None,
) -> None:
    """Store that an invitation was accepted or deleted."""
    ended = update(invites).where(invites.c.id == invite_id)
    await connection.execute(ended.values(accepted_at=accepted_at, deleted_at=deleted_at))


async def installation_secret(connection: AsyncConnection, name: str, fresh: bytes) -> bytes:
    """Return the secret of this name; if there is none yet, store and return `fresh`."""
    keep = insertion(connection, installation_secrets).values(name=name, value=fresh)
    await connection.execute(keep.on_conflict_do_nothing())
    value = select(installation_secrets.c.value).where(installation_secrets.c.name == name)
    return bytes((await connection.execute(value)).scalar_one())
