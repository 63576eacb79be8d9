"""`antiphon limits`: rates and spending of the organization, a workspace or a key."""

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.cli.admin_session import AdminSession, checked, open_session
from antiphon.cli.command import CommandError, actions_of, add_command
from antiphon.cli.output import dollars, say, say_json
from antiphon.cli.tables import TableForm, say_table
from antiphon.core.billing.money import LARGEST_DOLLARS, cents, nano_dollars_of
from antiphon.core.errors import NotFoundError
from antiphon.core.limits.rate_limits import LimitType
from antiphon.core.limits.values import LARGEST_SPEND
from antiphon.service.admin.rate_limits import Group
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.settings import Settings
from antiphon.wire.admin.limits import (
    HIGHEST_RATE,
    BalanceInfo,
    CreateSpendLimitParams,
    KeyRateLimitInfo,
    LimitParam,
    RateLimitInfo,
    SetLimitsParams,
    SpendLimitInfo,
    SpendPeriod,
    WorkspaceRateLimitInfo,
)

PERIODS: dict[str, SpendPeriod] = {"day": "daily", "week": "weekly", "month": "monthly"}
_WORDS = {period: word for word, period in PERIODS.items()}
# The rate limits: the flag, the type, and the name in tables.
_RATES = (
    ("requests", LimitType.REQUESTS, "requests"),
    ("input_tokens", LimitType.INPUT, "input tokens"),
    ("output_tokens", LimitType.OUTPUT, "output tokens"),
)
_EXAMPLES = """examples:
  antiphon limits set --workspace research --requests 60 --spend 100/month
  antiphon limits set --key laptop --spend 5/day --spend 20/week
  antiphon limits set --organization --model claude-local --output-tokens 50000
  antiphon limits clear --workspace research --spend month

Every request counts against the limits of its key, its workspace and the
organization. The tightest limit refuses it. A running server knows of a
change at once."""


