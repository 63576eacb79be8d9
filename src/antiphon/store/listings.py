"""Listings of keys, workspaces, members, users and invites: filtered, ordered, a page at a time.

Every order is that of an index. A filter by a part of a name reads every name of the table.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Select, and_, func, literal_column, or_, select

from antiphon.core.limits.values import Scope
from antiphon.core.names import folded
from antiphon.core.pagination import NEWEST, IdCursor, ListOrder
from antiphon.store.accounts import KEY_CONVERTERS, ApiKey, KeyStatus
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.pages import Order, Page, Rows, read_page, within
from antiphon.store.database.tables import (
    END,
    LAST_USE,
    api_keys,
    invites,
    spend_limits,
    users,
    workspace_members,
    workspaces,
)
from antiphon.store.organizations import Invite, User
from antiphon.store.workspaces import Member, Workspace

KEY_ORDERS: Final = ("created_at", "name", "last_used_at", "expires_at")
WORKSPACE_ORDERS: Final = ("created_at", "name")
USER_ORDERS: Final = ("added_at", "name", "email")
INVITE_ORDERS: Final = ("invited_at", "email")
MEMBER_ORDERS: Final = ("added_at",)

_KEYS: Final = api_keys.c
# A key without an end ends after all others, and one that was never used was used before them.
_COLUMNS: Final[dict[str, ColumnElement[Any]]] = {
    "last_used_at": literal_column(LAST_USE, BigInteger),
    "expires_at": literal_column(END, BigInteger),
}


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Selects rows of any listing; a filter of `None`, or without values, selects all.

    `contains` is a part of a name, in any case and spelling. `start` and `end` are of the time at
    which a row was made, the end excluded.
    """

    ids: Collection[str] = ()
    contains: str | None = None
    start: datetime | None = None
    end: datetime | None = None


ALL: Final = Selection()


class KeySelection(Selection, frozen=True, kw_only=True):
    """Selects keys. `status` may be `expired`, which no row says.

    `limited_or_used_since` selects those with a spend limit, or used since a moment.
    """

    status: str | None = None
    limited_or_used_since: datetime | None = None
    workspace_id: str | None = None
    created_by: str | None = None


async def page_of_keys(  # noqa: PLR0913 - who asks, for what, in which order
    connection: AsyncConnection,
    cursor: IdCursor,
    wanted: KeySelection,
    now: datetime,
    *,
    kinds: Collection[str],
    workspace_ids: Collection[str] | None = None,
    order: ListOrder = NEWEST,
) -> Page[ApiKey]:
    """Return a page of the keys of these kinds, in these workspaces; `None` is all of them.

    `now` decides which keys have expired.
    """
    seen = [_KEYS.kind.in_(kinds)]
    if workspace_ids is not None:
        seen.append(_KEYS.workspace_id.in_(workspace_ids))
    conditions = _selected(wanted, _KEYS.id, _KEYS.created_at)
    if wanted.contains is not None:
        has_part = _Search(connection, wanted.contains)
        # The hint of a secret is what a log shows of it.
        conditions.append(has_part(_KEYS.folded_name) | has_part(func.lower(_KEYS.hint)))
    if wanted.status is not None:
        conditions.append(_has_status(wanted.status, now))
    if wanted.workspace_id is not None:
        conditions.append(_KEYS.workspace_id == wanted.workspace_id)
    if wanted.created_by is not None:
        conditions.append(_KEYS.created_by == wanted.created_by)
    if wanted.limited_or_used_since is not None:
        conditions.append(_is_limited_or_used(wanted.limited_or_used_since))
    by = {"name": _KEYS.folded_name, "created_at": _KEYS.created_at, **_COLUMNS}
    rows = Rows(api_keys, _order(order, KEY_ORDERS, by, _KEYS.id), seen, conditions)
    return await read_page(connection, ApiKey, rows, cursor, KEY_CONVERTERS)


def _is_limited_or_used(since: datetime) -> ColumnElement[bool]:
    return or_(_KEYS.last_used_at >= since, _KEYS.id.in_(_limited(Scope.KEY)))


def _limited(scope: Scope) -> Select[tuple[str]]:
    return select(spend_limits.c.scope_id).where(spend_limits.c.scope == scope)


def _has_status(status: str, now: datetime) -> ColumnElement[bool]:
    if status == KeyStatus.ARCHIVED:
        return _KEYS.status == status
    has_ended = and_(_KEYS.expires_at.is_not(None), _KEYS.expires_at <= now)
    if status == "expired":
        return and_(_KEYS.status != KeyStatus.ARCHIVED, has_ended)
    return and_(_KEYS.status == status, ~has_ended)


async def page_of_workspaces(  # noqa: PLR0913 - who asks, for what, in which order
    connection: AsyncConnection,
    cursor: IdCursor,
    wanted: Selection = ALL,
    *,
    include_archived: bool = True,
    include_default: bool = True,
    workspace_ids: Collection[str] | None = None,
    limited_or_open_since: datetime | None = None,
    order: ListOrder = NEWEST,
) -> Page[Workspace]:
    """Return a page of these workspaces; `None` is all of them.

    `limited_or_open_since` selects those with a spend limit, or not archived before a moment.
    """
    columns = workspaces.c
    seen = [] if workspace_ids is None else [columns.id.in_(workspace_ids)]
    conditions = _selected(wanted, columns.id, columns.created_at)
    if wanted.contains is not None:
        conditions.append(_Search(connection, wanted.contains)(columns.folded_name))
    if limited_or_open_since is not None:
        is_open = columns.archived_at.is_(None) | (columns.archived_at >= limited_or_open_since)
        conditions.append(is_open | columns.id.in_(_limited(Scope.WORKSPACE)))
    if not include_archived:
        conditions.append(columns.archived_at.is_(None))
    if not include_default:
        conditions.append(~columns.is_default)
    by = {"name": columns.folded_name, "created_at": columns.created_at}
    rows = Rows(workspaces, _order(order, WORKSPACE_ORDERS, by, columns.id), seen, conditions)
    return await read_page(connection, Workspace, rows, cursor)


