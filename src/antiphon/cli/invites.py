"""`antiphon invites`: invitations to become a user. No mail is sent; the link is handed over."""

import argparse
from typing import Any, get_args

from msgspec import UNSET

from antiphon.cli.admin_session import AdminSession, checked, open_session
from antiphon.cli.command import actions_of, add_command
from antiphon.cli.links import running_console_base
from antiphon.cli.output import day, print_change
from antiphon.cli.tables import TableForm, print_listing
from antiphon.core.pagination import EVERYTHING
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.settings import Settings
from antiphon.wire.admin.organizations import (
    AcceptInviteParams,
    CreateInviteParams,
    Deleted,
    GivenRole,
    InviteInfo,
    UserInfo,
)

ROLES = get_args(GivenRole)


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    add_command(actions, "list", _list, "list the invites that were not deleted")
    create = add_command(
        actions, "create", _create, "invite a person, for 21 days; no mail is sent"
    )
    create.add_argument("email", metavar="EMAIL", help="the address of the person")
    create.add_argument(
        "--role",
        choices=ROLES,
        default="developer",
        metavar="ROLE",
        help=f"{', '.join(ROLES)}; default: developer",
    )
    accept = add_command(actions, "accept", _accept, "turn an invite into a user")
    accept.add_argument("invite", metavar="INVITE", help="an address, or an id")
    accept.add_argument("name", metavar="NAME", help="the name of the user")
    delete = add_command(actions, "delete", _delete, "delete an invite")
    delete.add_argument("invite", metavar="INVITE", help="an address, or an id")


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    invites = open_session(
        settings, lambda session: session.administration.people.invites(EVERYTHING)
    ).data

    def row(one: InviteInfo) -> dict[str, Any]:
        return {
            "email": one.email,
            "role": one.role,
            "status": one.status,
            "invited": day(one.invited_at),
            "expires": day(one.expires_at),
            "id": one.id,
        }

    return print_listing(
        arguments,
        invites,
        row,
        TableForm(
            empty="There are no invites: `antiphon invites create EMAIL` makes one.",
            texts=("email",),
            least_useful=("invited", "id", "role", "expires"),
        ),
    )


def _create(arguments: argparse.Namespace, settings: Settings) -> int:
    params = checked(CreateInviteParams, email=arguments.email, role=arguments.role)
    base_url = running_console_base(settings) if settings.console.enabled else None
    made = open_session(
        settings,
        lambda session: session.administration.people.send_invite(COMMAND_LINE, params, base_url),
        may_found=True,
    )
    done = f"{made.email} is invited until {day(made.expires_at)} UTC. No mail was sent."
    if made.link is not UNSET:
        done += f" The link for this person, shown once:\n{made.link}"
    return print_change(arguments, made, done)


def _accept(arguments: argparse.Namespace, settings: Settings) -> int:
    params = checked(AcceptInviteParams, name=arguments.name)

    async def accept(session: AdminSession) -> UserInfo:
        found = await session.invite(arguments.invite)
        return await session.administration.people.accept(COMMAND_LINE, found.id, params.name)

    user = open_session(settings, accept)
    return print_change(arguments, user, f"{user.email} is a user now, with the role {user.role}.")


def _delete(arguments: argparse.Namespace, settings: Settings) -> int:
    async def delete(session: AdminSession) -> Deleted:
        found = await session.invite(arguments.invite)
        return await session.administration.people.take_back(COMMAND_LINE, found.id)

    gone = open_session(settings, delete)
    return print_change(arguments, gone, f"The invite of {arguments.invite} is deleted.")
