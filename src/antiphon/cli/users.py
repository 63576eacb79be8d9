"""`antiphon users`: the people of the organization."""

import argparse
from typing import Any, get_args

from antiphon.cli.admin_session import AdminSession, checked, open_session
from antiphon.cli.command import actions_of, add_command
from antiphon.cli.output import day, print_change
from antiphon.cli.tables import TableForm, print_listing
from antiphon.core.pagination import EVERYTHING
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.settings import Settings
from antiphon.wire.admin.organizations import CreateUserParams, Deleted, Role, UserInfo

ROLES = get_args(Role)


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    add_command(actions, "list", _list, "list the users")
    add = add_command(actions, "add", _add, "add a user, without an invite")
    add.add_argument("email", metavar="EMAIL", help="the address of the user")
    add.add_argument("name", metavar="NAME", help="the name of the user")
    add.add_argument(
        "--role",
        choices=ROLES,
        default="developer",
        metavar="ROLE",
        help=f"{', '.join(ROLES)}; default: developer",
    )
    role = add_command(actions, "role", _role, "give a user another role")
    role.add_argument("user", metavar="USER", help="an address, or an id")
    role.add_argument("role", choices=ROLES, metavar="ROLE", help=", ".join(ROLES))
    remove = add_command(actions, "remove", _remove, "remove a user, also from all workspaces")
    remove.add_argument("user", metavar="USER", help="an address, or an id")


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    users = open_session(
        settings, lambda session: session.administration.people.users(EVERYTHING)
    ).data

    def row(user: UserInfo) -> dict[str, Any]:
        return {
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "added": day(user.added_at),
            "id": user.id,
        }

    return print_listing(
        arguments,
        users,
        row,
        TableForm(
            empty=_empty(settings),
            texts=("email", "name"),
            least_useful=("added", "id", "role"),
        ),
    )


def _empty(settings: Settings) -> str:
    said = "There are no users yet: `antiphon users add EMAIL NAME` adds one."
    if settings.console.enabled:
        said += "\n`antiphon console open` prints a link that makes the first administrator."
    return said


def _add(arguments: argparse.Namespace, settings: Settings) -> int:
    params = checked(
        CreateUserParams, email=arguments.email, name=arguments.name, role=arguments.role
    )
    user = open_session(
        settings,
        lambda session: session.administration.people.add(
            COMMAND_LINE, params.email, params.name, params.role
        ),
        may_found=True,
    )
    return print_change(arguments, user, f"{user.email} is a user now, with the role {user.role}.")


def _role(arguments: argparse.Namespace, settings: Settings) -> int:
    async def change(session: AdminSession) -> UserInfo:
        found = await session.user(arguments.user)
        return await session.administration.people.change_role(
            COMMAND_LINE, found.id, arguments.role
        )

    user = open_session(settings, change)
    return print_change(arguments, user, f"{user.email} has the role {user.role} now.")


def _remove(arguments: argparse.Namespace, settings: Settings) -> int:
    async def remove(session: AdminSession) -> Deleted:
        found = await session.user(arguments.user)
        return await session.administration.people.remove(COMMAND_LINE, found.id)

    gone = open_session(settings, remove)
    return print_change(arguments, gone, f"{arguments.user} is no longer a user.")
