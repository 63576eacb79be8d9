"""`antiphon cache`: the prefixes of prompts that are kept on the disk."""

import argparse
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.command import CommandError, actions_of, add_command, add_confirmation, confirm
from antiphon.cli.output import day, decimal_size, hint, print_change
from antiphon.cli.tables import TableForm, print_listing
from antiphon.core.billing.reports import wire_time
from antiphon.engines.llama.opening import FOLDER
from antiphon.engines.llama.snapshots.inventory import KeptPrefix, kept_prefixes, remove_prefixes
from antiphon.service.models import ENGINES_FOLDER, catalogue_of
from antiphon.settings import Settings
from antiphon.wire.errors import shortened


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    listing = add_command(actions, "list", _list, "list the prefixes of prompts on the disk")
    clear = add_command(actions, "clear", _clear, "remove prefixes of prompts from the disk")
    for command in (listing, clear):
        command.add_argument("--workspace", metavar="NAME", help="only of this workspace")
        command.add_argument(
            "--model",
            metavar="NAME",
            help="only of this model: its id, also if it is not served any more, or another of "
            "its names",
        )
    add_confirmation(clear)


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    found, workspaces = _chosen(arguments, settings)
    rows = [_row(one, workspaces) for one in found]
    status = print_listing(
        arguments,
        rows,
        _cells,
        TableForm(
            empty=f"No prefixes of prompts{_filters(arguments)} are on the disk.",
            least_useful=("used_at", "model"),
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
    """Return the prefixes that the flags name, and the names of workspaces by their salts.

    Raises `CommandError` for a workspace or a model that does not exist.
    """

    async def read(session: AdminSession) -> tuple[str | None, Mapping[str, str]]:
        wanted: str | None = arguments.workspace
        salts = await session.salts()
        if wanted is None:
            return None, {salt: one.name for salt, one in salts.items()}
        workspace = await session.workspace(wanted)
        salt = next(salt for salt, one in salts.items() if one.id == workspace.id)
        return salt, {salt: workspace.name}

    salt, workspaces = open_session(settings, read)
    kept = kept_prefixes(settings.data_dir / ENGINES_FOLDER / FOLDER)
    wanted: str | None = arguments.model
    model = None if wanted is None else _model_id(wanted, kept, settings)
    found = [one for one in kept if salt in (None, one.salt) and model in (None, one.model)]
    return found, workspaces


def _model_id(wanted: str, kept: Iterable[KeptPrefix], settings: Settings) -> str:
    """Find a model by an id that has prefixes, or by a name that a served model answers to."""
    with_prefixes = {one.model for one in kept if one.model is not None}
    if wanted in with_prefixes:
        return wanted
    served = settings.served()
    found = catalogue_of(served).resolve(wanted)
    if found is None:
        names = (name for model in served for name in (model.id, *model.aliases))
        known = ", ".join(dict.fromkeys([*names, *sorted(with_prefixes)]))
        raise CommandError(f"no model answers to {shortened(wanted)!r}; the names are {known}")
    return found


def _filters(arguments: argparse.Namespace) -> str:
    """Say which filters leave nothing: ` of model 'qwen' in workspace 'research'`."""
    given = (("of model", arguments.model), ("in workspace", arguments.workspace))
    return "".join(f" {what} {shortened(one)!r}" for what, one in given if one is not None)


def _row(one: KeptPrefix, workspaces: Mapping[str, str]) -> dict[str, Any]:
    """Return a prefix for programs: its size in bytes, and times as in the Admin API."""
    return {
        "model": one.model,
        "workspace": workspaces.get(one.salt),
        "tokens": one.tokens,
        "size": one.size,
        "used_at": _moment(one.used_at),
        "ends_at": _moment(one.ends_at),
    }


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    """Return a prefix for people."""
    times = {name: day(row[name]) for name in ("used_at", "ends_at")}
    return {**row, "size": decimal_size(row["size"]), **times}


def _moment(seconds: float) -> str:
    return wire_time(datetime.fromtimestamp(seconds, UTC))


def _prefixes(found: list[KeptPrefix]) -> str:
    return "1 prefix" if len(found) == 1 else f"{len(found):,} prefixes"
