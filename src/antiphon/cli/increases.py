"""The actions of `antiphon limits` about increase requests: asking, listing, deciding."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from antiphon.cli.admin_session import AdminSession, checked, open_session
from antiphon.cli.amounts import (
    CALL_FLAGS,
    RATE_FLAGS,
    cents_as_dollars,
    rate_name,
    spend_name,
    typed_dollars,
)
from antiphon.cli.command import CommandError, add_command
from antiphon.cli.limit_tables import add_owner_flags, groups_of, limit_owners
from antiphon.cli.output import day, print_change
from antiphon.cli.tables import TableForm, print_listing
from antiphon.core.billing.money import cents
from antiphon.core.limits.rate_limits import LimitType
from antiphon.core.pagination import TokenCursor
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.settings import Settings
from antiphon.wire.admin.increases import (
    AskForIncreaseParams,
    GrantIncreaseParams,
    IncreaseInfo,
    RefuseIncreaseParams,
)
from antiphon.wire.admin.limits import HIGHEST_RATE
from antiphon.wire.errors import shortened

MOST: Final = 1000


def add_actions(actions: Any) -> None:
    """Add the actions that are not about limits, but about requests for higher ones."""
    listing = add_command(
        actions, "increases", _list, "list requests for a higher limit that wait for a decision"
    )
    listing.add_argument("--all", action="store_true", help=f"also earlier ones, {MOST} at most")
    grant = add_command(actions, "grant", _grant, "raise a limit, as somebody has asked")
    grant.add_argument("request", metavar="REQUEST", help="the id of the request")
    grant.add_argument(
        "--amount",
        metavar="N",
        help="another amount than the requested: a number a minute, or US dollars",
    )
    grant.add_argument("--answer", metavar="TEXT", help="a sentence to whoever has asked")
    refuse = add_command(actions, "refuse", _refuse, "refuse to raise a limit")
    refuse.add_argument("request", metavar="REQUEST", help="the id of the request")
    refuse.add_argument("answer", metavar="WHY", help="a sentence to whoever has asked")
    withdraw = add_command(actions, "withdraw", _withdraw, "withdraw a request of the command line")
    withdraw.add_argument("request", metavar="REQUEST", help="the id of the request")


def add_asking(actions: Any) -> argparse.ArgumentParser:
    """Add the action that asks; the flags of the limits are those of `set`."""
    asking = add_command(actions, "ask", _ask, "ask for a higher limit, on which others decide")
    add_owner_flags(asking, required=True)
    asking.add_argument("--reason", metavar="TEXT", required=True, help="why it should be higher")
    return asking


def _ask(arguments: argparse.Namespace, settings: Settings) -> int:
    async def ask(session: AdminSession) -> tuple[IncreaseInfo, str]:
        owner = (await limit_owners(session, arguments))[0]
        limit, requested = await _wanted(session, arguments)
        params = checked(
            AskForIncreaseParams,
            limit={**limit, "scope": owner.scope},
            requested=requested,
            reason=arguments.reason,
        )
        return await session.administration.increases.ask(COMMAND_LINE, params), owner.name

    info, of = open_session(settings, ask)
    done = f"Asked for {_amount(info, info.requested)} {_name(info)} of the {of}: {info.id}"
    return print_change(arguments, info, done)


async def _wanted(
    session: AdminSession, arguments: argparse.Namespace
) -> tuple[dict[str, str], int | str]:
    """Return the one limit that the flags name, and the amount that it should have."""
    given = [
        ({"type": "spend_limit", "period": period}, cents(amount))
        for amount, period in arguments.spend
    ]
    rates = [
        (kind, value)
        for kind, flag in RATE_FLAGS.items()
        if (value := getattr(arguments, flag)) is not None
    ]
    calls = [
        (group, value)
        for group, flag in CALL_FLAGS.items()
        if (value := getattr(arguments, flag)) is not None
    ]
    if len(given) + len(rates) + len(calls) != 1:
        raise CommandError("ask for one limit at a time; --help lists them")
    if given:
        return given[0]
    if calls:
        group, value = calls[0]
        return _rate(f"rl_{group}", LimitType.REQUESTS), value
    kind, value = rates[0]
    found = await groups_of(session, arguments.model)
    groups = [one for one in found if one.models]
    if len(groups) != 1:
        names = ", ".join(one.id for one in groups)
        raise CommandError(f"--model says of which of these models: {names}")
    return _rate(groups[0].rate_limit_id, kind), value


def _rate(limit_id: str, kind: str) -> dict[str, str]:
    return {"type": "rate_limit", "rate_limit_id": limit_id, "limit_type": kind}


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(session: AdminSession) -> tuple[tuple[IncreaseInfo, ...], Mapping[str, str]]:
        statuses = () if arguments.all else ("open",)
        page = await session.administration.increases.page(TokenCursor(MOST), statuses)
        return page.data, await session.names()

    found, names = open_session(settings, read)
    return print_listing(
        arguments,
        found,
        lambda one: _row(one, names, with_status=arguments.all),
        TableForm(
            empty="Nobody has asked for a higher limit."
            if arguments.all
            else "No request for a higher limit waits.",
            texts=("limit", "of", "why", "by"),
            least_useful=("asked", "by", "now"),
        ),
    )


def _row(info: IncreaseInfo, names: Mapping[str, str], *, with_status: bool) -> dict[str, Any]:
    scope = info.limit["scope"]
    owner = scope.get("workspace_id") or scope.get("api_key_id")
    by = info.asked_by["id"]
    state = {"state": info.status} if with_status else {}
    return {
        "limit": _name(info),
        "of": names.get(owner, owner) if owner else scope["type"],
        "now": "-" if info.current is None else _amount(info, info.current),
        "wanted": _amount(info, info.requested),
        "why": info.reason,
        "by": names.get(by, by) if by else "command line",
        "asked": day(info.asked_at),
        **state,
        "id": info.id,
    }


def _grant(arguments: argparse.Namespace, settings: Settings) -> int:
    async def grant(session: AdminSession) -> IncreaseInfo:
        increases = session.administration.increases
        info = await increases.one(arguments.request)
        granted = None if arguments.amount is None else _given(info, arguments.amount)
        params = checked(GrantIncreaseParams, granted=granted, answer=arguments.answer)
        return await increases.grant(COMMAND_LINE, info.id, params)

    info = open_session(settings, grant)
    granted = _amount(info, info.requested if info.granted is None else info.granted)
    return print_change(arguments, info, f"Granted: {granted} {_name(info)}.")


def _given(info: IncreaseInfo, text: str) -> int | str:
    """Read `--amount` of a request: a number a minute, or dollars as cents of the wire."""
    if info.limit["type"] == "spend_limit":
        if (amount := typed_dollars(text)) is None:
            raise CommandError(f"--amount: {shortened(text)!r} is not like 100 or 2.50")
        return cents(amount)
    if not (text.isascii() and text.isdecimal()) or int(text[:12]) > HIGHEST_RATE:
        raise CommandError(f"--amount: {shortened(text)!r} is no number from 1 to {HIGHEST_RATE:,}")
    return int(text)


def _refuse(arguments: argparse.Namespace, settings: Settings) -> int:
    params = checked(RefuseIncreaseParams, answer=arguments.answer)
    info = open_session(
        settings,
        lambda session: session.administration.increases.refuse(
            COMMAND_LINE, arguments.request, params.answer
        ),
    )
    return print_change(arguments, info, f"Refused: the limit stays as it is ({_name(info)}).")


def _withdraw(arguments: argparse.Namespace, settings: Settings) -> int:
    info = open_session(
        settings,
        lambda session: session.administration.increases.withdraw(COMMAND_LINE, arguments.request),
    )
    return print_change(arguments, info, f"Withdrawn: {info.id}")


def _name(info: IncreaseInfo) -> str:
    limit = info.limit
    if limit["type"] == "spend_limit":
        return spend_name(limit["period"])
    group = limit["rate_limit_id"].removeprefix("rl_")
    named = rate_name(limit["limit_type"], group)
    return named if group in CALL_FLAGS else f"{named} for {group}"


def _amount(info: IncreaseInfo, amount: int | str) -> str:
    if info.limit["type"] == "spend_limit":
        return cents_as_dollars(str(amount))
    return f"{amount:,}"
