"""Workspaces and their members."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import replace

from antiphon.core.errors import InvalidRequestError, NotFoundError, PermissionError_
from antiphon.core.ids import workspace_id
from antiphon.core.pagination import NEWEST, IdCursor, ListOrder, listing
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.accounts import DEFAULT_COLOR
from antiphon.service.admin.people import the_user
from antiphon.service.admin.transactions import (
    Actor,
    AdminTransactions,
    Change,
    moment,
    optional_moment,
    readable,
)
from antiphon.service.admin.views import key_change, member_change, member_info
from antiphon.store.accounts import KeyStatus, archive_keys_of, open_keys_of
from antiphon.store.batches.listing import cancel_workspace
from antiphon.store.files import delete_files_of
from antiphon.store.listings import ALL, Selection, page_of_members, page_of_workspaces
from antiphon.store.workspaces import (
    Member,
    Workspace,
    add_member,
    add_workspace,
    change_member,
    change_workspace,
    count_open_workspaces,
    default_workspace_id,
    find_member,
    find_workspace,
    remove_member,
)
from antiphon.wire.admin.organizations import (
    AddMemberParams,
    CreateWorkspaceParams,
    Listing,
    MemberDeleted,
    MemberInfo,
    UpdateWorkspaceParams,
    WorkspaceInfo,
    WorkspaceRole,
)
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection

MOST_WORKSPACES = 100
MOST_TAGS = 50
LONGEST_TAG = 256
# How many audit entries are made in one turn of the event loop, in some milliseconds.
_NOTED_AT_ONCE = 100


class Workspaces:
    """The use cases of workspaces and members."""

    def __init__(
        self, transactions: AdminTransactions, cancelled: Callable[[str], None] = lambda _: None
    ) -> None:
        """Call `cancelled` with the id of each batch that is cancelled."""
        self._transactions = transactions
        self._cancelled = cancelled

    async def all(  # noqa: PLR0913 - every filter of the listing
        self,
        cursor: IdCursor,
        *,
        include_archived: bool = False,
        include_default: bool = False,
        wanted: Selection = ALL,
        reach: Reach = EVERYTHING,
        order: ListOrder = NEWEST,
    ) -> Listing:
        """List the workspaces within reach."""
        async with self._transactions.read() as connection:
            found = await page_of_workspaces(
                connection,
                cursor,
                wanted,
                include_archived=include_archived,
                include_default=include_default,
                workspace_ids=reach.workspaces,
                order=order,
            )
        return listing(list(map(workspace_info, found.records)), has_more=found.has_more)

    async def one(self, wanted: str, reach: Reach = EVERYTHING) -> WorkspaceInfo:
        """Return a workspace. Raises `NotFoundError`, also for one out of reach."""
        async with self._transactions.read() as connection:
            return workspace_info(await the_workspace(connection, wanted, reach))

    async def create(self, actor: Actor, params: CreateWorkspaceParams) -> WorkspaceInfo:
        """Create a workspace; at most 100 may be unarchived."""
        _refuse_foreign(params)
        workspace = Workspace(
            id=workspace_id(self._transactions.entropy()),
            name=readable(params.name),
            display_color=params.display_color or DEFAULT_COLOR,
            tags=_tags({}, params.tags or {}),
            created_at=self._transactions.now(),
        )
        async with self._transactions.change() as connection:
            if await count_open_workspaces(connection) >= MOST_WORKSPACES:
                raise InvalidRequestError(
                    f"An organization has at most {MOST_WORKSPACES} workspaces that are not "
                    "archived."
                )
            await add_workspace(connection, workspace)
            info = workspace_info(workspace)
            await self._transactions.note(connection, actor, Change("workspace.create", after=info))
        return info

    async def update(
        self, actor: Actor, wanted: str, params: UpdateWorkspaceParams
    ) -> WorkspaceInfo:
        """Change the given fields of a workspace."""
        _refuse_foreign(params)
        async with self._transactions.change() as connection:
            old = await the_workspace(connection, wanted)
            refuse_archived(old)
            changes: dict[str, Any] = {}
            if params.name is not UNSET:
                if old.is_default:
                    raise InvalidRequestError("name: the Default workspace cannot be renamed")
                changes["name"] = readable(params.name)
            if params.display_color is not UNSET:
                changes["display_color"] = params.display_color
            if params.tags is not None:
                changes["tags"] = _tags(old.tags, params.tags)
            new = replace(old, **changes)
            if changes:
                await change_workspace(connection, old.id, changes)
                await self._transactions.note(
                    connection, actor, _change("workspace.update", old, new)
                )
        return workspace_info(new)

    async def archive(self, actor: Actor, wanted: str) -> WorkspaceInfo:
        """Archive a workspace and all its keys, and cancel its batches, irrevocably.

        An archived one stays unchanged. Workers of this process stop its requests at once, others
        when they renew their leases: within `HEARTBEAT_S`.
        """
        now = self._transactions.now()
        async with self._transactions.change() as connection:
            old = await the_workspace(connection, wanted)
            if old.is_default:
                raise InvalidRequestError("The Default workspace cannot be archived.")
            if old.archived_at is not None:
                return workspace_info(old)
            new = replace(old, archived_at=now)
            await change_workspace(connection, old.id, {"archived_at": now})
            await self._archive_keys(connection, actor, old.id)
            batches = await cancel_workspace(connection, old.id, now)
            await delete_files_of(connection, old.id, now)
            await self._transactions.note(connection, actor, _change("workspace.archive", old, new))
        for batch_id in batches:
            self._cancelled(batch_id)
        return workspace_info(new)

    async def _archive_keys(
        self, connection: "AsyncConnection", actor: Actor, workspace: str
    ) -> None:
        """Archive the keys of a workspace, a portion at a time, each with its audit entry.

        Other work of the event loop waits for a portion, some milliseconds. The transaction is one,
        and others that write wait for its end: at a hundred thousand keys some seconds.
        """
        now = self._transactions.now()
        async for keys in open_keys_of(connection, workspace):
            for start in range(0, len(keys), _NOTED_AT_ONCE):
                changes = [
                    key_change(key, replace(key, status=KeyStatus.ARCHIVED, archived_at=now), now)
                    for key in keys[start : start + _NOTED_AT_ONCE]
                ]
                await self._transactions.note(connection, actor, *changes)
        await archive_keys_of(connection, workspace, now)

    async def members(
        self,
        workspace: str,
        cursor: IdCursor,
        wanted: Selection = ALL,
        order: ListOrder = NEWEST,
        reach: Reach = EVERYTHING,
    ) -> Listing:
        """List the members of a workspace that the caller administers.

        Whoever may not see addresses does not find anybody by one.
        """
        async with self._transactions.read() as connection:
            await _administered(connection, workspace, reach)
            found = await page_of_members(
                connection,
                cursor,
                workspace,
                wanted,
                order=order,
                by_address=reach.workspaces is None,
            )
        members = list(map(member_info, found.records))
        return listing(members, has_more=found.has_more, id_field="user_id")

    async def member(self, wanted: str, user: str, reach: Reach = EVERYTHING) -> MemberInfo:
        """Return a member. Raises `NotFoundError`."""
        async with self._transactions.read() as connection:
            await _administered(connection, wanted, reach)
            return member_info(await _the_member(connection, wanted, user))

    async def add_member(
        self, actor: Actor, wanted: str, params: AddMemberParams, reach: Reach = EVERYTHING
    ) -> MemberInfo:
        """Add a user to a workspace that the caller administers."""
        async with self._transactions.change() as connection:
            workspace = await _administered(connection, wanted, reach)
            refuse_archived(workspace)
            if workspace.is_default:
                raise InvalidRequestError("Every user is in the Default workspace already.")
            await the_user(connection, params.user_id)
            if await find_member(connection, wanted, params.user_id) is not None:
                raise InvalidRequestError(
                    "user_id: this user is a member already", error_code="already_member"
                )
            member = Member(
                workspace_id=wanted,
                user_id=params.user_id,
                workspace_role=params.workspace_role,
                added_at=self._transactions.now(),
            )
            await add_member(connection, member)
            change = member_change("create", member, after=member)
            await self._transactions.note(connection, actor, change)
        return member_info(member)

    async def change_member(
        self,
        actor: Actor,
        wanted: str,
        user: str,
        role: WorkspaceRole,
        reach: Reach = EVERYTHING,
    ) -> MemberInfo:
        """Change the role of a member of a workspace that the caller administers."""
        async with self._transactions.change() as connection:
            refuse_archived(await _administered(connection, wanted, reach))
            old = await _the_member(connection, wanted, user)
            new = replace(old, workspace_role=role)
            await change_member(connection, wanted, user, role)
            change = member_change("update", old, before=old, after=new)
            await self._transactions.note(connection, actor, change)
        return member_info(new)

    async def remove_member(
        self, actor: Actor, wanted: str, user: str, reach: Reach = EVERYTHING
    ) -> MemberDeleted:
        """Remove a member from a workspace that the caller administers."""
        async with self._transactions.change() as connection:
            refuse_archived(await _administered(connection, wanted, reach))
            old = await _the_member(connection, wanted, user)
            await remove_member(connection, wanted, user)
            change = member_change("delete", old, before=old)
            await self._transactions.note(connection, actor, change)
        return MemberDeleted(user_id=user, workspace_id=wanted)


def workspace_info(workspace: Workspace) -> WorkspaceInfo:
    """Return a workspace as the API shows it."""
    return WorkspaceInfo(
        id=workspace.id,
        name=workspace.name,
        display_color=workspace.display_color,
        created_at=moment(workspace.created_at),
        archived_at=optional_moment(workspace.archived_at),
        # The Claude API groups workspaces by compartment; here each workspace is its own.
        compartment_id=workspace.id,
        tags=workspace.tags,
    )


def _change(action: str, old: Workspace, new: Workspace) -> Change:
    return Change(action, workspace_info(old), workspace_info(new))


async def the_workspace(
    connection: "AsyncConnection", wanted: str, reach: Reach = EVERYTHING
) -> Workspace:
    """Find a workspace within reach, or raise `NotFoundError`."""
    workspace = await find_workspace(connection, wanted)
    if workspace is None or not reach.sees(workspace.id):
        raise NotFoundError(f"Workspace {shortened(wanted)} not found.")
    return workspace


async def the_default_workspace(connection: "AsyncConnection") -> str:
    """Return the id of the Default workspace, or raise `NotFoundError` before it is there."""
    found = await default_workspace_id(connection)
    if found is None:
        raise NotFoundError("There is no organization yet.")
    return found


async def _administered(connection: "AsyncConnection", wanted: str, reach: Reach) -> Workspace:
    """Find a workspace whose members the caller may change.

    Raises `NotFoundError` for one out of reach, and `PermissionError_` for one that somebody else
    administers.
    """
    workspace = await the_workspace(connection, wanted, reach)
    if not reach.administers(workspace.id):
        raise PermissionError_("Only an administrator of this workspace sees and changes members")
    return workspace


async def _the_member(connection: "AsyncConnection", wanted: str, user: str) -> Member:
    member = await find_member(connection, wanted, user)
    if member is None:
        raise NotFoundError(
            f"User {shortened(user)} is not a member of workspace {shortened(wanted)}."
        )
    return member


def refuse_archived(workspace: Workspace) -> None:
    """Raise `InvalidRequestError` for a workspace that is archived."""
    if workspace.archived_at is not None:
        raise InvalidRequestError("This workspace is archived and cannot be changed.")


def _refuse_foreign(params: CreateWorkspaceParams | UpdateWorkspaceParams) -> None:
    """Refuse references to services that exist at Anthropic only."""
    for name in ("external_key_id", "user_profile_id"):
        if getattr(params, name) is not None:
            raise InvalidRequestError(
                f"{name}: not supported here; all data stays on this server's machines"
            )


def _tags(old: dict[str, str], changes: dict[str, Any]) -> dict[str, str]:
    tags = dict(old)
    for name, value in changes.items():
        if not name or len(name) > LONGEST_TAG or name.startswith("anthropic"):
            raise InvalidRequestError(
                f"tags: a name is 1 to {LONGEST_TAG} characters and does not start with 'anthropic'"
            )
        if value is None:
            tags.pop(name, None)
        elif isinstance(value, str) and len(value) <= LONGEST_TAG:
            tags[name] = value
        else:
            raise InvalidRequestError(
                f"tags.{name}: Input should be a valid string of at most {LONGEST_TAG} characters"
            )
    if len(tags) > MOST_TAGS:
        raise InvalidRequestError(f"tags: at most {MOST_TAGS} are possible")
    return tags
