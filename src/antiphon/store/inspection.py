"""Looks at a database from outside: nothing is made, migrated, locked or written.

A database in a file is read while a server uses it, and also when none does: then the files of its
log are not there, and SQLite would make them. So it is told that the file does not change.
"""

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from antiphon.core.moments import moment_at
from antiphon.store.accounts import KeyKind, KeyStatus
from antiphon.store.database.database import in_time, open_database, parsed_url
from antiphon.store.database.errors import explained
from antiphon.store.database.migrations import NEWEST, schema_version
from antiphon.store.database.tables import stored_moment

_USABLE = f"status = '{KeyStatus.ACTIVE}' AND (expires_at IS NULL OR expires_at > :now)"
_KEYS = text(
    f"SELECT count(*), count(CASE WHEN {_USABLE} THEN 1 END) FROM api_keys WHERE kind = '{KeyKind.API}'"  # noqa: E501, S608 - our own names
)
_KINDS = text("SELECT DISTINCT kind FROM api_keys")
_KNOWN = text(
    "SELECT count(*) FROM key_secrets JOIN api_keys ON api_keys.id = key_secrets.key_id "  # noqa: S608 - as above
    f"WHERE digest = :digest AND {_USABLE} AND (valid_until IS NULL OR valid_until > :now)"
)
_MOMENTS = tuple(
    text(f"SELECT max({column}) FROM {table}")  # noqa: S608 - as above
    for table, column in (("api_keys", "created_at"), ("audit_log", "at"), ("ledger", "started_at"))
)
_SERVER_TIME = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a database.

    `schema` is the version of its tables, `None` without any; of another version than this
    release's nothing more is read. `keys` are those for the API, `usable_keys` those of them that
    are active and have not expired. `kinds` has the kinds of all keys, and `known` the names of
    the asked digests that authenticate. `newest` is the latest moment in it, and `server_time` the
    time of its own server.
    """

    schema: str | None
    keys: int = 0
    usable_keys: int = 0
    kinds: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    newest: datetime | None = None
    server_time: datetime | None = None

    @property
    def is_current(self) -> bool:
        """Whether its tables are those of this release."""
        return self.schema == NEWEST


def inspect_file(path: Path, digests: Mapping[str, bytes], now: datetime) -> Inspection:
    """Look at a database of SQLite. Raises `StoreError`."""
    logs = [path.with_name(path.name + end).exists() for end in ("-wal", "-shm")]
    how = "mode=ro" if all(logs) else "mode=ro&immutable=1"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=5)

    engine = create_engine("sqlite://", creator=connect, hide_parameters=True)
    try:
        with engine.connect() as connection:
            return _inspect(connection, digests, now)
    except (SQLAlchemyError, OSError) as error:
        raise explained(error, str(path)) from error
    finally:
        engine.dispose()


async def inspect_server(
    url: str, digests: Mapping[str, bytes], now: datetime, patience_s: float = 5.0
) -> Inspection:
    """Look at the database of a URL, usually one of PostgreSQL. Raises `StoreError`."""
    if (parsed := parsed_url(url)).get_backend_name() == "sqlite":
        # To open it would make it.
        return _inspect_if_there(Path(parsed.database or ""), digests, now)
    database = await open_database(url, patience_s=patience_s)
    try:
        async with in_time(2 * patience_s), database.read() as connection:
            return await connection.run_sync(lambda opened: _inspect(opened, digests, now))
    finally:
        await database.aclose()


def _inspect_if_there(path: Path, digests: Mapping[str, bytes], now: datetime) -> Inspection:
    return inspect_file(path, digests, now) if path.is_file() else Inspection(schema=None)


def _inspect(connection: Connection, digests: Mapping[str, bytes], now: datetime) -> Inspection:
    schema = schema_version(connection)
    if schema != NEWEST:
        return Inspection(schema=schema)
    at: dict[str, Any] = {"now": stored_moment(now)}
    keys, usable = connection.execute(_KEYS, at).one()
    moments = [moment for query in _MOMENTS if (moment := connection.execute(query).scalar())]
    server_time = None
    if connection.dialect.name == "postgresql":
        server_time = moment_at(connection.execute(_SERVER_TIME).scalar_one())
    return Inspection(
        schema=schema,
        keys=keys,
        usable_keys=usable,
        kinds=frozenset(connection.execute(_KINDS).scalars()),
        known=frozenset(
            name
            for name, digest in digests.items()
            if connection.execute(_KNOWN, {**at, "digest": digest}).scalar()
        ),
        newest=moment_at(max(moments)) if moments else None,
        server_time=server_time,
    )
