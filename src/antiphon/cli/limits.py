"""`antiphon limits`: rates and spending of the organization, a workspace or a key."""

import argparse
import re
from collections.abc import Sequence

import msgspec

from antiphon.cli.admin_session import AdminSession, checked, open_session
from antiphon.cli.amounts import CALL_FLAGS, PERIODS, RATE_FLAGS, in_dollars, typed_dollars
from antiphon.cli.command import CommandError, ExamplesFormatter, actions_of, add_command
from antiphon.cli.increases import add_actions, add_asking
from antiphon.cli.limit_tables import (
    LimitOwner,
    add_owner_flags,
    groups_of,
    limit_owners,
    limits_of,
    list_limits,
    show_balances,
)
from antiphon.cli.output import say
from antiphon.core.billing.money import LARGEST_DOLLARS, cents
from antiphon.core.errors import InvalidRequestError
from antiphon.core.limits.rate_limits import LimitType
from antiphon.core.limits.values import LARGEST_SPEND
from antiphon.service.admin.rate_limit_groups import Group
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.settings import Settings
from antiphon.wire.admin.limits import (
    HIGHEST_RATE,
    CreateSpendLimitParams,
    LimitParam,
    SetLimitsParams,
    SpendPeriod,
)

_EXAMPLES = """examples:
  antiphon limits set --workspace research --requests 60 --spend 100/month
  antiphon limits set --key laptop --spend 5/day --spend 20/week
  antiphon limits set --organization --model claude-local --output-tokens 50000
  antiphon limits clear --workspace research --spend month
  antiphon limits ask --key ci --requests 90 --reason "more tests"

Every request counts against the limits of its key, its workspace and the
organization. The tightest limit refuses it. A running server knows of a
change at once."""


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    listing = add_command(actions, "list", list_limits, "list every limit that is set")
    add_owner_flags(listing, required=False)
    balance = add_command(
        actions, "balance", show_balances, "show what was spent, and what is left"
    )
    add_owner_flags(balance, required=False)

    setting = add_command(actions, "set", _set, "set limits; those that are not named stay")
    add_owner_flags(setting, required=True)
    _add_amounts(setting, "; may be repeated")

    clear = add_command(actions, "clear", _clear, "remove limits that were set")
    add_owner_flags(clear, required=True)
    clear.add_argument("--all", action="store_true", help="all that were set here")
    for flag, what in (
        ("--requests", "the limit of requests"),
        ("--input-tokens", "the limit of input tokens"),
        ("--output-tokens", "the limit of output tokens"),
        ("--counts", "the limit of calls of count_tokens"),
        ("--batch-calls", "the limit of calls of the endpoints of Message Batches"),
        ("--file-calls", "the limit of calls of the endpoints of files"),
    ):
        clear.add_argument(flag, action="store_true", help=what)
    clear.add_argument(
        "--spend",
        choices=PERIODS,
        action="append",
        default=[],
        help="the spend limit of this period; may be repeated",
    )
    _add_model(clear)
    asking = add_asking(actions)
    _add_amounts(asking)
    add_actions(actions)
    for command in (setting, clear, asking):
        command.formatter_class = ExamplesFormatter
        command.epilog = _EXAMPLES


def _add_amounts(command: argparse.ArgumentParser, more: str = "") -> None:
    for flag, what in (
        ("--requests", "requests a minute"),
        ("--input-tokens", "input tokens a minute, except those read from the prompt cache"),
        ("--output-tokens", "output tokens a minute"),
        ("--counts", "calls of count_tokens a minute"),
        ("--batch-calls", "calls of the endpoints of Message Batches a minute"),
        ("--file-calls", "calls of the endpoints of files a minute"),
    ):
        command.add_argument(flag, type=_rate, metavar="N", help=what)
    command.add_argument(
        "--spend",
        type=_spend,
        action="append",
        default=[],
        metavar="DOLLARS/PERIOD",
        help=f"US dollars a day, week or month (UTC): 100/month, 2.50/day{more}",
    )
    _add_model(command)


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        metavar="NAME",
        help="rates of this model only; default: of all models, each by itself",
    )


def _rate(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:12]) <= HIGHEST_RATE:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {HIGHEST_RATE:,}")
    return int(text)


def _spend(text: str) -> tuple[int, SpendPeriod]:
    """Read `100/month` as nano-dollars and a period."""
    typed, slash, period = text.partition("/")
    amount = typed_dollars(typed)
    if amount is not None and not slash:
        raise argparse.ArgumentTypeError(
            f"{text!r} is without a period: {text}/day, {text}/week or {text}/month"
        )
    if amount is None or period not in PERIODS:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 100/month, 20/week or 2.50/day")
    if amount > LARGEST_SPEND:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {LARGEST_DOLLARS:,} US dollars")
    return amount, PERIODS[period]


