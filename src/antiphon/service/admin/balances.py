"""Balances: the rest of each spend limit, and the spending of each member."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import msgspec

from antiphon.core.billing.money import cents
from antiphon.core.errors import NotFoundError, OverloadedError
from antiphon.core.limits.periods import PERIODS, Period, day_of, end_of, midnight, start_of
from antiphon.core.limits.spend import SpendCap, spend_caps
from antiphon.core.limits.values import Account, Balance, Scope
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.spend_limits import cap_id, scope_info
from antiphon.service.admin.transactions import AdminTransactions, moment
from antiphon.settings import LimitSettings
from antiphon.store.accounts import KeyKind, list_keys
from antiphon.store.counters.base import Counters, CountersAwayError
from antiphon.store.directory import LimitDirectory, read_limit_directory
from antiphon.store.organizations import User, list_users
from antiphon.wire.admin.limits import BalanceInfo, SpendActor, SpendSummary
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection


class _Resolved(msgspec.Struct, frozen=True):
    """The organization's tightest limit for a period, and its source."""

    id: str
    period: Period
    amount: int
    source: str


class Balances:
    """The use cases of balances. The counters hold the current spending."""

    def __init__(
        self, transactions: AdminTransactions, settings: LimitSettings, counters: Counters
    ) -> None:
        self._transactions = transactions
        self._settings = settings
        self._counters = counters

    async def all(
        self, scope: str | None = None, reach: Reach = EVERYTHING
    ) -> tuple[BalanceInfo, ...]:
        """Return the balances of every scope within reach, or of every such scope of one type.

        A scope has a balance for the current month, and for each current period with a limit.
        """
        now = self._transactions.now()
        async with self._transactions.read() as connection:
            directory = await read_limit_directory(connection)
            keys = [
                key.id
                for key in await list_keys(connection)
                if key.kind is KeyKind.API and reach.sees(key.workspace_id)
            ]
        owners = [
            *((Scope.ORGANIZATION, one) for one in [directory.organization.id] if reach.sees(None)),
            *((Scope.WORKSPACE, one) for one in directory.workspaces if reach.sees(one)),
            *((Scope.KEY, one) for one in keys),
        ]
        wanted = [
            cap
            for one in owners
            if scope in {None, _wire_scope(one[0])}
            for cap in self._rows(directory, one)
        ]
        found = await self._ask([cap.account(now) for cap, _ in wanted])
        return tuple(
            _balance_info(cap, balance, now, limited=limited)
            for (cap, limited), balance in zip(wanted, found, strict=True)
        )

    async def of_members(
        self, members: Sequence[str] = (), periods: Collection[str] = ()
    ) -> tuple[tuple[SpendSummary, ...], ...]:
        """Return for each member the limits that apply, and the spending of the member's keys.

        Members share the limits of the organization, so each has a summary for each period with a
        limit. Raises `NotFoundError` for an unknown member.
        """
        today = day_of(self._transactions.now())
        async with self._transactions.read() as connection:
            directory = await read_limit_directory(connection)
            users = await _the_users(connection, members)
            keys = [key for key in await list_keys(connection) if key.kind is KeyKind.API]
        limits = [one for one in self._resolved(directory) if not periods or one.period in periods]
        owned: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            if key.created_by is not None:
                owned[key.created_by].append(key.id)
        spent = await self._spent([key for user in users for key in owned[user.id]], limits, today)
        return tuple(
            tuple(
                _summary(user, limit, sum(spent[limit.period, key] for key in owned[user.id]))
                for limit in limits
            )
            for user in users
        )

    async def _spent(
        self, keys: Sequence[str], limits: Iterable[_Resolved], today: date
    ) -> Mapping[tuple[Period, str], int]:
        wanted = [(limit.period, key) for limit in limits for key in keys]
        now = midnight(today)
        found = await self._ask(
            [SpendCap(Scope.KEY, key, period, 0).account(now) for period, key in wanted]
        )
        return {one: balance.spent for one, balance in zip(wanted, found, strict=True)}

    async def _ask(self, accounts: Sequence[Account]) -> tuple[Balance, ...]:
        try:
            return await self._counters.balance(accounts)
        except CountersAwayError as error:
            raise OverloadedError("The counters cannot be asked now.") from error

    def _resolved(self, directory: LimitDirectory) -> list[_Resolved]:
        organization = directory.organization.id
        owner = (Scope.ORGANIZATION, organization)
        ids = {limit.period: limit.id for limit in directory.spend_limits.get(owner, ())}
        caps = self._caps(directory, owner)
        return [
            _Resolved(cap_id(organization), period, cap.amount, "usage_tier")
            if cap.tier
            else _Resolved(ids[period], period, cap.amount, "organization")
            for period in PERIODS
            if (cap := caps.get(period))
        ]

    def _rows(
        self, directory: LimitDirectory, owner: tuple[Scope, str]
    ) -> Iterable[tuple[SpendCap, bool]]:
        """Yield the cap of a scope in each period, and `True`; the month also without a cap."""
        caps = self._caps(directory, owner)
        for period in PERIODS:
            if cap := caps.get(period):
                yield cap, True
            elif period == "monthly":
                yield SpendCap(*owner, period, 0), False

    def _caps(
        self, directory: LimitDirectory, owner: tuple[Scope, str]
    ) -> Mapping[Period, SpendCap]:
        limits = {limit.period: limit.amount for limit in directory.spend_limits.get(owner, ())}
        return spend_caps(*owner, limits, self._settings.monthly_nano_dollars)


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


def _summary(user: User, limit: _Resolved, spent: int) -> SpendSummary:
    return SpendSummary(
        actor=SpendActor(user_id=user.id, name=user.name or None, email_address=user.email),
        scope={"type": "user", "user_id": user.id},
        source={"type": limit.source},
        spend_limit_id=limit.id,
        amount=cents(limit.amount),
        period=limit.period,
        period_to_date_spend=cents(spent),
    )


async def _the_users(connection: "AsyncConnection", wanted: Sequence[str]) -> Sequence[User]:
    users = await list_users(connection)
    known = {user.id for user in users}
    for one in wanted:
        if one not in known:
            raise NotFoundError(f"User {shortened(one)} not found.")
    return [user for user in users if not wanted or user.id in wanted]
