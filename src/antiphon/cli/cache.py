"""`antiphon cache`: the prefixes of prompts that are kept on the disk."""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.command import actions_of, add_command, add_confirmation, confirm
from antiphon.cli.output import decimal_size, hint, print_change
from antiphon.cli.tables import TableForm, print_listing
from antiphon.engines.llama.opening import FOLDER
from antiphon.engines.llama.snapshots.inventory import KeptPrefix, kept_prefixes, remove_prefixes
from antiphon.service.models import ENGINES_FOLDER
from antiphon.settings import Settings


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    listing = add_command(actions, "list", _list, "list the prefixes of prompts on the disk")
    clear = add_command(actions, "clear", _clear, "remove prefixes of prompts from the disk")
    for command in (listing, clear):
        command.add_argument("--workspace", metavar="NAME", help="only of this workspace")
        command.add_argument("--model", metavar="ID", help="only of this model")
    add_confirmation(clear)


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    found, workspaces = _chosen(arguments, settings)
    rows = [_row(one, workspaces) for one in found]
    status = print_listing(
        arguments,
        rows,
        lambda row: {**row, "size": decimal_size(row["size"])},
        TableForm(
            empty="No prefixes of prompts are on the disk.", least_useful=("used_at", "model")
        ),
    )
    if found and not arguments.json:
        hint(f"{_prefixes(found)}, {decimal_size(sum(one.size for one in found))}.")
    return status


def _clear(arguments: argparse.Namespace, settings: Settings) -> int:
    found, _ = _chosen(arguments, settings)
    size = sum(one.size for one in found)
    if found:
        confirm(arguments, f"Remove {_prefixes(found)} ({decimal_size(size)})?")
        remove_prefixes(found)
    done = (
        f"Removed {_prefixes(found)}: {decimal_size(size)} are free again. A running server "
        "keeps what is in its slots until other prompts need them."
        if found
        else "There is nothing to remove."
    )
    return print_change(arguments, {"removed": len(found), "bytes": size}, done)


def _chosen(
    arguments: argparse.Namespace, settings: Settings
) -> tuple[list[KeptPrefix], Mapping[str, str]]:
    """Return the prefixes that the flags name, and the names of workspaces by their salts."""

    async def read(session: AdminSession) -> tuple[str | None, Mapping[str, str]]:
        wanted: str | None = arguments.workspace
        salts = await session.salts()
        if wanted is None:
            return None, {salt: one.name for salt, one in salts.items()}
        workspace = await session.workspace(wanted)
        salt = next(salt for salt, one in salts.items() if one.id == workspace.id)
        return salt, {salt: workspace.name}

    salt, workspaces = open_session(settings, read)
    found = [
        one
        for one in kept_prefixes(settings.data_dir / ENGINES_FOLDER / FOLDER)
        if salt in (None, one.salt) and arguments.model in (None, one.model)
    ]
    return found, workspaces


def _row(one: KeptPrefix, workspaces: Mapping[str, str]) -> dict[str, Any]:
    return {
        "model": one.model,
        "workspace": workspaces.get(one.salt),
        "tokens": one.tokens,
        "size": one.size,
        "used_at": _moment(one.used_at),
        "ends_at": _moment(one.ends_at),
    }


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%F %T}"


def _prefixes(found: list[KeptPrefix]) -> str:
    return "1 prefix" if len(found) == 1 else f"{len(found):,} prefixes"
