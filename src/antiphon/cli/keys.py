"""`antiphon keys`: keys that call models, and keys that administer."""

import argparse
from datetime import datetime, timedelta
from typing import Any

from antiphon.cli.admin_session import AdminSession, checked, open_session, refuse_taken
from antiphon.cli.command import (
    actions_of,
    add_command,
    add_confirmation,
    confirm,
)
from antiphon.cli.output import day, hint, print_change, say_json, say_unchanged
from antiphon.cli.tables import TableForm, say_table
from antiphon.cli.times import DurationOrTime, from_now, moment_ahead
from antiphon.service.admin.keys import expires_soon
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.settings import Settings
from antiphon.wire.admin.keys import (
    LONGEST_GRACE_S,
    LONGEST_LIFE_S,
    AdminKeyScope,
    CreateKeyParams,
    KeyInfo,
    UpdateKeyParams,
    WorkspaceKeyScope,
)

DEFAULT_GRACE = timedelta(hours=24)
LONGEST_LIFE = timedelta(seconds=LONGEST_LIFE_S)
LONGEST_GRACE = timedelta(seconds=LONGEST_GRACE_S)


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    create = add_command(actions, "create", _create, "make a key; its secret is shown once")
    create.add_argument("name", metavar="NAME", help="what the key is for")
    owner = create.add_mutually_exclusive_group()
    owner.add_argument(
        "--workspace",
        metavar="NAME",
        help="the workspace of the key, by name or id; default: the Default workspace",
    )
    owner.add_argument(
        "--organization",
        action="store_true",
        help="a key for every workspace: each request says which by anthropic-workspace-id",
    )
    owner.add_argument(
        "--admin", action="store_true", help="a key for the Admin API; it cannot call models"
    )
    create.add_argument(
        "--expires",
        type=from_now(LONGEST_LIFE),
        metavar="WHEN",
        help="for how long it works, or until when: 24h, 30d, 1h30m, 2027-01-01, or "
        "with a zone 2027-01-01T12:00+02:00; UTC without one; default: for ever",
    )
    create.add_argument("--user", metavar="USER", help="for whom it is made: an address, or an id")

    listing = add_command(actions, "list", _list, "list the keys that are not revoked")
    listing.add_argument("--all", action="store_true", help="revoked keys as well")
    listing.add_argument("--workspace", metavar="NAME", help="only the keys of this workspace")

    for name, does, run in (
        ("revoke", "refuse a key from now on, for good", _revoke),
        ("disable", "refuse a key until it is enabled again", _disable),
        ("enable", "accept a key again that was disabled", _enable),
    ):
        command = add_command(actions, name, run, does)
        _add_key(command)
        if run is _revoke:
            add_confirmation(command)

    rotate = add_command(actions, "rotate", _rotate, "give a key a new secret, shown once")
    _add_key(rotate)
    rotate.add_argument(
        "--grace",
        type=from_now(LONGEST_GRACE, or_zero=True),
        default=DEFAULT_GRACE,
        metavar="WHEN",
        help="for how long the old secret works on, or until when: 0, 90m, 24h, 2027-01-01; "
        "default: 24h",
    )
    rename = add_command(actions, "rename", _rename, "rename a key")
    _add_key(rename)
    rename.add_argument("name", metavar="NEW_NAME", help="its new name")


def _add_key(command: argparse.ArgumentParser) -> None:
    command.add_argument("key", metavar="KEY", help="its id, or its name")


def _create(arguments: argparse.Namespace, settings: Settings) -> int:
    async def create(session: AdminSession) -> KeyInfo:
        scope: dict[str, str] | None = {"type": "organization"} if arguments.organization else None
        if arguments.workspace is not None:
            workspace = await session.workspace(arguments.workspace)
            scope = {"type": "workspace", "workspace_id": workspace.id}
        life, end = _life(arguments.expires, session.now)
        params = checked(
            CreateKeyParams,
            name=arguments.name,
            scope=scope,
            expires_in_seconds=life,
            created_by_user_id=await _user(session, arguments.user),
        )
        keys = session.administration.keys
        known = await session.keys()
        taken = {key.name: key.id for key in known if key.status != "archived"}
        refuse_taken("key", arguments.name, taken)
        if arguments.admin:
            return await keys.create_admin(COMMAND_LINE, params, end)
        return await keys.create(COMMAND_LINE, params, expires_at=end)

    # A workspace or a user that is named is in a database that exists.
    may_found = arguments.workspace is None and arguments.user is None
    key = open_session(settings, create, may_found=may_found)
    if arguments.json:
        say_json(key)
    else:
        say_unchanged(str(key.secret))
        hint(f"{_title(key)}. Keep the secret above: it is shown this once.{_until(key)}")
    return 0


