"""Balances: the rest of each spend limit, a page at a time."""

from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from antiphon.core.billing.money import cents
from antiphon.core.errors import InvalidRequestError
from antiphon.core.limits.periods import PERIODS, Period, day_of, end_of, midnight, start_of
from antiphon.core.limits.spend import SpendCap
from antiphon.core.limits.values import Balance, Scope
from antiphon.core.pagination import (
    LARGEST_PAGE,
    IdCursor,
    TokenCursor,
    not_a_page,
    page_position,
    page_token,
)
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.current_spending import CurrentSpending
from antiphon.service.admin.spend_limits import scope_info
from antiphon.service.admin.transactions import AdminTransactions, moment
from antiphon.store.accounts import KeyKind
from antiphon.store.database.records import PORTION
from antiphon.store.limits import SpendLimit, list_spend_limits
from antiphon.store.listings import (
    KeySelection,
    page_of_keys,
    page_of_workspaces,
)
from antiphon.store.organizations import find_organization
from antiphon.wire.admin.limits import BalanceInfo
from antiphon.wire.admin.organizations import TokenListing

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection

MOST_LOOKED_AT: Final = 250
"""How many scopes a page of those that are used looks at."""

# In this period a scope has a balance also without a limit.
_ALWAYS: Final[Period] = "monthly"

# A batch is charged for a day after its key was used, and uses are noted some seconds later.
_BATCH: Final = timedelta(days=2)


class Owner(NamedTuple):
    """The scope of balances and its id."""

    scope: Scope
    id: str


class Balances:
    """The use cases of balances."""

    def __init__(self, transactions: AdminTransactions, current: CurrentSpending) -> None:
        self._transactions = transactions
        self._current = current

    async def page(
        self,
        cursor: TokenCursor,
        scope: str | None = None,
        reach: Reach = EVERYTHING,
        *,
        only_used: bool = False,
    ) -> TokenListing:
        """Return the balances of scopes within reach, or of such scopes of one type.

        A scope has a balance for the current month, and for each current period with a limit. They
        stay together, so a page counts scopes: first the organization, then workspaces and keys,
        the newest first. With `only_used` they are those with a limit, or money spent or held.

        It reads the scopes of the page, in portions. With `only_used` it looks at scopes that were
        open or used in this month until the page is full, but at `MOST_LOOKED_AT`: a page may be
        short or empty, and have a next one. Raises `InvalidRequestError` for a token of another
        listing.
        """
        limit = cursor.limit or LARGEST_PAGE
        last = None if cursor.token is None else _owner_of_token(cursor.token)
        now = self._transactions.now()
        since = midnight(start_of(_ALWAYS, day_of(now))) - _BATCH if only_used else None
        size = PORTION if only_used else min(PORTION, limit + 1)
        found: list[BalanceInfo] = []
        looked_at = shown = 0
        async with self._transactions.read() as connection:
            walk = _Walk(connection, reach, size, since, now)
            async with aclosing(walk.owners(scope, last)) as portions:
                async for owners in portions:
                    balances = await self._of(connection, owners, now, only_used=only_used)
                    for owner, infos in balances.items():
                        if shown == limit or (only_used and looked_at == MOST_LOOKED_AT):
                            assert last is not None  # noqa: S101 - for the type checker
                            return TokenListing(data=tuple(found), next_page=_token_of_owner(last))
                        last, looked_at = owner, looked_at + 1
                        found += infos
                        shown += bool(infos)
        return TokenListing(data=tuple(found), next_page=None)

    async def of(self, owners: Collection[Owner]) -> dict[Owner, tuple[BalanceInfo, ...]]:
        """Return the balances of these owners."""
        async with self._transactions.read() as connection:
            return await self._of(connection, owners, self._transactions.now())

    async def _of(
        self,
        connection: "AsyncConnection",
        owners: Collection[Owner],
        now: datetime,
        *,
        only_used: bool = False,
    ) -> dict[Owner, tuple[BalanceInfo, ...]]:
        limits: dict[Owner, list[SpendLimit]] = {owner: [] for owner in owners}
        for one in await list_spend_limits(connection, [owner.id for owner in owners]):
            limits[Owner(one.scope, one.scope_id)].append(one)
        rows = [(owner, *row) for owner in owners for row in self._caps(owner, limits[owner])]
        amounts = await self._current.balances([cap.account(now) for _, cap, _ in rows])
        found: dict[Owner, tuple[BalanceInfo, ...]] = dict.fromkeys(owners, ())
        for (owner, cap, limited), balance in zip(rows, amounts, strict=True):
            if limited or balance.spent or balance.held or not only_used:
                found[owner] += (_balance_info(cap, balance, now, limited=limited),)
        return found

    def _caps(self, owner: Owner, limits: Sequence[SpendLimit]) -> Iterator[tuple[SpendCap, bool]]:
        """Yield the cap of a scope in each period, and `True`; the month also without a cap."""
        amounts = {limit.period: limit.amount for limit in limits}
        caps = self._current.caps(*owner, amounts)
        for period in PERIODS:
            if cap := caps.get(period):
                yield cap, True
            elif period == _ALWAYS:
                yield SpendCap(*owner, period, 0), False


class _Walk(NamedTuple):
    """Walks over the owners of balances, in portions of `size`; of keys over those of use."""

    connection: "AsyncConnection"
    reach: Reach
    size: int
    used_since: datetime | None
    now: datetime

    async def owners(self, scope: str | None, last: Owner | None) -> AsyncGenerator[list[Owner]]:
        """Yield the owners behind the last one of a page.

        Raises `InvalidRequestError` if that is not in the listing.
        """
        scopes = [one for one in Scope if scope in {None, one.wire}]
        if last is not None:
            if last.scope not in scopes:
                raise not_a_page()
            scopes = scopes[scopes.index(last.scope) :]
        for one in scopes:
            after = last.id if last is not None and last.scope is one else None
            while ids := await self._ids(one, after):
                yield [Owner(one, owner) for owner in ids]
                if len(ids) < self.size:
                    break
                after = ids[-1]

    async def _ids(self, scope: Scope, after: str | None) -> list[str]:
        if scope is Scope.ORGANIZATION:
            found = await find_organization(self.connection)
            seen = found is not None and self.reach.sees(None) and after is None
            return [found.id] if found is not None and seen else []
        cursor, places = IdCursor(self.size, after_id=after), self.reach.workspaces
        try:
            if scope is Scope.WORKSPACE:
                page = await page_of_workspaces(
                    self.connection,
                    cursor,
                    workspace_ids=places,
                    limited_or_open_since=self.used_since,
                )
                return [one.id for one in page.records]
            wanted = KeySelection(limited_or_used_since=self.used_since)
            kinds = [KeyKind.API]
            keys = await page_of_keys(
                self.connection, cursor, wanted, self.now, kinds=kinds, workspace_ids=places
            )
            return [one.id for one in keys.records]
        except InvalidRequestError as error:
            raise not_a_page() from error


def _token_of_owner(owner: Owner) -> str:
    return page_token(f"{owner.scope} {owner.id}")


def _owner_of_token(token: str) -> Owner:
    scope, _, owner_id = (page_position(token) or "").partition(" ")
    if scope not in set(Scope) or not owner_id:
        raise not_a_page()
    return Owner(Scope(scope), owner_id)


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