async def page_of_members(  # noqa: PLR0913 - for what, in which order
    connection: AsyncConnection,
    cursor: IdCursor,
    workspace_id: str,
    wanted: Selection = ALL,
    *,
    order: ListOrder = NEWEST,
    by_address: bool = True,
) -> Page[Member]:
    """Return a page of the members of a workspace: `ids` and `contains` are those of users.

    Without `by_address` only names are searched.
    """
    columns = workspace_members.c
    conditions = _selected(wanted, columns.user_id, columns.added_at)
    if wanted.contains is not None:
        is_named = _is_named(_Search(connection, wanted.contains), by_address=by_address)
        named = users.select().where(is_named).with_only_columns(users.c.id)
        conditions.append(columns.user_id.in_(named))
    place = _order(order, MEMBER_ORDERS, {"added_at": columns.added_at}, columns.user_id)
    seen = [columns.workspace_id == workspace_id]
    return await read_page(
        connection, Member, Rows(workspace_members, place, seen, conditions), cursor
    )


async def page_of_users(  # noqa: PLR0913 - for what, in which order
    connection: AsyncConnection,
    cursor: IdCursor,
    wanted: Selection = ALL,
    *,
    email: str | None = None,
    roles: Collection[str] = (),
    named: str | None = None,
    order: ListOrder = NEWEST,
    by_address: bool = True,
) -> Page[User]:
    """Return a page of users; `contains` is a part of the name or of the address.

    Without `by_address` only names are searched. `named` is the one user that may be known of.
    """
    columns = users.c
    seen = [] if named is None else [columns.id == named]
    conditions = _selected(wanted, columns.id, columns.added_at)
    if wanted.contains is not None:
        conditions.append(_is_named(_Search(connection, wanted.contains), by_address=by_address))
    if email is not None:
        conditions.append(columns.email == email.lower())
    if roles:
        conditions.append(columns.role.in_(roles))
    by = {"added_at": columns.added_at, "name": columns.folded_name, "email": columns.email}
    rows = Rows(users, _order(order, USER_ORDERS, by, columns.id), seen, conditions)
    return await read_page(connection, User, rows, cursor)


def _is_named(has_part: "_Search", *, by_address: bool) -> ColumnElement[bool]:
    has_name = has_part(users.c.folded_name)
    return has_name | has_part(users.c.email) if by_address else has_name


async def page_of_invites(  # noqa: PLR0913 - for what, in which order
    connection: AsyncConnection,
    cursor: IdCursor,
    now: datetime,
    wanted: Selection = ALL,
    *,
    email: str | None = None,
    roles: Collection[str] = (),
    statuses: Collection[str] = (),
    order: ListOrder = NEWEST,
) -> Page[Invite]:
    """Return a page of invites, with these statuses as of `now`; `contains` is of the address."""
    columns = invites.c
    conditions = _selected(wanted, columns.id, columns.invited_at)
    if wanted.contains is not None:
        conditions.append(_Search(connection, wanted.contains)(columns.email))
    if email is not None:
        conditions.append(columns.email == email.lower())
    if roles:
        conditions.append(columns.role.in_(roles))
    if statuses:
        conditions.append(or_(*(_is_invite(status, now) for status in statuses)))
    by = {"invited_at": columns.invited_at, "email": columns.email}
    rows = Rows(invites, _order(order, INVITE_ORDERS, by, columns.id), (), conditions)
    return await read_page(connection, Invite, rows, cursor)


def _is_invite(status: str, now: datetime) -> ColumnElement[bool]:
    columns = invites.c
    if status == "deleted":
        return columns.deleted_at.is_not(None)
    is_there = columns.deleted_at.is_(None)
    if status == "accepted":
        return and_(is_there, columns.accepted_at.is_not(None))
    is_open = and_(is_there, columns.accepted_at.is_(None))
    has_ended = columns.expires_at <= now
    return and_(is_open, has_ended if status == "expired" else ~has_ended)


def _selected(
    wanted: Selection, row_id: ColumnElement[str], made_at: ColumnElement[datetime]
) -> list[ColumnElement[bool]]:
    conditions = within(made_at, wanted.start, wanted.end)
    return [row_id.in_(wanted.ids), *conditions] if wanted.ids else conditions


class _Search:
    """The condition that a text contains a part. LIKE takes ten times as long on SQLite."""

    def __init__(self, connection: AsyncConnection, part: str) -> None:
        is_postgresql = connection.dialect.name == "postgresql"
        self._position = func.strpos if is_postgresql else func.instr
        self._part = folded(part)

    def __call__(self, column: ColumnElement[str]) -> ColumnElement[bool]:
        return self._position(column, self._part) > 0


def _order(
    order: ListOrder,
    known: tuple[str, ...],
    by: Mapping[str, ColumnElement[Any]],
    row_id: ColumnElement[str],
) -> Order:
    return Order(by[order.by or known[0]], row_id, order.is_descending)
