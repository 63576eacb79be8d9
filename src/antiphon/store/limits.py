"""The limits that administrators have set; without one, the settings apply."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, Table, and_, delete, func, or_, select

from antiphon.core.limits.periods import Period
from antiphon.core.limits.values import Scope
from antiphon.store.accounts import KeyStatus
from antiphon.store.database.changes import ChangeKind, announce
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.pages import behind, read_portions
from antiphon.store.database.records import insertion, portions, read
from antiphon.store.database.tables import api_keys, rate_limits, spend_limits, workspaces


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """At most `value` a minute, of one type, for one group of models (or of other endpoints)."""

    scope: Scope
    scope_id: str
    group_id: str
    type: str
    value: int


class SpendLimit(msgspec.Struct, frozen=True, kw_only=True):
    """At most `amount` nano-dollars in a day, a week or a month in UTC."""

    id: str
    scope: Scope
    scope_id: str
    period: Period
    amount: int
    created_at: datetime
    updated_at: datetime


L = TypeVar("L", RateLimit, SpendLimit)


async def list_rate_limits(
    connection: AsyncConnection, owners: Collection[str] | None = None
) -> tuple[RateLimit, ...]:
    """Return the rate limits of these owners, or of all."""
    by = list(rate_limits.primary_key.columns)
    return await _of_owners(connection, RateLimit, rate_limits, by, owners)


async def limited_groups(connection: AsyncConnection) -> frozenset[str]:
    """Return the ids of the groups that have a limit: a look into an index for each."""
    column = rate_limits.c.group_id
    found: list[str] = []
    group = await connection.scalar(select(func.min(column)))
    while group is not None:
        found.append(group)
        group = await connection.scalar(select(func.min(column)).where(column > group))
    return frozenset(found)


async def limited_owners(  # noqa: PLR0913 - whose, from where on
    connection: AsyncConnection,
    scope: Scope,
    at_least: str,
    after: str,
    limit: int,
    *,
    workspace_ids: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Return owners of rate limits in the order of their ids: from one on, behind another.

    They are workspaces, or keys, that are not archived. With `workspace_ids` they are these, or the
    keys in these; keys of the organization are in none.
    """
    column = rate_limits.c.scope_id
    if scope is Scope.KEY:
        owner = select(api_keys.c.id).where(api_keys.c.id == column)
        is_open, place = api_keys.c.status != KeyStatus.ARCHIVED, api_keys.c.workspace_id
    else:
        owner = select(workspaces.c.id).where(workspaces.c.id == column)
        is_open, place = workspaces.c.archived_at.is_(None), workspaces.c.id
    owner = owner.where(is_open)
    if workspace_ids is not None:
        owner = owner.where(place.in_(workspace_ids))
    owners = select(column).where(
        rate_limits.c.scope == scope, column >= at_least, column > after, owner.exists()
    )
    return tuple(await connection.scalars(owners.distinct().order_by(column).limit(limit)))


async def set_rate_limit(connection: AsyncConnection, limit: RateLimit) -> None:
    """Add a limit, or replace the one of the same scope, group and type."""
    row = {column.name: getattr(limit, column.name) for column in rate_limits.columns}
    key = [column.name for column in rate_limits.primary_key.columns]
    change = insertion(connection, rate_limits).values(row)
    await connection.execute(
        change.on_conflict_do_update(index_elements=key, set_={"value": limit.value})
    )
    await announce(connection, ChangeKind.RATE_LIMITS, limit.scope_id)


async def clear_rate_limit(
    connection: AsyncConnection, scope: Scope, scope_id: str, group_id: str, kind: str
) -> None:
    """Remove a limit: the default applies again."""
    columns = rate_limits.c
    cleared = delete(rate_limits).where(
        columns.scope == scope,
        columns.scope_id == scope_id,
        columns.group_id == group_id,
        columns.type == kind,
    )
    await connection.execute(cleared)
    await announce(connection, ChangeKind.RATE_LIMITS, scope_id)


