"""`antiphon console`: one-time links to the Console, for whoever runs the server."""

import argparse
import webbrowser

from msgspec.structs import replace

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.command import CommandError, actions_of, add_command
from antiphon.cli.links import console_base, running_console_base
from antiphon.cli.output import hint, say_json, say_unchanged
from antiphon.core.pagination import EVERYTHING
from antiphon.settings import Settings
from antiphon.wire.admin.organizations import UserInfo


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    does = "print a link that works once: to the setup, or to sign in without a password"
    command = add_command(actions, "open", _open, does)
    command.add_argument(
        "--user",
        metavar="USER",
        help="who is signed in: an address, or an id; default: the only administrator",
    )
    command.add_argument(
        "--url",
        metavar="URL",
        help="where the browser finds the server; default: console.url of the settings, or the "
        "address of the server that runs on the data folder",
    )
    command.add_argument(
        "--browser",
        action="store_true",
        help="open the link in a browser of this machine, which other users of it may see",
    )


def _open(arguments: argparse.Namespace, settings: Settings) -> int:
    if not settings.console.enabled:
        raise CommandError("the Console is switched off: console.enabled = false")
    base = _base(arguments.url, settings)

    async def make(session: AdminSession) -> tuple[str, str]:
        if arguments.user is None:
            link = await session.links.to_set_up(base)
            if link is not None:
                return link, "makes the first administrator, once, within a day"
            user = await _only_admin(session)
        else:
            user = await session.user(arguments.user)
        link = await session.links.to_sign_in(base, user.id)
        return link, f"signs {user.email} in, once, within ten minutes"

    link, does = open_session(settings, make)
    if arguments.json:
        say_json({"link": link})
    else:
        hint(f"This link {does}. It is a secret.")
        say_unchanged(link)
    if arguments.browser and not webbrowser.open(link):
        raise CommandError("there is no browser here: copy the link into yours")
    return 0


def _base(url: str | None, settings: Settings) -> str:
    if url is None:
        return running_console_base(settings)
    if not url.startswith(("http://", "https://")):
        raise CommandError("--url: an address begins with http:// or https://")
    return console_base(replace(settings, console=replace(settings.console, url=url)))


async def _only_admin(session: AdminSession) -> UserInfo:
    found: tuple[UserInfo, ...] = (
        await session.administration.people.users(EVERYTHING, roles=("admin",))
    ).data
    if len(found) == 1:
        return found[0]
    said = "there are several administrators" if found else "there is no administrator"
    raise CommandError(f"{said}: say with --user who is signed in; `antiphon users list` has them")
