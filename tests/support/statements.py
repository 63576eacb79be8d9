"""Lets all databases of a process of tests share the statements that SQLAlchemy has compiled.

It keeps them with an engine, and by the dialect of the engine. A server has its engines for as
long as it runs; a test has new ones, which would compile each statement once more: half of those
that are executed. A dialect knows nothing of one database, so all engines of a driver can have one.
"""

from typing import Any, Self

from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite


class OneDialect:
    """Makes one dialect of its class and no other, whose engines share what they compile."""

    _one: Self | None = None
    _compiled: Any = None

    def __new__(cls, **_options: Any) -> Self:
        return cls._one or super().__new__(cls)

    def __init__(self, **options: Any) -> None:
        if self._one is None:
            super().__init__(**options)
            type(self)._one = self

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        if cls._compiled is None:
            cls._compiled = engine._compiled_cache
        engine._compiled_cache = cls._compiled


class OneSqlite(OneDialect, SQLiteDialect_aiosqlite):
    # SQLAlchemy asks each class for itself.
    supports_statement_cache = True


class OnePostgresql(OneDialect, PGDialect_asyncpg):
    supports_statement_cache = True


def share_statements() -> None:
    """Let engines that are made from now on share their dialect and its statements."""
    registry.register("sqlite.aiosqlite", __name__, OneSqlite.__name__)
    registry.register("postgresql.asyncpg", __name__, OnePostgresql.__name__)
