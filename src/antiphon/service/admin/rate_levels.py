"""The levels of rate limits: how much of each is used, and when it is full again."""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from antiphon.core.errors import OverloadedError
from antiphon.core.limits.rate_limits import Applied, applied
from antiphon.core.limits.values import Draw, Level, Scope
from antiphon.core.pagination import (
    TokenCursor,
    not_a_page,
    page_position,
    page_token,
)
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.rate_limit_groups import Group
from antiphon.service.admin.rate_limit_views import RateLimitView
from antiphon.service.admin.rate_limits import RateLimits
from antiphon.service.admin.spend_limits import scope_info
from antiphon.service.admin.transactions import AdminTransactions, moment
from antiphon.service.limits.applied import scope_limits
from antiphon.store.counters.base import Counters, CountersAwayError
from antiphon.store.database.records import PORTION
from antiphon.store.limits import limited_owners
from antiphon.wire.admin.limits import RateLevelInfo
from antiphon.wire.admin.organizations import TokenListing

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection

_PLACE: Final = re.compile(r"(organization|workspace|key) ([0-9A-Za-z_-]+) ([0-9]{1,6})", re.ASCII)


class _Row(NamedTuple):
    """A limit, of one type for one group, before its level is asked for.

    `number` counts the limits of its owner.
    """

    group: Group
    limit: Applied
    number: int


class _Place(NamedTuple):
    """The last row of a page: its owner, and its number among those of the owner."""

    scope: Scope
    owner: str
    number: int


class RateLevels:
    """The use case of levels. The counters hold the buckets."""

    def __init__(
        self, transactions: AdminTransactions, limits: RateLimits, counters: Counters
    ) -> None:
        self._transactions = transactions
        self._limits = limits
        self._counters = counters

    async def page(
        self, cursor: TokenCursor, scope: str | None = None, reach: Reach = EVERYTHING
    ) -> TokenListing:
        """List the limits of the organization, and those of keys and workspaces within reach.

        `scope` chooses one type of these. A model that is served no more has no level. It reads
        owners in portions until the page is full. Raises `InvalidRequestError` for a token of
        another listing.
        """
        limit = cursor.size
        last = None if cursor.token is None else _place_of(cursor.token)
        rows: list[_Row] = []
        async with self._transactions.read() as connection:
            walk = _owners(connection, scope, last, reach, min(PORTION, limit + 1))
            async with aclosing(walk) as portions:
                async for of, ids in portions:
                    view = await self._limits.view(connection, ids)
                    rows += _rows_behind(view, of, ids or [view.limits.organization.id], last)
                    if len(rows) > limit:
                        break
        shown = rows[:limit]
        return TokenListing(
            data=await self._infos(shown),
            next_page=_token_of(shown[-1]) if len(rows) > limit else None,
        )

    async def _infos(self, rows: Sequence[_Row]) -> tuple[RateLevelInfo, ...]:
        draws = [Draw(row.limit.bucket, row.limit.limit, 0) for row in rows]
        now = self._transactions.now()
        try:
            levels = await self._counters.levels(draws)
        except CountersAwayError as error:
            raise OverloadedError("The counters cannot be asked now.") from error
        return tuple(
            _info(
                row,
                level,
                moment(now + timedelta(milliseconds=level.full_in_ms))
                if level.full_in_ms
                else None,
            )
            for row, level in zip(rows, levels, strict=True)
        )


async def _owners(
    connection: "AsyncConnection", scope: str | None, last: _Place | None, reach: Reach, size: int
) -> AsyncGenerator[tuple[Scope, list[str]]]:
    """Yield portions of the owners within reach, from the one of a place on.

    The organization has no id here, and comes first.
    """
    order = (Scope.ORGANIZATION, Scope.KEY, Scope.WORKSPACE)
    begin = 0 if last is None else order.index(last.scope)
    for one in order[begin:]:
        if scope not in {None, one.wire}:
            continue
        if one is Scope.ORGANIZATION:
            yield one, []
            continue
        at_least = last.owner if last is not None and last.scope is one else ""
        after = ""
        while owners := await limited_owners(
            connection, one, at_least, after, size, workspace_ids=reach.workspaces
        ):
            yield one, list(owners)
            after = owners[-1]
            # A model that is served no more may have been all that the owners were limited for.
            size = min(2 * size, PORTION)


def _rows_behind(
    view: RateLimitView, scope: Scope, owners: Sequence[str], last: _Place | None
) -> Iterator[_Row]:
    for owner in owners:
        is_last = last is not None and (scope, owner) == (last.scope, last.owner)
        for row in _rows(view, scope, owner):
            if last is None or not is_last or row.number > last.number:
                yield row


def _rows(view: RateLimitView, scope: Scope, owner: str) -> Iterator[_Row]:
    number = 0
    for group in view.groups:
        if group.is_unserved:
            continue
        found = scope_limits(view.limits, view.settings, scope, owner, group.id)
        for limit in applied([(scope, owner, found)], group.id).limits:
            number += 1
            yield _Row(group, limit, number)


def _token_of(row: _Row) -> str:
    return page_token(f"{row.limit.scope} {row.limit.scope_id} {row.number}")


def _place_of(token: str) -> _Place:
    place = _PLACE.fullmatch(page_position(token) or "")
    if place is None:
        raise not_a_page()
    return _Place(Scope(place[1]), place[2], int(place[3]))


def _info(row: _Row, level: Level, full_at: str | None) -> RateLevelInfo:
    limit = row.limit
    return RateLevelInfo(
        rate_limit_id=row.group.rate_limit_id,
        group=row.group.info,
        scope=scope_info(limit.scope, limit.scope_id),
        limit_type=limit.type,
        limit=limit.limit,
        used=max(0, limit.limit - level.remaining),
        remaining=min(limit.limit, level.remaining),
        full_at=full_at,
    )