class Wanted(msgspec.Struct, frozen=True):
    """The limits to set, or with `None` to clear: rates of models, calls by group, and amounts."""

    rates: dict[LimitType, int | None]
    calls: dict[str, int | None]
    spends: dict[SpendPeriod, int | None]
    clears: bool = False


def _set(arguments: argparse.Namespace, settings: Settings) -> int:
    given = {kind: getattr(arguments, flag) for kind, flag in RATE_FLAGS.items()}
    wanted = Wanted(
        rates={kind: value for kind, value in given.items() if value is not None},
        calls={
            group: n
            for group, flag in CALL_FLAGS.items()
            if (n := getattr(arguments, flag)) is not None
        },
        spends={period: amount for amount, period in arguments.spend},
    )
    return _change(arguments, settings, wanted)


def _clear(arguments: argparse.Namespace, settings: Settings) -> int:
    whole = arguments.all
    wanted = Wanted(
        rates={
            kind: None for kind, flag in RATE_FLAGS.items() if whole or getattr(arguments, flag)
        },
        calls={
            group: None for group, flag in CALL_FLAGS.items() if whole or getattr(arguments, flag)
        },
        spends={PERIODS[word]: None for word in (PERIODS if whole else arguments.spend)},
        clears=True,
    )
    return _change(arguments, settings, wanted)


def _change(arguments: argparse.Namespace, settings: Settings, wanted: Wanted) -> int:
    if not (wanted.rates or wanted.calls or wanted.spends):
        raise CommandError("say which limits; --help lists them")
    if arguments.model is not None and not wanted.rates:
        raise CommandError("--model goes with --requests, --input-tokens or --output-tokens")

    async def change(session: AdminSession) -> tuple[str, bool]:
        owner = (await limit_owners(session, arguments))[0]
        before = await limits_of(session, owner)
        async with session.together():
            for group in await groups_of(session, arguments.model):
                if group.is_unserved and not wanted.clears:
                    if arguments.model is None:
                        continue
                    raise CommandError(
                        f"no model answers to {group.id!r} any more; `antiphon limits clear "
                        "--model` removes its limits"
                    )
                await _set_rates(session, owner, group, wanted)
            for period, amount in wanted.spends.items():
                await _set_spend(session, owner, period, amount)
        return owner.name, await limits_of(session, owner) != before

    may_found = arguments.organization and not wanted.clears
    called, is_changed = open_session(settings, change, may_found=may_found)
    if not arguments.json:
        say(f"The limits of the {called} are {'changed' if is_changed else 'as they were'}:\n")
    return list_limits(arguments, settings)


async def _set_rates(
    session: AdminSession, owner: LimitOwner, group: Group, wanted: Wanted
) -> None:
    values = wanted.rates
    if group.models is None:
        calls = wanted.calls
        values = {LimitType.REQUESTS: calls[group.id]} if group.id in calls else {}
    if not values:
        return
    given = [{"type": kind, "value": value} for kind, value in values.items()]
    params: Sequence[LimitParam] = checked(SetLimitsParams, limits=given).limits
    target = (owner.id, group.rate_limit_id)
    try:
        await _set_rates_of(session, owner, target, params)
    except InvalidRequestError as error:
        raise CommandError(_with_flag(str(error), group, tuple(values))) from error


def _with_flag(message: str, group: Group, kinds: Sequence[LimitType]) -> str:
    """Return an error about one of the limits that were set, with the flag that sets it."""
    found = re.match(r"limits\.(\d+)\.\w+: ", message)
    if found is None:
        return message
    kind = kinds[int(found[1])]
    flag = RATE_FLAGS[kind] if group.models is not None else CALL_FLAGS[group.id]
    return f"--{flag.replace('_', '-')}: {message[found.end() :]}"


async def _set_rates_of(
    session: AdminSession, owner: LimitOwner, target: tuple[str, str], params: Sequence[LimitParam]
) -> None:
    limits = session.administration.rate_limits
    match owner.scope["type"]:
        case "organization":
            await limits.set_for_organization(COMMAND_LINE, target[1], params)
        case "workspace":
            await limits.set_for_workspace(COMMAND_LINE, target, params)
        case _:
            await limits.set_for_key(COMMAND_LINE, target, params)


async def _set_spend(
    session: AdminSession, owner: LimitOwner, period: SpendPeriod, amount: int | None
) -> None:
    limits = session.administration.spend_limits
    if amount is not None:
        params = checked(
            CreateSpendLimitParams, scope=owner.scope, amount=cents(amount), period=period
        )
        try:
            await limits.set(COMMAND_LINE, params)
        except InvalidRequestError as error:
            raise CommandError(in_dollars(str(error))) from error
        return
    for limit in await limits.all():
        if limit.scope == owner.scope and limit.period == period:
            await limits.clear(COMMAND_LINE, limit.id)
