"""`antiphon workspaces`: the parts of the organization, and their members."""

import argparse
from typing import Any

from antiphon.cli.admin_session import AdminSession, checked, open_session, refuse_taken
from antiphon.cli.command import actions_of, add_command, add_confirmation, confirm
from antiphon.cli.output import day, print_change
from antiphon.cli.tables import TableForm, print_listing
from antiphon.core.pagination import EVERYTHING
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.settings import Settings
from antiphon.wire.admin.organizations import (
    AddMemberParams,
    CreateWorkspaceParams,
    MemberDeleted,
    MemberInfo,
    UpdateWorkspaceParams,
    WorkspaceInfo,
)

ROLES = ("admin", "developer", "restricted_developer", "user")


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    create = add_command(actions, "create", _create, "make a workspace")
    create.add_argument("name", metavar="NAME", help="its name")
    listing = add_command(actions, "list", _list, "list the workspaces that are not archived")
    listing.add_argument("--all", action="store_true", help="archived ones as well")
    rename = add_command(actions, "rename", _rename, "rename a workspace")
    _add_workspace(rename)
    rename.add_argument("name", metavar="NEW_NAME", help="its new name")
    archive = add_command(
        actions, "archive", _archive, "archive a workspace and revoke its keys, for good"
    )
    _add_workspace(archive)
    add_confirmation(archive)

    members = add_command(actions, "members", _members, "list who is in a workspace")
    _add_workspace(members)
    join = add_command(actions, "add", _add, "make a user a member, or give a member another role")
    _add_workspace(join)
    join.add_argument("user", metavar="USER", help="an address, or an id")
    join.add_argument(
        "--role",
        choices=ROLES,
        default="developer",
        metavar="ROLE",
        help=f"{', '.join(ROLES)}; default: developer",
    )
    leave = add_command(actions, "remove", _remove, "remove a member from a workspace")
    _add_workspace(leave)
    leave.add_argument("user", metavar="USER", help="an address, or an id")


def _add_workspace(command: argparse.ArgumentParser) -> None:
    command.add_argument("workspace", metavar="WORKSPACE", help="its id, or its name")


def _create(arguments: argparse.Namespace, settings: Settings) -> int:
    params = checked(CreateWorkspaceParams, name=arguments.name)

    async def create(session: AdminSession) -> WorkspaceInfo:
        known = await session.workspaces()
        taken = {one.name: one.id for one in known if one.archived_at is None}
        refuse_taken("workspace", arguments.name, taken)
        return await session.administration.workspaces.create(COMMAND_LINE, params)

    made = open_session(settings, create, may_found=True)
    return print_change(arguments, made, f"Workspace {made.id} ({made.name}) is made.")


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    found = [
        one
        for one in open_session(settings, lambda session: session.workspaces())
        if arguments.all or one.archived_at is None
    ]

    def row(one: WorkspaceInfo) -> dict[str, Any]:
        return {
            "id": one.id,
            "name": one.name,
            "created": day(one.created_at),
            "archived": day(one.archived_at),
        }

    return print_listing(
        arguments,
        found,
        row,
        TableForm(
            empty="There are no workspaces.",
            texts=("name",),
            least_useful=("created", "archived"),
        ),
    )


def _rename(arguments: argparse.Namespace, settings: Settings) -> int:
    params = checked(UpdateWorkspaceParams, name=arguments.name)

    async def rename(session: AdminSession) -> tuple[WorkspaceInfo, WorkspaceInfo]:
        found = await session.workspace(arguments.workspace)
        workspaces = session.administration.workspaces
        return found, await workspaces.update(COMMAND_LINE, found.id, params)

    before, changed = open_session(settings, rename)
    done = f"Workspace {before.id} ({before.name}) is called {changed.name} now."
    return print_change(arguments, changed, done)


def _archive(arguments: argparse.Namespace, settings: Settings) -> int:
    async def archive(session: AdminSession) -> WorkspaceInfo:
        found = await session.workspace(arguments.workspace)
        confirm(arguments, f"Archive {found.name} ({found.id}), and revoke its keys for good?")
        return await session.administration.workspaces.archive(COMMAND_LINE, found.id)

    gone = open_session(settings, archive)
    done = f"Workspace {gone.id} ({gone.name}) is archived, and its keys are revoked."
    return print_change(arguments, gone, done)


def _members(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(session: AdminSession) -> tuple[tuple[MemberInfo, ...], dict[str, str]]:
        found = await session.workspace(arguments.workspace)
        members = await session.administration.workspaces.members(found.id, EVERYTHING)
        users = await session.administration.people.users(EVERYTHING)
        return members.data, {user.id: user.email for user in users.data}

    members, emails = open_session(settings, read)

    def row(one: MemberInfo) -> dict[str, Any]:
        return {
            "user": emails.get(one.user_id, one.user_id),
            "role": one.workspace_role.removeprefix("workspace_"),
            "id": one.user_id,
        }

    return print_listing(
        arguments,
        members,
        row,
        TableForm(
            empty="It has no members: `antiphon workspaces add WORKSPACE USER` adds one.",
            texts=("user",),
            least_useful=("id",),
        ),
    )


def _add(arguments: argparse.Namespace, settings: Settings) -> int:
    async def add(session: AdminSession) -> MemberInfo:
        workspaces = session.administration.workspaces
        workspace = (await session.workspace(arguments.workspace)).id
        user = (await session.user(arguments.user)).id
        params = checked(
            AddMemberParams, user_id=user, workspace_role=f"workspace_{arguments.role}"
        )
        members = (await workspaces.members(workspace, EVERYTHING)).data
        if any(member.user_id == user for member in members):
            return await workspaces.change_member(
                COMMAND_LINE, workspace, user, params.workspace_role
            )
        return await workspaces.add_member(COMMAND_LINE, workspace, params)

    member = open_session(settings, add)
    done = f"{arguments.user} is in {arguments.workspace}, with the role {arguments.role}."
    return print_change(arguments, member, done)


def _remove(arguments: argparse.Namespace, settings: Settings) -> int:
    async def remove(session: AdminSession) -> MemberDeleted:
        workspace = (await session.workspace(arguments.workspace)).id
        user = (await session.user(arguments.user)).id
        return await session.administration.workspaces.remove_member(COMMAND_LINE, workspace, user)

    gone = open_session(settings, remove)
    return print_change(arguments, gone, f"{arguments.user} is no longer in {arguments.workspace}.")
