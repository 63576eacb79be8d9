"""The levels of rate limits: how much of each is used, and when it is full again."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

import msgspec
from msgspec.structs import replace

from antiphon.core.errors import OverloadedError
from antiphon.core.limits.rate_limits import Applied, applied
from antiphon.core.limits.values import Draw, Level, Scope
from antiphon.core.pagination import TokenCursor, page_by_tokens
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.rate_limits import Group, RateLimits
from antiphon.service.admin.spend_limits import scope_info
from antiphon.service.admin.transactions import AdminTransactions, moment
from antiphon.service.limits.applied import scope_limits
from antiphon.settings import LimitSettings
from antiphon.store.accounts import workspaces_of_keys
from antiphon.store.counters.base import Counters, CountersAwayError
from antiphon.store.directory import LimitDirectory, read_limit_directory
from antiphon.wire.admin.limits import RateLevelInfo
from antiphon.wire.admin.organizations import TokenListing


class _Row(msgspec.Struct, frozen=True):
    """A limit, of one type for one group, before its level is asked for."""

    group: Group
    limit: Applied


class RateLevels:
    """The use case of levels. The counters hold the buckets."""

    def __init__(
        self,
        transactions: AdminTransactions,
        settings: LimitSettings,
        limits: RateLimits,
        counters: Counters,
    ) -> None:
        self._transactions = transactions
        self._settings = settings
        self._limits = limits
        self._counters = counters

    async def page(
        self, cursor: TokenCursor, scope: str | None = None, reach: Reach = EVERYTHING
    ) -> TokenListing:
        """List the limits of the organization, and those of workspaces and keys within reach.

        `scope` chooses one type of these. A model that is served no more has no level. Raises
        `InvalidRequestError` for a token of another listing.
        """
        groups = [group for group in await self._limits.groups() if not group.is_unserved]
        async with self._transactions.read() as connection:
            directory = await read_limit_directory(connection)
            ids = [owner for kind, owner in directory.rate_limits if kind is Scope.KEY]
            places = await workspaces_of_keys(connection, ids) if scope != "workspace" else {}
        owners = [
            (Scope.ORGANIZATION, directory.organization.id),
            *(one for one in directory.rate_limits if _is_seen(one, directory, places, reach)),
        ]
        rows = [
            row
            for kind, owner in owners
            if scope in {None, scope_info(kind, owner)["type"]}
            for row in self._rows(directory, groups, kind, owner)
        ]
        page = page_by_tokens(rows, cursor)
        return replace(page, data=await self._infos(page.data))

    def _rows(
        self, directory: LimitDirectory, groups: list[Group], scope: Scope, owner: str
    ) -> Iterator[_Row]:
        for group in groups:
            found = scope_limits(directory, self._settings, scope, owner, group.id)
            for limit in applied([(scope, owner, found)], group.id).limits:
                yield _Row(group, limit)

    async def _infos(self, rows: tuple[_Row, ...]) -> tuple[RateLevelInfo, ...]:
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


def _is_seen(
    owner: tuple[Scope, str],
    directory: LimitDirectory,
    places: Mapping[str, str | None],
    reach: Reach,
) -> bool:
    """Return whether an owner is a workspace or a key within reach, and not archived.

    `places` has the workspace of each key; `None` is the Default one.
    """
    scope, owner_id = owner
    if scope is Scope.KEY:
        if owner_id not in places:
            return False
        return reach.sees(places[owner_id] or directory.default_workspace.id)
    workspace = directory.workspaces.get(owner_id)
    return workspace is not None and workspace.archived_at is None and reach.sees(owner_id)


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
