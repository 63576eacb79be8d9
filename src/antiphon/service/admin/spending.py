"""The spending of members: the limits that apply to each, and what the member's keys have spent."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from antiphon.core.billing.money import cents
from antiphon.core.errors import NotFoundError
from antiphon.core.limits.periods import PERIODS, Period, day_of, midnight
from antiphon.core.limits.spend import SpendCap
from antiphon.core.limits.values import Scope
from antiphon.core.pagination import TokenCursor, cut_page
from antiphon.service.admin.current_spending import CurrentSpending
from antiphon.service.admin.spend_limits import cap_id
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.store.accounts import keys_created_by
from antiphon.store.limits import list_spend_limits
from antiphon.store.organizations import User, find_organization, list_users
from antiphon.wire.admin.limits import SpendActor, SpendSummary
from antiphon.wire.admin.organizations import TokenListing
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection


class _Resolved(msgspec.Struct, frozen=True):
    """The organization's tightest limit for a period, and its source."""

    id: str
    period: Period
    amount: int
    source: str


class MemberSpending:
    """The use case of the spending of members."""

    def __init__(self, transactions: AdminTransactions, current: CurrentSpending) -> None:
        self._transactions = transactions
        self._current = current

    async def page(
        self, cursor: TokenCursor, members: Collection[str] = (), periods: Collection[str] = ()
    ) -> TokenListing:
        """Return for each member the limits that apply, and the spending of the member's keys.

        Members share the limits of the organization, so each has a summary for each period with a
        limit. They stay together, so a page counts members, the newest first. It reads the keys
        of these, in portions. Raises `NotFoundError` for an unknown member, and
        `InvalidRequestError` for a token of another listing.
        """
        now = midnight(day_of(self._transactions.now()))
        async with self._transactions.read() as connection:
            limits = [
                one
                for one in await self._resolved(connection)
                if not periods or one.period in periods
            ]
            await _check_known(connection, members)
            users = await list_users(
                connection, limit=cursor.size + 1, after=cursor.place, ids=members
            )
            shown, following = cut_page(users, cursor.size, lambda user: (user.added_at, user.id))
            found: list[SpendSummary] = []
            for user in shown if limits else ():
                spent = await self._spent(connection, user, limits, now)
                found += [_summary(user, one, spent[one.period]) for one in limits]
        return TokenListing(data=tuple(found), next_page=following)

    async def _resolved(self, connection: "AsyncConnection") -> list[_Resolved]:
        organization = await find_organization(connection)
        if organization is None:
            return []
        limits = await list_spend_limits(connection, [organization.id])
        ids = {limit.period: limit.id for limit in limits}
        amounts = {limit.period: limit.amount for limit in limits}
        caps = self._current.caps(Scope.ORGANIZATION, organization.id, amounts)
        return [
            _Resolved(cap_id(organization.id), period, cap.amount, "usage_tier")
            if cap.tier
            else _Resolved(ids[period], period, cap.amount, "organization")
            for period in PERIODS
            if (cap := caps.get(period))
        ]

    async def _spent(
        self,
        connection: "AsyncConnection",
        user: User,
        limits: Sequence[_Resolved],
        now: datetime,
    ) -> dict[Period, int]:
        spent = {limit.period: 0 for limit in limits}
        async for keys in keys_created_by(connection, user.id):
            caps = [SpendCap(Scope.KEY, key, period, 0) for period in spent for key in keys]
            found = await self._current.balances([cap.account(now) for cap in caps])
            for cap, balance in zip(caps, found, strict=True):
                spent[cap.period] += balance.spent
        return spent


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


async def _check_known(connection: "AsyncConnection", wanted: Collection[str]) -> None:
    known = {user.id for user in await list_users(connection, ids=wanted)} if wanted else set()
    for one in wanted:
        if one not in known:
            raise NotFoundError(f"User {shortened(one)} not found.")
