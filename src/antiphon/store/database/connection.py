"""A connection of SQLAlchemy Core with awaitable calls.

SQLAlchemy's asyncio extension offers the same but imports the ORM, a seventh of the import time of
the server: docs/decisions/0019-start-and-size.md. Both switch to a greenlet for each call, in which
the drivers of the asyncio dialects can wait.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import URL, Connection, CursorResult, Dialect, Engine, Executable, ScalarResult
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.util import greenlet_spawn

from antiphon.store.database.errors import explained

T = TypeVar("T")

_POSTGRESQL_PORT = 5432

Rows: TypeAlias = CursorResult[*tuple[Any, ...]]
"""The rows of a statement, all of them in memory."""


class AsyncConnection:
    """One connection. Results are buffered, so reading them does not wait.

    Its methods raise `StoreError` for errors of the database.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.answered: Callable[[], None] | None = None
        """Called after each answer of the database."""

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    @property
    def info(self) -> dict[Any, Any]:
        """Notes of the program, kept as long as the connection to the database."""
        return self._connection.info

    def in_transaction(self) -> bool:
        return self._connection.in_transaction()

    async def _call(self, function: Callable[..., T], *args: Any) -> T:
        try:
            answer = await greenlet_spawn(function, *args)
        except (SQLAlchemyError, OSError) as error:
            raise explained(error, place_of(self._connection.engine.url)) from error
        if self.answered is not None:
            self.answered()
        return answer

    async def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> Rows:
        return await self._call(self._connection.execute, statement, parameters)

    async def scalar(self, statement: Executable) -> Any:
        """Return the first column of the first row, or `None`."""
        return (await self.execute(statement)).scalar()

    async def scalars(self, statement: Executable) -> ScalarResult[Any]:
        """Return the first column of each row."""
        return (await self.execute(statement)).scalars()

    async def exec_driver_sql(
        self, statement: str, parameters: Sequence[tuple[object, ...]] | None = None
    ) -> Rows:
        """Execute text unchanged, once for each row of parameters."""
        parameters = None if parameters is None else list(parameters)
        return await self._call(self._connection.exec_driver_sql, statement, parameters)

    async def run_sync(self, function: Callable[[Connection], T]) -> T:
        """Call a function that uses the connection without awaiting, as Alembic does."""
        return await self._call(function, self._connection)

    async def begin(self) -> None:
        await self._call(self._connection.begin)

    async def commit(self) -> None:
        await self._call(self._connection.commit)

    async def rollback(self) -> None:
        await self._call(self._connection.rollback)

    async def invalidate(self) -> None:
        """Close the connection to the database, which goes back to no pool."""
        await self._call(self._connection.invalidate)

    async def close(self) -> None:
        """Give the connection back to the pool, which takes it as it is: it must be settled."""
        await self._call(self._connection.close)


async def connect(engine: Engine) -> AsyncConnection:
    """Take a connection from the pool of an engine with an asyncio dialect. Raises `StoreError`."""
    try:
        return AsyncConnection(await greenlet_spawn(engine.connect))
    except (SQLAlchemyError, OSError) as error:
        raise explained(error, place_of(engine.url)) from error


def place_of(url: URL) -> str:
    """Return where a database is, without its user and its password: its path, or its hosts."""
    if url.get_backend_name() == "sqlite":
        return url.database or ""
    if url.host is not None:
        return f"{url.host}:{url.port or _POSTGRESQL_PORT}"
    hosts = url.query.get("host", "localhost")
    return hosts if isinstance(hosts, str) else ", ".join(hosts)


async def dispose(engine: Engine) -> None:
    """Close the pool of an engine."""
    await greenlet_spawn(engine.dispose)
