"""Increase requests at rest."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, delete, func, select, update

from antiphon.core.limits.increases import Asked, IncreaseStatus, LimitKind
from antiphon.core.limits.values import Scope
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.increase_tables import increase_requests
from antiphon.store.database.pages import behind
from antiphon.store.database.records import add, read

PORTION: Final = 1000


class LimitName(NamedTuple):
    """Which limit: `type` is the period of a spend limit, which has an empty `group_id`."""

    kind: LimitKind
    scope: Scope
    scope_id: str
    group_id: str
    type: str


class Asker(NamedTuple):
    """The type and the id of the actor who asks; the command line has an empty id."""

    type: str
    id: str


class IncreaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Amounts are a number a minute, or nano-dollars."""

    id: str
    status: IncreaseStatus = "open"
    kind: LimitKind
    scope: Scope
    scope_id: str
    group_id: str
    type: str
    requested: int
    reason: str
    asker_type: str
    asker_id: str
    asked_at: datetime
    ender_type: str | None = None
    ender_id: str | None = None
    ended_at: datetime | None = None
    granted: int | None = None
    answer: str | None = None
    replaced_by: str | None = None

    @property
    def limit(self) -> LimitName:
        return LimitName(self.kind, self.scope, self.scope_id, self.group_id, self.type)

    @property
    def owner(self) -> tuple[Scope, str]:
        """Whose limit it is: the scope and its id."""
        return self.scope, self.scope_id

    @property
    def asker(self) -> Asker:
        return Asker(self.asker_type, self.asker_id)


_TYPES = {"scope": Scope}


async def add_increase_request(connection: AsyncConnection, request: IncreaseRequest) -> None:
    """Add a request."""
    await add(connection, increase_requests, request)


async def find_increase_request(
    connection: AsyncConnection, request_id: str
) -> IncreaseRequest | None:
    """Return the request with an id."""
    # PostgreSQL refuses a text with a NUL, and no id has one.
    if "\0" in request_id:
        return None
    one = select(increase_requests).where(increase_requests.c.id == request_id)
    return next(iter(await read(connection, IncreaseRequest, one, _TYPES)), None)


async def end_increase_request(connection: AsyncConnection, request: IncreaseRequest) -> None:
    """Write how a request ended."""
    names = ("status", "ender_type", "ender_id", "ended_at", "granted", "answer", "replaced_by")
    values = {name: getattr(request, name) for name in names}
    change = update(increase_requests).where(increase_requests.c.id == request.id)
    await connection.execute(change.values(values))


async def open_request_for(
    connection: AsyncConnection, limit: LimitName, asker: Asker
) -> IncreaseRequest | None:
    """Return the open request of an asker for a limit, of which there is one at most."""
    columns = increase_requests.c
    same = select(increase_requests).where(
        columns.status == "open",
        columns.asker_type == asker.type,
        columns.asker_id == asker.id,
        columns.kind == limit.kind,
        columns.scope == limit.scope,
        columns.scope_id == limit.scope_id,
        columns.group_id == limit.group_id,
        columns.type == limit.type,
    )
    return next(iter(await read(connection, IncreaseRequest, same, _TYPES)), None)


async def count_asked(connection: AsyncConnection, asker: Asker, since: datetime) -> Asked:
    """Count the open requests of an asker and of all, and those of the asker since a moment."""
    columns = increase_requests.c
    own = (columns.asker_type == asker.type, columns.asker_id == asker.id)
    is_open = columns.status == "open"

    async def count(*where: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(increase_requests).where(*where)
        return int(await connection.scalar(query) or 0)

    return Asked(
        open_of_asker=await count(*own, is_open),
        of_last_day=await count(*own, columns.asked_at > since),
        open_of_all=await count(is_open),
    )


async def list_increase_requests(
    connection: AsyncConnection,
    *,
    limit: int,
    before: tuple[datetime, str] | None = None,
    statuses: Collection[str] = (),
    asker: Asker | None = None,
) -> tuple[IncreaseRequest, ...]:
    """Return requests, the newest first; `before` is the time and id of the last listed one."""
    columns = increase_requests.c
    query = (
        select(increase_requests).order_by(columns.asked_at.desc(), columns.id.desc()).limit(limit)
    )
    if before is not None:
        query = query.where(behind((columns.asked_at, columns.id), before, falls=True))
    if statuses:
        query = query.where(columns.status.in_(sorted(statuses)))
    if asker is not None:
        query = query.where(columns.asker_type == asker.type, columns.asker_id == asker.id)
    return await read(connection, IncreaseRequest, query, _TYPES)


async def forget_increase_requests(connection: AsyncConnection, ended_before: datetime) -> bool:
    """Remove requests that ended before a moment; return whether there may be more of them."""
    columns = increase_requests.c
    old = (
        select(columns.id)
        .where(columns.ended_at < ended_before)
        .order_by(columns.ended_at)
        .limit(PORTION)
    )
    removed = await connection.execute(delete(increase_requests).where(columns.id.in_(old)))
    return removed.rowcount >= PORTION
