"""`antiphon audit`: the administrative changes and their authors, the newest first."""

import argparse
from typing import Any

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.command import as_command
from antiphon.cli.output import day
from antiphon.cli.tables import TableForm, print_listing
from antiphon.settings import Settings
from antiphon.wire.admin.organizations import AuditInfo

MOST = 1000


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    as_command(family, _audit)
    family.add_argument(
        "--limit",
        type=_limit,
        default=20,
        metavar="N",
        help=f"how many changes, up to {MOST}; default: 20",
    )
    family.add_argument("--object", metavar="ID", help="only what was done to this: apikey_01…")


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:5]) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST}")
    return int(text)


def _audit(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(session: AdminSession) -> tuple[tuple[AuditInfo, ...], dict[str, str]]:
        page = await session.administration.audit.page(
            limit=arguments.limit, object_id=arguments.object
        )
        return page.data, {key.id: key.name for key in await session.keys()}

    entries, names = open_session(settings, read)
    return print_listing(
        arguments,
        entries,
        lambda entry: _row(entry, names),
        TableForm(
            empty="Nothing was changed yet.",
            texts=("who", "changed"),
            least_useful=("who", "when"),
        ),
    )


def _row(entry: AuditInfo, names: dict[str, str]) -> dict[str, Any]:
    by = entry.actor["id"]
    return {
        "when": day(entry.created_at),
        "who": f"key {names.get(by, by)}" if by else entry.actor["type"].replace("_", " "),
        "did": entry.action,
        "to": entry.object["id"],
        "changed": ", ".join(_changes(entry)),
    }


def _changes(entry: AuditInfo) -> list[str]:
    """Return the changed fields, with their new values if those are short."""
    before, after = entry.before or {}, entry.after or {}
    if not before or not after:
        named = after or before
        return [str(named[word]) for word in ("name", "email") if word in named][:1]
    return [
        f"{name}: {value}" if isinstance(value, str | int) else name
        for name, value in after.items()
        if before.get(name) != value
    ]
