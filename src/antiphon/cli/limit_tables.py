"""The owners of limits, and the tables of limits and balances."""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.amounts import PERIOD_WORDS, cents_as_dollars, rate_name, spend_name
from antiphon.cli.command import CommandError
from antiphon.cli.output import hint, say_json
from antiphon.cli.tables import TableForm, say_table
from antiphon.core.errors import NotFoundError
from antiphon.core.limits.values import Scope
from antiphon.service.admin.balances import Owner
from antiphon.service.admin.rate_limit_groups import Group
from antiphon.settings import Settings
from antiphon.wire.admin.limits import (
    BalanceInfo,
    KeyRateLimitInfo,
    RateLimitInfo,
    SpendLimitInfo,
    WorkspaceRateLimitInfo,
)
from antiphon.wire.errors import shortened

_SCOPES = {scope.wire: scope for scope in Scope}
RateInfo: TypeAlias = RateLimitInfo | WorkspaceRateLimitInfo | KeyRateLimitInfo


class LimitOwner(msgspec.Struct, frozen=True):
    """The owner of limits: `scope` in the format of the API, `name` for people."""

    scope: dict[str, str]
    name: str

    @property
    def id(self) -> str:
        return self.scope.get("workspace_id") or self.scope.get("api_key_id") or ""


def add_owner_flags(command: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the flags that name an owner of limits."""
    owner = command.add_mutually_exclusive_group(required=required)
    owner.add_argument("--organization", action="store_true", help="of the whole organization")
    owner.add_argument("--workspace", metavar="NAME", help="of one workspace, by name or id")
    owner.add_argument("--key", metavar="NAME", help="of one key, by name or id")


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


async def limit_owners(
    session: AdminSession, arguments: argparse.Namespace, *, archived: bool = False
) -> tuple[LimitOwner, ...]:
    """Return the owner in the flags, or without one every owner that may have limits.

    With `archived` also archived ones, which may still have some.
    """
    if one := await _owner(session, arguments):
        return (one,)
    return (
        LimitOwner({"type": "organization"}, "organization"),
        *(
            LimitOwner(
                {"type": "workspace", "workspace_id": one.id},
                f"workspace {one.name}{' (archived)' if one.archived_at else ''}",
            )
            for one in reversed(await session.workspaces())
            if archived or one.archived_at is None
        ),
        *(
            LimitOwner(
                {"type": "api_key", "api_key_id": key.id},
                f"key {key.name}{' (archived)' if key.status == 'archived' else ''}",
            )
            for key in reversed(await session.keys())
            if (archived or key.status != "archived") and key.scope.__struct_config__.tag != "admin"
        ),
    )


async def groups_of(session: AdminSession, model: str | None) -> tuple[Group, ...]:
    """Return every limit group, or that of a model. Raises `CommandError` for an unknown name."""
    limits = session.administration.rate_limits
    try:
        return await limits.groups(model)
    except NotFoundError as error:
        groups = await limits.groups()
        names = [name for group in groups for name in group.models or ()]
        limited = [group.id for group in groups if group.is_unserved]
        raise CommandError(
            f"no model answers to {shortened(model or '')!r}; the names are "
            f"{', '.join([*names, *limited])}"
        ) from error


def list_limits(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print every limit that is set: of one owner, or of all."""

    async def read(
        session: AdminSession,
    ) -> tuple[list[RateInfo], list[SpendLimitInfo], list[dict[str, Any]]]:
        rates: list[RateInfo] = []
        spends: list[SpendLimitInfo] = []
        rows: list[dict[str, Any]] = []
        every_rate, every_spend = await _limits_by_owner(session)
        for owner in await limit_owners(session, arguments, archived=True):
            own, amounts = every_rate[owner.id], every_spend[owner.id]
            rates += own
            spends += amounts
            rows += [*_rate_rows(owner, own), *_spend_rows(owner, amounts)]
        return rates, spends, rows

    rates, spends, rows = open_session(settings, read)
    if arguments.json:
        say_json({"rate_limits": rates, "spend_limits": spends})
    else:
        owner = arguments.key or arguments.workspace
        whose = f" of its own is set for {owner}" if owner else " is set"
        say_table(
            rows,
            TableForm(
                empty=f"No limit{whose}: those of the organization apply.",
                texts=("of", "model", "limits"),
            ),
        )
    return 0


async def limits_of(
    session: AdminSession, owner: LimitOwner
) -> tuple[list[RateInfo], list[SpendLimitInfo]]:
    """Return the limits of one owner, the organization's with its defaults."""
    rates, spends = await _limits_by_owner(session)
    return rates[owner.id], spends[owner.id]


async def _limits_by_owner(
    session: AdminSession,
) -> tuple[Mapping[str, list[RateInfo]], Mapping[str, list[SpendLimitInfo]]]:
    """Return every limit by the id of its owner, which is empty for the organization's."""
    rates: dict[str, list[RateInfo]] = defaultdict(list)
    for info in await session.administration.rate_limits.everywhere():
        match info:
            case WorkspaceRateLimitInfo(workspace_id=owner) | KeyRateLimitInfo(api_key_id=owner):
                rates[owner].append(info)
            case RateLimitInfo():
                rates[""].append(info)
    spends: dict[str, list[SpendLimitInfo]] = defaultdict(list)
    for limit in await session.administration.spend_limits.all():
        spends[LimitOwner(limit.scope, "").id].append(limit)
    return rates, spends


def _rate_rows(owner: LimitOwner, infos: Iterable[RateInfo]) -> Iterator[dict[str, Any]]:
    for info in infos:
        unserved = " (not served)" if info.models == () else ""
        model = None if info.models is None else f"{info.group.id}{unserved}"
        for limit in info.limits:
            yield _row(owner, model, rate_name(limit.type, info.group.id), f"{limit.value:,}")


def _spend_rows(owner: LimitOwner, limits: Iterable[SpendLimitInfo]) -> Iterator[dict[str, Any]]:
    for limit in limits:
        name = spend_name(limit.period)
        if limit.scope["type"] == "usage_tier":
            name = f"{name} (`monthly_spend`)"
        yield _row(owner, None, name, cents_as_dollars(limit.amount))


def _row(owner: LimitOwner, model: str | None, what: str, value: str) -> dict[str, Any]:
    return {"of": owner.name, "model": model, "limits": what, "to": value}


def show_balances(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print what was spent and what is left: of one owner, or of all."""

    async def read(session: AdminSession) -> list[tuple[LimitOwner, BalanceInfo]]:
        owners = await limit_owners(session, arguments)
        organization = (await session.administration.people.organization()).id
        ids = [Owner(_SCOPES[one.scope["type"]], one.id or organization) for one in owners]
        found = await session.administration.balances.of(ids)
        return [
            (owner, balance)
            for owner, balances in zip(owners, found.values(), strict=True)
            for balance in balances
        ]

    found = open_session(settings, read)
    if arguments.json:
        say_json([balance for _, balance in found])
        return 0
    rows = [
        {
            "of": owner.name,
            "this": PERIOD_WORDS[one.period],
            "spent": cents_as_dollars(one.spent),
            "limit": None if one.limit is None else cents_as_dollars(one.limit),
            "left": None if one.remaining is None else cents_as_dollars(one.remaining),
            "until": one.ending_at[:10],
        }
        for owner, one in found
    ]
    say_table(
        rows, TableForm(empty="Nothing was found.", texts=("of",), least_useful=("until", "spent"))
    )
    hint("\nWhat is running now is not in it, nor what a server has not written yet (a second).")
    return 0
