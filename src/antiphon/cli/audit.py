"""`antiphon audit`: the administrative changes and their authors, the newest first."""

import argparse
from collections.abc import Mapping
from typing import Any

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.amounts import cents_as_dollars, rate_amounts, spend_name
from antiphon.cli.command import ExamplesFormatter, as_command
from antiphon.cli.listing_flags import number_up_to
from antiphon.cli.output import day
from antiphon.cli.tables import TableForm, print_listing
from antiphon.cli.times import DurationOrTime, duration_or_time, moment_before
from antiphon.settings import Settings
from antiphon.wire.admin.organizations import AuditInfo
from antiphon.wire.errors import shortened

MOST = 1000
_EXAMPLES = """examples:
  antiphon audit                     the last 20 changes
  antiphon audit --since 24h --limit 1000
  antiphon audit --object laptop     a key, its limits and what became of them
  antiphon audit --object research --json"""


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    as_command(family, _audit)
    family.formatter_class = ExamplesFormatter
    family.epilog = _EXAMPLES
    family.add_argument(
        "--limit",
        type=number_up_to(MOST),
        default=20,
        metavar="N",
        help=f"how many changes, up to {MOST}; default: 20",
    )
    family.add_argument(
        "--object",
        metavar="NAME",
        help="only what was done to this key, workspace, user, invite or model, to its limits or "
        "its members: a name, an address or an id, also of what is removed; `organization` for "
        "the limits of the organization",
    )
    family.add_argument(
        "--since",
        type=duration_or_time,
        metavar="WHEN",
        help="only changes from so long ago on, or from this day or time on: 24h, 30d, "
        "2026-11-01, or with a zone 2026-11-01T12:00+02:00; UTC without one",
    )


def _audit(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(
        session: AdminSession,
    ) -> tuple[tuple[AuditInfo, ...], Mapping[str, str], str]:
        wanted: str | None = arguments.object
        ids = None if wanted is None else await session.named(wanted)
        given: DurationOrTime | None = arguments.since
        since = None if given is None else moment_before("--since", given, session.now)
        entries = await session.administration.audit.search(
            limit=arguments.limit, since=since, ids=ids
        )
        of = "" if wanted is None else f" of {shortened(wanted)!r}"
        when = f" since {since:%F %T} UTC" if since else ""
        return entries, await session.names(), of + when

    entries, names, filters = open_session(settings, read)
    empty = f"Nothing was changed{filters}." if filters else "Nothing was changed yet."
    return print_listing(
        arguments,
        entries,
        lambda entry: _row(entry, names),
        TableForm(
            empty=empty,
            texts=("who", "to", "changed"),
            least_useful=("id", "when", "who"),
            # The day above the time, so that there is room for who it was: `command line`.
            folding={"when": len("2026-11-28")},
            comfortable=len("command line"),
        ),
    )


def _row(entry: AuditInfo, names: Mapping[str, str]) -> dict[str, Any]:
    by = entry.actor["id"]
    return {
        "when": day(entry.created_at),
        "who": names.get(by, by) if by else entry.actor["type"].replace("_", " "),
        "did": entry.action,
        "to": _object(entry, names),
        "changed": ", ".join(_changes(entry)),
        "id": entry.object["id"],
    }


def _object(entry: AuditInfo, names: Mapping[str, str]) -> str:
    """Return what was changed, as it was called after the change; of a limit, its owner."""
    if entry.scope is not None:
        owner = entry.scope.get("workspace_id") or entry.scope.get("api_key_id")
        return names.get(owner, owner) if owner else str(entry.scope["type"])
    described = entry.after or entry.before or {}
    kind = entry.object["type"].removeprefix("api_")
    if kind == "workspace_member":
        user, workspace = described["user_id"], described["workspace_id"]
        return f"{names.get(user, user)} in {names.get(workspace, workspace)}"
    called = described.get("email") or described.get("name")
    return f"{kind} {called}" if called else entry.object["id"]


def _changes(entry: AuditInfo) -> list[str]:
    """Return what is different now: of a limit the amounts, else the fields of a changed object."""
    before, after = entry.before or {}, entry.after or {}
    match entry.object["type"]:
        case "rate_limit":
            model = (after or before)["group"]["id"]
            named = "" if (after or before)["models"] is None else f" of {model}"
            amounts = rate_amounts(before), rate_amounts(after)
            return [
                f"{name}{named}: {amounts[0].get(name, 'none')} → {amounts[1].get(name, 'none')}"
                for name in {**amounts[0], **amounts[1]}
                if amounts[0].get(name) != amounts[1].get(name)
            ]
        case "spend_limit":
            old, new = (
                cents_as_dollars(one["amount"]) if one else "none" for one in (before, after)
            )
            return [f"{spend_name((after or before)['period'])}: {old} → {new}"]
        case _ if before and after:
            return [
                f"{name}: {_plain(before.get(name))} → {_plain(value)}"
                if isinstance(value, str | int | None)
                else name
                for name, value in after.items()
                if before.get(name) != value
            ]
        case _:
            return []


def _plain(value: Any) -> str:
    return "none" if value is None else str(value)
