"""What a database is: its kind, its version, its size."""

from typing import Literal

import msgspec
from sqlalchemy import text

from antiphon.store.database.database import Database

_SQLITE = text(
    "SELECT sqlite_version(), page_count * page_size FROM pragma_page_count, pragma_page_size"
)
_POSTGRESQL = text("SELECT current_setting('server_version'), pg_database_size(current_database())")


class DatabaseFacts(msgspec.Struct, frozen=True):
    """The kind of a database, the version of its program, and its size in bytes."""

    kind: Literal["sqlite", "postgresql"]
    version: str
    size: int


async def database_facts(database: Database) -> DatabaseFacts:
    """Ask a database what it is. Raises `StoreError`."""
    async with database.read() as connection:
        kind: Literal["sqlite", "postgresql"] = (
            "sqlite" if connection.dialect.name == "sqlite" else "postgresql"
        )
        version, size = (
            await connection.execute(_SQLITE if kind == "sqlite" else _POSTGRESQL)
        ).one()
    return DatabaseFacts(kind, str(version), int(size))
