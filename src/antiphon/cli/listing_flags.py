"""Flags of commands that list: how many at most, and of which workspace."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from antiphon.cli.command import CommandError
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.cli.admin_session import AdminSession

LONGEST: Final = 18
"""The digits of a number that is looked at: more of them take time, and are too large."""


def number_up_to(most: int) -> Callable[[str], int]:
    """Return what reads the value of a flag: a number from 1 to `most`."""

    def read(text: str) -> int:
        is_number = text.isascii() and text.isdecimal() and len(text) <= LONGEST
        if not is_number or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no number from 1 to {most}")
        return int(text)

    return read


def add_limit(command: argparse.ArgumentParser, most: int, what: str = "at most so many") -> None:
    """Add the flag that says how many are listed, from 1 to `most`; 20 without it."""
    command.add_argument(
        "--limit",
        type=number_up_to(most),
        default=20,
        metavar="N",
        help=f"{what}, up to {most}; default: 20",
    )


async def workspace_of(session: "AdminSession", named: str | None, *, adds: bool) -> str | None:
    """Return the id of the workspace that is named, as its objects have it.

    `None` is the Default workspace. Raises `CommandError`, also for one that is archived where the
    command `adds` to it.
    """
    if named is None:
        return None
    workspace = await session.workspace(named)
    if workspace.id == session.default_workspace:
        return None
    if adds and workspace.archived_at is not None:
        raise CommandError(f"workspace {workspace.name} is archived")
    return workspace.id


def looked_in(named: str | None) -> str:
    """Return where an object was looked for, for the message that it is not there."""
    if named is None:
        return "the Default workspace (--workspace names another)"
    return f"workspace {named!r}"