def _life(given: DurationOrTime | None, now: datetime) -> tuple[int | None, datetime | None]:
    """Return the lifetime of a key in seconds, or the moment of its end; the other is `None`."""
    if isinstance(given, datetime):
        return None, moment_ahead("--expires", given, now, LONGEST_LIFE)
    return (None if given is None else _seconds(given)), None


async def _user(session: AdminSession, id_or_email: str | None) -> str | None:
    return None if id_or_email is None else (await session.user(id_or_email)).id


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(session: AdminSession) -> tuple[list[KeyInfo], dict[str, str], datetime]:
        names = {one.id: one.name for one in await session.workspaces()}
        keys = [key for key in await session.keys() if arguments.all or key.status != "archived"]
        if arguments.workspace is not None:
            only = WorkspaceKeyScope(workspace_id=(await session.workspace(arguments.workspace)).id)
            keys = [key for key in keys if key.scope == only]
        return keys, names, session.now

    keys, names, now = open_session(settings, read)
    if arguments.json:
        say_json(keys)
        return 0
    say_table(
        [_row(key, names) for key in keys],
        TableForm(
            empty=f"There are no keys{_filters(arguments)}: `antiphon keys create` makes one.",
            texts=("name", "workspace"),
            least_useful=("hint", "created", "last_used", "expires", "workspace", "status"),
        ),
    )
    for key in keys:
        if expires_soon(key, now):
            hint(f"Key {key.name} expires on {day(key.expires_at)} UTC. Make another in time.")
    return 0


def _filters(arguments: argparse.Namespace) -> str:
    workspace = "" if arguments.workspace is None else f" of workspace {arguments.workspace!r}"
    return workspace if arguments.all else f"{workspace} that are not revoked"


def _revoke(arguments: argparse.Namespace, settings: Settings) -> int:
    question = "Revoke the key {name} for good?"
    return _update(arguments, settings, "is revoked", question, status="archived")


def _disable(arguments: argparse.Namespace, settings: Settings) -> int:
    return _update(arguments, settings, "is disabled", status="inactive")


def _enable(arguments: argparse.Namespace, settings: Settings) -> int:
    return _update(arguments, settings, "is enabled", status="active")


def _rename(arguments: argparse.Namespace, settings: Settings) -> int:
    return _update(arguments, settings, f"is called {arguments.name} now", name=arguments.name)


def _update(
    arguments: argparse.Namespace,
    settings: Settings,
    done: str,
    question: str | None = None,
    **changes: str,
) -> int:
    """Change a key; with a `question`, after it was confirmed. It is told with its old name.

    In a question, `{name}` stands for the name.
    """
    params = checked(UpdateKeyParams, **changes)

    async def update(session: AdminSession) -> tuple[KeyInfo, KeyInfo]:
        found = await session.key(arguments.key)
        if question is not None:
            confirm(arguments, question.format(name=found.name))
        return found, await session.administration.keys.update(COMMAND_LINE, found.id, params)

    before, key = open_session(settings, update)
    return print_change(arguments, key, f"{_title(before)} {done}.")


def _rotate(arguments: argparse.Namespace, settings: Settings) -> int:
    grace: DurationOrTime = arguments.grace

    async def rotate(session: AdminSession) -> tuple[KeyInfo, datetime]:
        now, keys = session.now, session.administration.keys
        if isinstance(grace, datetime):
            end = moment_ahead("--grace", grace, now, LONGEST_GRACE)
        else:
            end = now + grace
        found = await session.key(arguments.key)
        given = end if isinstance(grace, datetime) else _seconds(grace)
        return await keys.rotate(COMMAND_LINE, found.id, given), end

    key, end = open_session(settings, rotate)
    if arguments.json:
        say_json(key)
        return 0
    say_unchanged(str(key.secret))
    old = f"works until {end:%F %R} UTC" if grace else "has stopped working"
    hint(f"{_title(key)} has the secret above: it is shown this once. The old one {old}.")
    return 0


def _row(key: KeyInfo, names: dict[str, str]) -> dict[str, Any]:
    match key.scope:
        case WorkspaceKeyScope(workspace_id=owner):
            of = names.get(owner, owner)
        case AdminKeyScope():
            of = "(admin)"
        case _:
            of = "(all)"
    return {
        "id": key.id,
        "name": key.name,
        "workspace": of,
        "status": key.status,
        "hint": key.partial_key_hint,
        "created": day(key.created_at),
        "last_used": day(key.last_used_at),
        "expires": day(key.expires_at),
    }


def _title(key: KeyInfo) -> str:
    return f"Key {key.id} ({key.name})"


def _until(key: KeyInfo) -> str:
    """Say when a key ends, with the second: its life may be shorter than a minute."""
    end = key.expires_at
    return "" if end is None else f" It works until {end[:10]} {end[11:19]} UTC."


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())
