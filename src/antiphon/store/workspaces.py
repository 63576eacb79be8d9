"""Workspaces and their members. The Default workspace is a row like the others."""

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, delete, func, select, update

from antiphon.core.names import folded
from antiphon.store.database.changes import ChangeKind, announce
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.pages import read_portions
from antiphon.store.database.records import add, find, portions, read, with_folded_name
from antiphon.store.database.tables import workspace_members, workspaces


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the organization, with keys and limits of its own."""

    id: str
    name: str
    display_color: str
    created_at: datetime
    tags: dict[str, str] = {}
    is_default: bool = False
    archived_at: datetime | None = None

    @property
    def folded_name(self) -> str:
        """The name as it is sorted and searched."""
        return folded(self.name)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A user's membership of a workspace."""

    workspace_id: str
    user_id: str
    workspace_role: str
    added_at: datetime


async def add_workspace(connection: AsyncConnection, workspace: Workspace) -> None:
    """Add a workspace."""
    await add(connection, workspaces, workspace)
    await announce(connection, ChangeKind.WORKSPACE, workspace.id)


async def list_workspaces(connection: AsyncConnection) -> tuple[Workspace, ...]:
    """Return every workspace, also the archived ones, the newest first. Reads in portions."""
    found: list[Workspace] = []
    by = [workspaces.c.created_at, workspaces.c.id]
    everything = select(workspaces)
    async for some in read_portions(connection, Workspace, everything, by, falls=True):
        found += some
    return tuple(found)


async def find_workspace(connection: AsyncConnection, workspace_id: str) -> Workspace | None:
    """Find a workspace by id, also an archived one."""
    return await find(connection, Workspace, workspaces, workspace_id)


async def find_workspaces(
    connection: AsyncConnection, workspace_ids: Collection[str]
) -> dict[str, Workspace]:
    """Find workspaces by their ids, also archived ones."""
    found: dict[str, Workspace] = {}
    for some in portions(workspace_ids):
        these = select(workspaces).where(workspaces.c.id.in_(some))
        found.update((one.id, one) for one in await read(connection, Workspace, these))
    return found


async def count_open_workspaces(connection: AsyncConnection) -> int:
    """Count the workspaces that are not archived, with the Default one."""
    is_open = workspaces.c.archived_at.is_(None)
    counted = select(func.count()).select_from(workspaces).where(is_open)
    return int(await connection.scalar(counted) or 0)


async def default_workspace_id(connection: AsyncConnection) -> str | None:
    """Return the id of the Default workspace; `None` before the first start has made it."""
    found: str | None = await connection.scalar(
        select(workspaces.c.id).where(workspaces.c.is_default)
    )
    return found


async def hold_open(connection: AsyncConnection, workspace_id: str) -> bool:
    """Return whether a workspace is there and not archived.

    If it is, nobody archives it until this transaction ends: on PostgreSQL its row is locked
    against changes, and on SQLite writing transactions run one after the other.
    """
    columns = workspaces.c
    open_one = select(columns.id).where(columns.id == workspace_id, columns.archived_at.is_(None))
    return await connection.scalar(open_one.with_for_update(read=True)) is not None


async def change_workspace(
    connection: AsyncConnection, workspace_id: str, changes: dict[str, object]
) -> None:
    """Change columns of a workspace: `name`, `display_color`, `tags`, `archived_at`."""
    changed = update(workspaces).where(workspaces.c.id == workspace_id)
    await connection.execute(changed.values(with_folded_name(changes)))
    await announce(connection, ChangeKind.WORKSPACE, workspace_id)


async def list_members(connection: AsyncConnection, workspace_id: str) -> tuple[Member, ...]:
    """Return the members of a workspace, the newest first."""
    columns = workspace_members.c
    newest = select(workspace_members).where(columns.workspace_id == workspace_id)
    ordered = newest.order_by(columns.added_at.desc(), columns.user_id)
    return await read(connection, Member, ordered)


async def find_member(
    connection: AsyncConnection, workspace_id: str, user_id: str
) -> Member | None:
    """Find a member of a workspace. PostgreSQL refuses a text with a NUL, and no id has one."""
    if "\0" in user_id:
        return None
    one = select(workspace_members).where(_is(workspace_id, user_id))
    return next(iter(await read(connection, Member, one)), None)


async def list_memberships(connection: AsyncConnection, user_id: str) -> tuple[Member, ...]:
    """Return the memberships of a user, the oldest first."""
    columns = workspace_members.c
    memberships = select(workspace_members).where(columns.user_id == user_id)
    ordered = memberships.order_by(columns.added_at, columns.workspace_id)
    return await read(connection, Member, ordered)


async def add_member(connection: AsyncConnection, member: Member) -> None:
    """Add a member; the transaction fails with `DuplicateError` for a present member."""
    await add(connection, workspace_members, member)
    await announce(connection, ChangeKind.PEOPLE, member.user_id)


async def change_member(
    connection: AsyncConnection, workspace_id: str, user_id: str, role: str
) -> None:
    """Change the role of a member."""
    changed = update(workspace_members).where(_is(workspace_id, user_id))
    await connection.execute(changed.values(workspace_role=role))
    await announce(connection, ChangeKind.PEOPLE, user_id)


async def remove_member(connection: AsyncConnection, workspace_id: str, user_id: str) -> None:
    """Remove a user from a workspace, if the user is a member."""
    await connection.execute(delete(workspace_members).where(_is(workspace_id, user_id)))
    await announce(connection, ChangeKind.PEOPLE, user_id)


def _is(workspace_id: str, user_id: str) -> ColumnElement[bool]:
    columns = workspace_members.c
    return (columns.workspace_id == workspace_id) & (columns.user_id == user_id)
