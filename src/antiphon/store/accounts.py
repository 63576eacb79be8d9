"""API keys at rest. Every change is announced in the transaction that makes it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, RowMapping, Select, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from antiphon.store.changes import announce
from antiphon.store.errors import AmbiguousNameError
from antiphon.store.tables import api_keys


class KeyStatus(StrEnum):
    """Whether a key opens the door."""

    ACTIVE = "active"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored: without its secret, which nobody can read again."""

    id: str
    name: str
    digest: bytes = field(repr=False)
    hint: str
    created_at: datetime
    created_by: str | None = None
    status: KeyStatus = KeyStatus.ACTIVE
    revoked_at: datetime | None = None


async def add_key(connection: AsyncConnection, key: ApiKey) -> None:
    """Store a new key; the transaction fails with `DuplicateError` if it is there already."""
    row = {column.name: getattr(key, column.name) for column in api_keys.columns}
    await connection.execute(insert(api_keys).values(row))
    await announce(connection)


async def list_keys(connection: AsyncConnection) -> tuple[ApiKey, ...]:
    """Return every key, also the revoked ones, the oldest first."""
    return await _keys(connection, select(api_keys))


async def active_keys(connection: AsyncConnection) -> dict[bytes, ApiKey]:
    """Return the keys that open the door, by the digest of their secret."""
    keys = await _keys(connection, select(api_keys).where(_active()))
    return {key.digest: key for key in keys}


async def find_key(connection: AsyncConnection, id_or_name: str) -> ApiKey | None:
    """Find a key by its id, or else by its name: the active one, or else the newest.

    Names may repeat; two active keys of one name raise `AmbiguousNameError`.
    """
    matches = or_(api_keys.c.id == id_or_name, api_keys.c.name == id_or_name)
    keys = await _keys(connection, select(api_keys).where(matches))
    by_id = [key for key in keys if key.id == id_or_name]
    active = [key for key in keys if key.status is KeyStatus.ACTIVE]
    return next(iter(by_id or _only(active) or keys[-1:]), None)


async def revoke_key(connection: AsyncConnection, key_id: str, now: datetime) -> ApiKey | None:
    """Revoke a key for good, or return it as it is if that was done before."""
    change = update(api_keys).where(api_keys.c.id == key_id, _active())
    values = {"status": KeyStatus.REVOKED, "revoked_at": now}
    if (await connection.execute(change.values(values))).rowcount:
        await announce(connection)
    keys = await _keys(connection, select(api_keys).where(api_keys.c.id == key_id))
    return next(iter(keys), None)


async def count_keys(connection: AsyncConnection) -> int:
    """Count every key, also the revoked ones: none means that nobody has set the house up."""
    return int(await connection.scalar(select(func.count()).select_from(api_keys)) or 0)


def _active() -> ColumnElement[bool]:
    return api_keys.c.status == KeyStatus.ACTIVE


async def _keys(
    connection: AsyncConnection, query: Select[*tuple[object, ...]]
) -> tuple[ApiKey, ...]:
    rows = await connection.execute(query.order_by(api_keys.c.created_at, api_keys.c.id))
    return tuple(_key(row) for row in rows.mappings())


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(**{**row, "status": KeyStatus(row["status"])})


def _only(keys: Sequence[ApiKey]) -> Sequence[ApiKey]:
    if len(keys) > 1:
        ids = ", ".join(key.id for key in keys)
        raise AmbiguousNameError(f"Several active keys have this name; choose one by id: {ids}")
    return keys
