"""API keys and their secrets at rest. Each change is announced in its own transaction."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Select,
    bindparam,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)

from antiphon.core.names import folded
from antiphon.store.database.changes import ChangeKind, announce
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.errors import AmbiguousNameError
from antiphon.store.database.pages import read_portions
from antiphon.store.database.records import add, portions, read, with_folded_name
from antiphon.store.database.tables import END, api_keys, key_secrets, stored_moment

AT_MOST_BEHIND: Final = timedelta(minutes=1)
"""How far the stored last use of a key may be behind a request that is charged to the key."""


class KeyKind(StrEnum):
    """The use of a key: an admin key cannot call models, an ordinary one cannot administer."""

    API = "api"
    ADMIN = "admin"


class KeyStatus(StrEnum):
    """The status of a key: only active keys authenticate. `ARCHIVED` cannot be undone."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ARCHIVED = "archived"


KEY_CONVERTERS = {"kind": KeyKind, "status": KeyStatus}


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stored key, without its secret, which cannot be read again.

    A key without `workspace_id` belongs to the organization. `created_by` is a user's id.
    """

    id: str
    name: str
    hint: str
    created_at: datetime
    kind: KeyKind = KeyKind.API
    status: KeyStatus = KeyStatus.ACTIVE
    workspace_id: str | None = None
    created_by: str | None = None
    expires_at: datetime | None = None
    archived_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def folded_name(self) -> str:
        """The name as it is sorted and searched."""
        return folded(self.name)


class ActiveSecret(msgspec.Struct, frozen=True, gc=False):
    """The key of an active secret, and the end of the secret if it has one."""

    key: ApiKey
    valid_until: datetime | None

    def has_ended(self, now: datetime) -> bool:
        """Return whether the secret or its key has expired."""
        secret_ends, key_ends = self.valid_until, self.key.expires_at
        return (secret_ends is not None and secret_ends <= now) or (
            key_ends is not None and key_ends <= now
        )


async def add_key(connection: AsyncConnection, key: ApiKey, digest: bytes) -> None:
    """Store a new key; the transaction fails with `DuplicateError` if its secret is known."""
    await add(connection, api_keys, key)
    await add_secret(connection, key.id, digest)


async def add_secret(connection: AsyncConnection, key_id: str, digest: bytes) -> None:
    """Add a secret to a key."""
    await connection.execute(insert(key_secrets).values(key_id=key_id, digest=digest))
    await announce(connection, ChangeKind.KEY, key_id)


async def end_secrets(connection: AsyncConnection, key_id: str, moment: datetime) -> None:
    """End all present secrets of a key at this moment, or earlier if they end earlier."""
    own = (key_secrets.c.key_id == key_id) & (
        key_secrets.c.valid_until.is_(None) | (key_secrets.c.valid_until > moment)
    )
    await connection.execute(update(key_secrets).where(own).values(valid_until=moment))
    await announce(connection, ChangeKind.KEY, key_id)


async def list_keys(connection: AsyncConnection) -> tuple[ApiKey, ...]:
    """Return every key, also the archived ones, the oldest first."""
    return await _keys(connection, select(api_keys))


async def list_keys_of(connection: AsyncConnection, user_id: str) -> tuple[str, ...]:
    """Return the ids of every key that a user has created, also of the archived ones."""
    found = await connection.execute(select(api_keys.c.id).where(api_keys.c.created_by == user_id))
    return tuple(found.scalars())


class _Created(msgspec.Struct, frozen=True):
    """Which key was created, and when."""

    id: str
    created_at: datetime


async def keys_created_by(
    connection: AsyncConnection, user_id: str
) -> AsyncGenerator[tuple[str, ...]]:
    """Yield the ids of the ordinary keys that a user has created, in portions."""
    columns = api_keys.c
    theirs = select(columns.id, columns.created_at).where(
        columns.created_by == user_id, columns.kind == KeyKind.API
    )
    by = [columns.created_at, columns.id]
    async for rows in read_portions(connection, _Created, theirs, by):
        yield tuple(row.id for row in rows)


class _SecretRow(ApiKey, frozen=True, kw_only=True, gc=False):
    """A secret with its key, as one row."""

    digest: bytes
    valid_until: datetime | None

    def active(self) -> ActiveSecret:
        key = ApiKey(**{name: getattr(self, name) for name in ApiKey.__struct_fields__})
        return ActiveSecret(key, self.valid_until)


_SECRETS = select(api_keys, key_secrets.c.digest, key_secrets.c.valid_until).where(
    api_keys.c.id == key_secrets.c.key_id
)


async def active_secrets(connection: AsyncConnection) -> dict[bytes, ActiveSecret]:
    """Return the secrets that authenticate now, by their digests, for keys of either kind.

    They are read in portions: of a hundred thousand that takes a second or two, in which other work
    waits for some milliseconds at a time.
    """
    active = _SECRETS.where(api_keys.c.status == KeyStatus.ACTIVE)
    found: dict[bytes, ActiveSecret] = {}
    by = [key_secrets.c.digest]
    async for rows in read_portions(connection, _SecretRow, active, by, KEY_CONVERTERS):
        found.update((bytes(row.digest), row.active()) for row in rows)
    return found


async def secrets_of(
    connection: AsyncConnection, key_ids: Collection[str]
) -> dict[bytes, ActiveSecret | None]:
    """Return every secret that these keys have ever had; `None` for one that authenticates no more.

    Secrets are never removed.
    """
    found: dict[bytes, ActiveSecret | None] = {}
    for some in portions(key_ids):
        theirs = _SECRETS.where(key_secrets.c.key_id.in_(some))
        for row in await read(connection, _SecretRow, theirs, KEY_CONVERTERS):
            is_active = row.status is KeyStatus.ACTIVE
            found[bytes(row.digest)] = row.active() if is_active else None
    return found


async def keys_ending(
    connection: AsyncConnection, after: datetime, until: datetime, limit: int
) -> tuple[ApiKey, ...]:
    """Return active keys that expire after one moment and until another, the first ones first."""
    end = literal_column(END, BigInteger)
    soon = end.between(literal(stored_moment(after)) + 1, stored_moment(until))
    active = select(api_keys).where(soon, api_keys.c.status == KeyStatus.ACTIVE)
    first = active.order_by(end, api_keys.c.id).limit(limit)
    return await read(connection, ApiKey, first, KEY_CONVERTERS)


async def oldest_keys(connection: AsyncConnection, limit: int) -> tuple[ApiKey, ...]:
    """Return the oldest ordinary keys."""
    ordinary = select(api_keys).where(api_keys.c.kind == KeyKind.API)
    return await _keys(connection, ordinary.limit(limit))


async def find_key(connection: AsyncConnection, id_or_name: str) -> ApiKey | None:
    """Find a key by its id, or else by its name: the active one, or else the newest.

    Names may repeat; two active keys of one name raise `AmbiguousNameError`.
    """
    if "\0" in id_or_name:
        # PostgreSQL refuses it, and no id and no name has one.
        return None
    by_id = await _keys(connection, select(api_keys).where(api_keys.c.id == id_or_name))
    if by_id:
        return by_id[0]
    # Names have no index; what they are folded to has one.
    named = (api_keys.c.folded_name == folded(id_or_name)) & (api_keys.c.name == id_or_name)
    keys = await _keys(connection, select(api_keys).where(named))
    active = [key for key in keys if key.status is KeyStatus.ACTIVE]
    return next(iter(_only(active) or keys[-1:]), None)


async def change_key(
    connection: AsyncConnection, key_id: str, changes: Mapping[str, Any]
) -> ApiKey | None:
    """Change columns of a key, unless it is archived; return the changed key."""
    open_key = (api_keys.c.id == key_id) & (api_keys.c.status != KeyStatus.ARCHIVED)
    values = with_folded_name(changes)
    changed = await connection.execute(update(api_keys).where(open_key).values(values))
    if changed.rowcount:
        await announce(connection, ChangeKind.KEY, key_id)
    return next(
        iter(await _keys(connection, select(api_keys).where(api_keys.c.id == key_id))), None
    )


async def open_keys_of(
    connection: AsyncConnection, workspace_id: str
) -> AsyncGenerator[tuple[ApiKey, ...]]:
    """Yield the keys of a workspace that are not archived, the oldest first, in portions."""
    columns = api_keys.c
    theirs = select(api_keys).where(
        columns.workspace_id == workspace_id, columns.status != KeyStatus.ARCHIVED
    )
    by = [columns.created_at, columns.id]
    async for keys in read_portions(connection, ApiKey, theirs, by, KEY_CONVERTERS):
        yield keys


async def archive_keys_of(connection: AsyncConnection, workspace_id: str, now: datetime) -> None:
    """Archive every key of a workspace."""
    open_keys = (api_keys.c.workspace_id == workspace_id) & (
        api_keys.c.status != KeyStatus.ARCHIVED
    )
    archived = {"status": KeyStatus.ARCHIVED, "archived_at": now}
    await connection.execute(update(api_keys).where(open_keys).values(archived))
    await announce(connection, ChangeKind.ARCHIVED_KEYS, workspace_id)


async def note_use(connection: AsyncConnection, uses: Mapping[str, datetime]) -> None:
    """Store the last uses of keys. The accounts in memory do not depend on them."""
    if uses:
        one = update(api_keys).where(api_keys.c.id == bindparam("key"))
        await connection.execute(
            one.values(last_used_at=bindparam("at")),
            # In a fixed order, so that two servers do not wait for each other's rows.
            [{"key": key_id, "at": at} for key_id, at in sorted(uses.items())],
        )


async def note_use_before_charge(connection: AsyncConnection, uses: Mapping[str, datetime]) -> None:
    """Store uses of keys of which none is stored that is `AT_MOST_BEHIND` them, or later.

    It stands in the transaction that charges the keys, before what is charged: so a key to which
    anything was charged was used, whatever dies. Later uses are stored together, now and then.
    """
    if not uses:
        return
    columns = api_keys.c
    older = or_(columns.last_used_at.is_(None), columns.last_used_at < bindparam("before"))
    one = update(api_keys).where(columns.id == bindparam("key"), older)
    rows = [
        {"key": key_id, "at": at, "before": at - AT_MOST_BEHIND}
        for key_id, at in sorted(uses.items())
    ]
    await connection.execute(one.values(last_used_at=bindparam("at")), rows)


async def count_keys(connection: AsyncConnection, kind: KeyKind = KeyKind.API) -> int:
    """Count every key of a kind, also archived ones: 0 before the first one is made."""
    counted = select(func.count()).select_from(api_keys).where(api_keys.c.kind == kind)
    return int(await connection.scalar(counted) or 0)


async def _keys(
    connection: AsyncConnection, query: Select[*tuple[object, ...]]
) -> tuple[ApiKey, ...]:
    oldest = query.order_by(api_keys.c.created_at, api_keys.c.id)
    return await read(connection, ApiKey, oldest, KEY_CONVERTERS)


def _only(keys: Sequence[ApiKey]) -> Sequence[ApiKey]:
    if len(keys) > 1:
        ids = ", ".join(key.id for key in keys)
        raise AmbiguousNameError(f"Several active keys have this name; choose one by id: {ids}")
    return keys