@dataclass(frozen=True, slots=True)
class LimitOwner:
    """The owner of limits: `scope` in the format of the API, `name` for people."""

    scope: dict[str, str]
    name: str

    @property
    def id(self) -> str:
        return self.scope.get("workspace_id") or self.scope.get("api_key_id") or ""


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = actions_of(family)
    listing = add_command(actions, "list", _list, "list the limits that apply")
    _add_owner_flags(listing, required=False)
    balance = add_command(actions, "balance", _balance, "show what was spent, and what is left")
    _add_owner_flags(balance, required=False)

    setting = add_command(actions, "set", _set, "set limits; those that are not named stay")
    _add_owner_flags(setting, required=True)
    for flag, what in (
        ("--requests", "requests a minute"),
        ("--input-tokens", "input tokens a minute, except those read from the prompt cache"),
        ("--output-tokens", "output tokens a minute"),
        ("--counts", "calls of count_tokens a minute"),
    ):
        setting.add_argument(flag, type=_rate, metavar="N", help=what)
    setting.add_argument(
        "--spend",
        type=_spend,
        action="append",
        default=[],
        metavar="DOLLARS/PERIOD",
        help="US dollars a day, week or month (UTC): 100/month, 2.50/day; may be repeated",
    )
    _add_model(setting)

    clear = add_command(actions, "clear", _clear, "remove limits that were set")
    _add_owner_flags(clear, required=True)
    clear.add_argument("--all", action="store_true", help="all that were set here")
    for flag, what in (
        ("--requests", "the limit of requests"),
        ("--input-tokens", "the limit of input tokens"),
        ("--output-tokens", "the limit of output tokens"),
        ("--counts", "the limit of calls of count_tokens"),
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
    for command in (setting, clear):
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        command.epilog = _EXAMPLES


def _add_owner_flags(command: argparse.ArgumentParser, *, required: bool) -> None:
    owner = command.add_mutually_exclusive_group(required=required)
    owner.add_argument("--organization", action="store_true", help="of the whole organization")
    owner.add_argument("--workspace", metavar="NAME", help="of one workspace, by name or id")
    owner.add_argument("--key", metavar="NAME", help="of one key, by name or id")


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
    found = re.fullmatch(r"\$?([0-9]{1,9})(?:\.([0-9]{1,9}))?/(day|week|month)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 100/month, 20/week or 2.50/day")
    amount = int(found[1]) * 10**9 + int(f"{found[2] or '':0<9}")
    if amount > LARGEST_SPEND:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {LARGEST_DOLLARS:,} US dollars")
    return amount, PERIODS[found[3]]


async def _owner(session: AdminSession, arguments: argparse.Namespace) -> LimitOwner | None:
    if arguments.workspace is not None:
        workspace = await session.workspace(arguments.workspace)
        scope = {"type": "workspace", "workspace_id": workspace.id}
        return LimitOwner(scope, f"workspace {workspace.name}")
    if arguments.key is not None:
        key = await session.key(arguments.key)
        return LimitOwner({"type": "api_key", "api_key_id": key.id}, f"key {key.name}")
    if arguments.organization:
        return LimitOwner({"type": "organization"}, "organization")
    return None


async def _owners(session: AdminSession, arguments: argparse.Namespace) -> tuple[LimitOwner, ...]:
    """Return the owner in the flags, or without one every owner that may have limits."""
    if one := await _owner(session, arguments):
        return (one,)
    return (
        LimitOwner({"type": "organization"}, "organization"),
        *(
            LimitOwner({"type": "workspace", "workspace_id": one.id}, f"workspace {one.name}")
            for one in reversed(await session.workspaces())
            if one.archived_at is None
        ),
        *(
            LimitOwner({"type": "api_key", "api_key_id": key.id}, f"key {key.name}")
            for key in reversed(await session.keys())
            if key.status != "archived" and key.scope.__struct_config__.tag != "admin"
        ),
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """The limits to set, or with `None` to clear: rates of models and of counting, and amounts."""

    rates: dict[LimitType, int | None]
    counts: dict[LimitType, int | None]
    spends: dict[SpendPeriod, int | None]


# ── list and balance


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(
        session: AdminSession,
    ) -> tuple[list[Any], list[SpendLimitInfo], list[dict[str, Any]]]:
        rates: list[Any] = []
        spends: list[SpendLimitInfo] = []
        rows: list[dict[str, Any]] = []
        limits = await session.administration.spend_limits.all()
        for owner in await _owners(session, arguments):
            own = await _rate_limits(session, owner)
            amounts = [limit for limit in limits if limit.scope == owner.scope]
            rates += own
            spends += amounts
            rows += [*_rate_rows(owner, own), *_spend_rows(owner, amounts)]
        return rates, spends, rows

    rates, spends, rows = open_session(settings, read)
    if arguments.json:
        say_json({"rate_limits": rates, "spend_limits": spends})
    else:
        say_table(
            rows,
            TableForm(
                empty="No limit was set here: those of the organization apply.",
                texts=("of", "model", "limits"),
            ),
        )
    return 0


async def _rate_limits(
    session: AdminSession, owner: LimitOwner
) -> Sequence[RateLimitInfo | WorkspaceRateLimitInfo | KeyRateLimitInfo]:
    limits = session.administration.rate_limits
    match owner.scope["type"]:
        case "organization":
            return await limits.of_organization()
        case "workspace":
            return await limits.of_workspace(owner.id)
        case _:
            return await limits.of_key(owner.id)


def _rate_rows(
    owner: LimitOwner, infos: Iterable[RateLimitInfo | WorkspaceRateLimitInfo | KeyRateLimitInfo]
) -> Iterator[dict[str, Any]]:
    for info in infos:
        for limit in info.limits:
            what = next(name for _, kind, name in _RATES if kind == limit.type)
            if info.models is None:
                what = "counts"
            model = None if info.models is None else info.group.id
            yield _row(owner, model, f"{what} a minute", f"{limit.value:,}")


def _spend_rows(owner: LimitOwner, limits: Iterable[SpendLimitInfo]) -> Iterator[dict[str, Any]]:
    for limit in limits:
        yield _row(owner, None, f"spending a {_WORDS[limit.period]}", _dollars(limit.amount))


def _row(owner: LimitOwner, model: str | None, what: str, value: str) -> dict[str, Any]:
    return {"of": owner.name, "model": model, "limits": what, "to": value}


def _balance(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(session: AdminSession) -> list[tuple[LimitOwner, BalanceInfo]]:
        balances = await session.administration.balances.all()
        return [
            (owner, balance)
            for owner in await _owners(session, arguments)
            for balance in balances
            if balance.scope == owner.scope
        ]

    found = open_session(settings, read)
    if arguments.json:
        say_json([balance for _, balance in found])
        return 0
    rows = [
        {
            "of": owner.name,
            "this": _WORDS[one.period],
            "spent": _dollars(one.spent),
            "limit": None if one.limit is None else _dollars(one.limit),
            "left": None if one.remaining is None else _dollars(one.remaining),
            "until": one.ending_at[:10],
        }
        for owner, one in found
    ]
    say_table(
        rows,
        TableForm(empty="Nothing was found.", texts=("of",), least_useful=("until", "spent")),
    )
    say("\nWhat is running now is not in it, nor what a server has not written yet (a second).")
    return 0


def _dollars(amount: str) -> str:
    return f"${dollars(nano_dollars_of(amount))}"


# ── set and clear


def _set(arguments: argparse.Namespace, settings: Settings) -> int:
    given = {kind: getattr(arguments, flag) for flag, kind, _ in _RATES}
    wanted = Wanted(
        rates={kind: value for kind, value in given.items() if value is not None},
        counts={} if arguments.counts is None else {LimitType.REQUESTS: arguments.counts},
        spends={period: amount for amount, period in arguments.spend},
    )
    return _change(arguments, settings, wanted)


def _clear(arguments: argparse.Namespace, settings: Settings) -> int:
    whole = arguments.all
    wanted = Wanted(
        rates={kind: None for flag, kind, _ in _RATES if whole or getattr(arguments, flag)},
        counts={LimitType.REQUESTS: None} if whole or arguments.counts else {},
        spends={PERIODS[word]: None for word in (PERIODS if whole else arguments.spend)},
    )
    return _change(arguments, settings, wanted)


def _change(arguments: argparse.Namespace, settings: Settings, wanted: Wanted) -> int:
    if not (wanted.rates or wanted.counts or wanted.spends):
        raise CommandError("say which limits; --help lists them")
    if arguments.model is not None and not wanted.rates:
        raise CommandError("--model goes with --requests, --input-tokens or --output-tokens")

    async def change(session: AdminSession) -> str:
        owner = (await _owners(session, arguments))[0]
        async with session.together():
            for group in _groups(session, arguments.model):
                await _set_rates(session, owner, group, wanted)
            for period, amount in wanted.spends.items():
                await _set_spend(session, owner, period, amount)
        return owner.name

    called = open_session(settings, change)
    if not arguments.json:
        say(f"The limits of the {called} are changed:\n")
    return _list(arguments, settings)


def _groups(session: AdminSession, model: str | None) -> tuple[Group, ...]:
    limits = session.administration.rate_limits
    try:
        return limits.groups(model=model)
    except NotFoundError as error:
        names = [name for group in limits.groups() for name in group.models or ()]
        raise CommandError(
            f"no model answers to {model!r}; the names are {', '.join(names)}"
        ) from error


async def _set_rates(
    session: AdminSession, owner: LimitOwner, group: Group, wanted: Wanted
) -> None:
    values = wanted.counts if group.models is None else wanted.rates
    if not values:
        return
    limits = session.administration.rate_limits
    given = [{"type": kind, "value": value} for kind, value in values.items()]
    params: Sequence[LimitParam] = checked(SetLimitsParams, limits=given).limits
    target = (owner.id, group.rate_limit_id)
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
        await limits.set(COMMAND_LINE, params)
        return
    for limit in await limits.all():
        if limit.scope == owner.scope and limit.period == period:
            await limits.clear(COMMAND_LINE, limit.id)