async def list_spend_limits(
    connection: AsyncConnection, owners: Collection[str] | None = None
) -> tuple[SpendLimit, ...]:
    """Return the spend limits of these owners, or of all, the oldest first."""
    by = [spend_limits.c.created_at, spend_limits.c.id]
    return await _of_owners(connection, SpendLimit, spend_limits, by, owners)


async def _of_owners(
    connection: AsyncConnection,
    kind: type[L],
    table: Table,
    by: Sequence[Column[Any]],
    owners: Collection[str] | None,
) -> tuple[L, ...]:
    """Read limits, in portions. Ids of owners are unique; with their scope an index finds them."""
    convert, found = {"scope": Scope}, list[L]()
    if owners is None:
        async for limits in read_portions(connection, kind, select(table), by, convert):
            found += limits
        return tuple(found)
    ordered = select(table).order_by(*by)
    for some in portions(owners):
        theirs = ordered.where(table.c.scope.in_(list(Scope)), table.c.scope_id.in_(some))
        found += await read(connection, kind, theirs, convert)
    return tuple(found)


async def find_spend_limit(connection: AsyncConnection, limit_id: str) -> SpendLimit | None:
    """Find a spend limit by id. PostgreSQL refuses a text with a NUL, and no id has one."""
    if "\0" in limit_id:
        return None
    one = select(spend_limits).where(spend_limits.c.id == limit_id)
    return next(iter(await read(connection, SpendLimit, one, {"scope": Scope})), None)


async def page_of_spend_limits(  # noqa: PLR0913 - every filter of the listing
    connection: AsyncConnection,
    limit: int,
    after: tuple[datetime, str] | None,
    *,
    scopes: Collection[Scope],
    workspace_id: str | None = None,
    workspace_ids: Collection[str] | None = None,
) -> tuple[SpendLimit, ...]:
    """Return spend limits, the newest first: at most `limit`, those behind a moment and an id.

    Of `workspace_id` they are the workspace's own. With `workspace_ids` they are those of the
    organization, of these workspaces and of their keys.
    """
    columns = spend_limits.c
    newest = select(spend_limits).where(columns.scope.in_(scopes))
    if after is not None:
        newest = newest.where(behind((columns.created_at, columns.id), after, falls=True))
    if workspace_id is not None:
        newest = newest.where(columns.scope == Scope.WORKSPACE, columns.scope_id == workspace_id)
    if workspace_ids is not None:
        keys = select(api_keys.c.id).where(api_keys.c.workspace_id.in_(workspace_ids))
        newest = newest.where(
            or_(
                columns.scope == Scope.ORGANIZATION,
                and_(columns.scope == Scope.WORKSPACE, columns.scope_id.in_(workspace_ids)),
                and_(columns.scope == Scope.KEY, columns.scope_id.in_(keys)),
            )
        )
    ordered = newest.order_by(columns.created_at.desc(), columns.id.desc()).limit(limit)
    return await read(connection, SpendLimit, ordered, {"scope": Scope})


async def set_spend_limit(connection: AsyncConnection, limit: SpendLimit) -> SpendLimit:
    """Set the limit of a scope and period, and return it; an existing limit keeps its id."""
    row = {column.name: getattr(limit, column.name) for column in spend_limits.columns}
    change = insertion(connection, spend_limits).values(row)
    await connection.execute(
        change.on_conflict_do_update(
            index_elements=["scope", "scope_id", "period"],
            set_={"amount": limit.amount, "updated_at": limit.updated_at},
        )
    )
    await announce(connection, ChangeKind.SPEND_LIMITS, limit.scope_id)
    columns = spend_limits.c
    same = select(spend_limits).where(
        columns.scope == limit.scope,
        columns.scope_id == limit.scope_id,
        columns.period == limit.period,
    )
    return (await read(connection, SpendLimit, same, {"scope": Scope}))[0]


async def clear_spend_limit(connection: AsyncConnection, limit: SpendLimit) -> None:
    """Remove a spend limit."""
    await connection.execute(delete(spend_limits).where(spend_limits.c.id == limit.id))
    await announce(connection, ChangeKind.SPEND_LIMITS, limit.scope_id)
