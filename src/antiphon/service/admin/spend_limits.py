"""Spend limits, and what is left of them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from antiphon.core.admission import Balance
from antiphon.core.errors import InvalidRequestError, NotFoundError, OverloadedError
from antiphon.core.identity import spend_limit_id
from antiphon.core.money import cents, nano_dollars_of
from antiphon.core.periods import PERIODS, day_of, end_of, midnight, start_of
from antiphon.core.spending import SpendCap
from antiphon.service.admin.keys import the_key
from antiphon.service.admin.office import Actor, Change, Office, moment
from antiphon.service.admin.workspaces import the_workspace
from antiphon.settings import LimitSettings
from antiphon.store.accounts import KeyKind, list_keys
from antiphon.store.counters.base import Counters, CountersAwayError
from antiphon.store.directory import Directory, read_directory
from antiphon.store.limits import (
    Scope,
    SpendLimit,
    clear_spend_limit,
    list_spend_limits,
    set_spend_limit,
)
from antiphon.wire.limits import (
    BalanceInfo,
    CreateSpendLimitParams,
    KeySpendScope,
    OrganizationSpendScope,
    SpendLimitInfo,
    SpendScope,
    WorkspaceSpendScope,
)
from antiphon.wire.organizations import Deleted

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class SpendLimits:
    """The use cases of spend limits and balances."""

    def __init__(self, office: Office, settings: LimitSettings, counters: Counters) -> None:
        self._office = office
        self._settings = settings
        self._counters = counters

    async def all(self) -> tuple[SpendLimitInfo, ...]:
        """List every spend limit, the oldest first."""
        async with self._office.read() as connection:
            return tuple(spend_limit_info(limit) for limit in await list_spend_limits(connection))

    async def one(self, wanted: str) -> SpendLimitInfo:
        """Return a spend limit. Raises `NotFoundError`."""
        async with self._office.read() as connection:
            return spend_limit_info(await _the_limit(connection, wanted))

    async def set(self, actor: Actor, params: CreateSpendLimitParams) -> SpendLimitInfo:
        """Set the limit of a scope for a period, whether or not there was one."""
        now = self._office.now()
        async with self._office.change() as connection:
            scope, scope_id = await _whom(connection, params.scope)
            before = next(
                (
                    limit
                    for limit in await list_spend_limits(connection)
                    if (limit.scope, limit.scope_id, limit.period)
                    == (scope, scope_id, params.period)
                ),
                None,
            )
            limit = SpendLimit(
                id=spend_limit_id(self._office.entropy()),
                scope=scope,
                scope_id=scope_id,
                period=params.period,
                amount=self._amount(params.amount, params.period),
                created_at=now,
                updated_at=now,
            )
            return await self._set(connection, actor, before, limit)

    async def change(self, actor: Actor, wanted: str, amount: str) -> SpendLimitInfo:
        """Give a spend limit another amount."""
        async with self._office.change() as connection:
            before = await _the_limit(connection, wanted)
            limit = replace(
                before,
                amount=self._amount(amount, before.period),
                updated_at=self._office.now(),
            )
            return await self._set(connection, actor, before, limit)

    async def _set(
        self,
        connection: "AsyncConnection",
        actor: Actor,
        before: SpendLimit | None,
        limit: SpendLimit,
    ) -> SpendLimitInfo:
        after = spend_limit_info(await set_spend_limit(connection, limit))
        action = "spend_limit.update" if before else "spend_limit.create"
        change = Change(action, spend_limit_info(before) if before else None, after)
        await self._office.note(connection, actor, change)
        return after

    async def clear(self, actor: Actor, wanted: str) -> Deleted:
        """Remove a spend limit."""
        async with self._office.change() as connection:
            limit = await _the_limit(connection, wanted)
            await clear_spend_limit(connection, limit.id)
            change = Change("spend_limit.delete", before=spend_limit_info(limit))
            await self._office.note(connection, actor, change)
        return Deleted(id=limit.id, type="spend_limit_deleted")

    def _amount(self, text: str, period: str) -> int:
        try:
            amount = nano_dollars_of(text)
        except ValueError as error:
            raise InvalidRequestError(f"amount: {error}") from error
        tier = self._settings.monthly_nano_dollars
        if tier is not None and period == "monthly" and amount > tier:
            raise InvalidRequestError(
                f"amount: {cents(amount)} is above the cap of this server, {cents(tier)} cents"
            )
        return amount

    async def balances(self, scope: str | None = None) -> tuple[BalanceInfo, ...]:
        """Say what every scope, or every one of a kind, has spent and may still spend.

        That is each running period for which there is a limit, and the month.
        """
        now = self._office.now()
        async with self._office.read() as connection:
            directory = await read_directory(connection)
            keys = [key.id for key in await list_keys(connection) if key.kind is KeyKind.API]
        whom = [
            (Scope.ORGANIZATION, directory.organization.id),
            *((Scope.WORKSPACE, one) for one in directory.workspaces),
            *((Scope.KEY, one) for one in keys),
        ]
        wanted = [
            cap
            for one in whom
            if scope in {None, _wire_scope(one[0])}
            for cap in self._caps(directory, one)
        ]
        try:
            found = await self._counters.balance([cap.account(now) for cap, _ in wanted])
        except CountersAwayError as error:
            raise OverloadedError("The counters cannot be asked now.") from error
        return tuple(
            _balance_info(cap, balance, now, limited=limited)
            for (cap, limited), balance in zip(wanted, found, strict=True)
        )

    def _caps(
        self, directory: Directory, whom: tuple[Scope, str]
    ) -> Iterable[tuple[SpendCap, bool]]:
        """Yield what limits a scope in each period, and whether anything does."""
        limits = {limit.period: limit.amount for limit in directory.spend_limits.get(whom, ())}
        tier = self._settings.monthly_nano_dollars
        if whom[0] is Scope.ORGANIZATION and tier is not None:
            limits["monthly"] = min(tier, limits.get("monthly", tier))
        for period in PERIODS:
            if period in limits or period == "monthly":
                yield SpendCap(*whom, period, limits.get(period, 0)), period in limits


def spend_limit_info(limit: SpendLimit) -> SpendLimitInfo:
    """Describe a spend limit."""
    return SpendLimitInfo(
        id=limit.id,
        scope=scope_info(limit.scope, limit.scope_id),
        amount=cents(limit.amount),
        period=limit.period,
        created_at=moment(limit.created_at),
        updated_at=moment(limit.updated_at),
    )


def scope_info(scope: str, scope_id: str) -> dict[str, Any]:
    """Describe to whom something applies, as the wire does."""
    match scope:
        case Scope.ORGANIZATION:
            return {"type": "organization"}
        case Scope.WORKSPACE:
            return {"type": "workspace", "workspace_id": scope_id}
        case _:
            return {"type": "api_key", "api_key_id": scope_id}


def _wire_scope(scope: Scope) -> str:
    return "api_key" if scope is Scope.KEY else scope.value


def _balance_info(cap: SpendCap, balance: Balance, now: datetime, *, limited: bool) -> BalanceInfo:
    left = max(0, cap.amount - balance.spent - balance.held)
    today = day_of(now)
    return BalanceInfo(
        scope=scope_info(cap.scope, cap.scope_id),
        period=cap.period,
        starting_at=moment(midnight(start_of(cap.period, today))),
        ending_at=moment(midnight(end_of(cap.period, today))),
        spent=cents(balance.spent),
        held=cents(balance.held),
        limit=cents(cap.amount) if limited else None,
        remaining=cents(left) if limited else None,
    )


async def _the_limit(connection: "AsyncConnection", wanted: str) -> SpendLimit:
    for limit in await list_spend_limits(connection):
        if limit.id == wanted:
            return limit
    raise NotFoundError(f"Spend limit {wanted} not found.")


async def _whom(connection: "AsyncConnection", scope: SpendScope) -> tuple[Scope, str]:
    match scope:
        case OrganizationSpendScope():
            directory = await read_directory(connection)
            return Scope.ORGANIZATION, directory.organization.id
        case WorkspaceSpendScope(workspace_id=wanted):
            workspace = await the_workspace(connection, wanted)
            if workspace.is_default:
                raise InvalidRequestError("The Default workspace cannot have limits of its own.")
            if workspace.archived_at is not None:
                raise InvalidRequestError("scope.workspace_id: this workspace is archived")
            return Scope.WORKSPACE, workspace.id
        case KeySpendScope(api_key_id=wanted):
            return Scope.KEY, (await the_key(connection, wanted)).id
