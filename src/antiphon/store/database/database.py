"""One database, SQLite or PostgreSQL: transactions to read and to write, and notice of changes."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

import anyio
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from antiphon.store.database.backend import Backend
from antiphon.store.database.changes import CHANGES_ACCOUNTS, ChangeSignal
from antiphon.store.database.connection import AsyncConnection, dispose, place_of
from antiphon.store.database.disk import DiskUsage
from antiphon.store.database.errors import DatabaseUnavailableError, StoreError, explained
from antiphon.store.database.instance_lock import OnLockChange
from antiphon.store.database.postgresql import open_postgresql
from antiphon.store.database.sqlite import MakeEngine, open_sqlite, path_text

if TYPE_CHECKING:
    from aiosqlite import Connection

# The time that a transaction waits for others to release the database.
PATIENCE_S = 5.0


# Opens the database of a URL.
OpenDatabase: TypeAlias = Callable[[str], Awaitable["Database"]]


class Database:
    """An open database. Its transactions raise `StoreError` for errors of the database."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._signal: ChangeSignal | None = None
        self._watching = anyio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that reads one consistent state; writing is refused."""
        self._check_place()
        async with self._transaction(self._backend.readers) as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that commits at the end of the block; an exception rolls it back."""
        self._check_place()
        async with self._transaction(self._backend.writers) as connection:
            connection.info.pop(CHANGES_ACCOUNTS, None)
            yield connection
            touched = CHANGES_ACCOUNTS in connection.info
        # What was committed to a file that is removed is lost with it.
        self._check_place()
        if touched and self._signal is not None:
            self._signal.touch()

    @property
    def lost(self) -> str | None:
        """The reason why the database is no longer where it was; `None` if it is there."""
        return self._backend.lost()

    async def check_space(
        self, connection: AsyncConnection, added: int = 0, *, beside: int = 0
    ) -> None:
        """Raise `DiskFullError` if so many bytes of rows would take the reserve of the disk.

        `beside` is what has to stay free besides. `connection` is in a transaction of this
        database. PostgreSQL's disk is not looked at.
        """
        if self._backend.disk is not None:
            await self._backend.disk.check(connection, added, beside)

    async def nearly_full(self) -> str | None:
        """Return a sentence for the operator if less than the reserve of the disk is free."""
        return None if self._backend.disk is None else await self._backend.disk.nearly_full()

    def _check_place(self) -> None:
        if (reason := self._backend.lost()) is not None:
            raise DatabaseUnavailableError(reason)

    @asynccontextmanager
    async def _transaction(self, engine: Engine) -> AsyncGenerator[AsyncConnection]:
        connection = await self._backend.connect(engine)
        try:
            async with _settled(connection):
                yield connection
        except SQLAlchemyError as error:
            raise explained(error, place_of(engine.url)) from error
        finally:
            # Waits for nothing, so no cancellation can come between.
            await connection.close()

    async def watch(self) -> ChangeSignal:
        """Start to watch the accounts. There is one signal, and it ends with the database."""
        async with self._watching:
            if self._signal is None:
                self._signal = await self._backend.watch()
            return self._signal

    @asynccontextmanager
    async def instance_lock(
        self, on_change: OnLockChange, *, exclusive: bool
    ) -> AsyncGenerator[None]:
        """Hold the lock of a server: `exclusive`, or together with servers that share their limits.

        `on_change` is called with a reason when the lock is lost, and with `None` when it is held
        again. Raises `OccupiedError` if another server has the lock and one of the two is
        exclusive.
        """
        lock = await self._backend.acquire(on_change, exclusive)
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await lock.aclose()

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await dispose(self._backend.readers)
            await dispose(self._backend.writers)
            await self._backend.closed()
            # Closed last: on SQLite this releases the locks of all connections.
            if self._signal is not None:
                await self._signal.aclose()


@asynccontextmanager
async def in_time(limit_s: float) -> AsyncGenerator[Callable[[], None]]:
    """Limit the time of a block with transactions. Raises `DatabaseUnavailableError` after it.

    Yields what begins the time anew, for a block whose database answers again and again.

    A database that falls silent in the middle of a transaction is otherwise waited for until the
    kernel gives the connection up, which takes minutes.
    """
    try:
        async with asyncio.timeout(limit_s) as scope:
            now = asyncio.get_running_loop().time

            def anew() -> None:
                # What is rolled back after the time is over is answered as well.
                if not scope.expired():
                    scope.reschedule(now() + limit_s)

            yield anew
    except TimeoutError as error:
        raise DatabaseUnavailableError("The database does not answer in time") from error


def sqlite_url(path: Path) -> str:
    """Return the URL of a database in a file. Raises `StoreError` for a path that is not UTF-8."""
    return URL.create("sqlite+aiosqlite", database=path_text(path)).render_as_string()


async def open_database(  # noqa: PLR0913 - the parts that tests replace
    url: str,
    *,
    patience_s: float = PATIENCE_S,
    connect: Callable[..., "Connection"] | None = None,
    clock: Callable[[], float] = monotonic,
    disk_usage: DiskUsage = shutil.disk_usage,
    make_engine: MakeEngine = create_engine,
    durable: bool = True,
) -> Database:
    """Open `sqlite+aiosqlite:///path` (created if it is missing) or `postgresql+asyncpg://…`.

    `connect` replaces `aiosqlite.connect` for connections to SQLite. By `clock`, in seconds, the
    signal of changes looks each second whether the file of SQLite is still there. `disk_usage` says
    what is free on its disk. `make_engine` makes SQLAlchemy's engines of an SQLite file; a
    file that is not `durable` may be lost at a power cut.
    """
    parsed = parsed_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            return Database(
                await open_sqlite(
                    *(parsed, patience_s, connect, clock, disk_usage),
                    make_engine=make_engine,
                    durable=durable,
                )
            )
        case "postgresql" | "postgres":
            return Database(open_postgresql(parsed, patience_s))
        case other:
            raise StoreError(f"{other} is no database that Antiphon knows: SQLite or PostgreSQL")


def parsed_url(url: str) -> URL:
    """Parse the URL of a database. Raises `StoreError`, without the URL."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        # Not the URL itself: it may hold a password.
        raise StoreError("The URL of the database cannot be read") from error


def server_database_name(url: str) -> str:
    """Return what people call a database on a server, without its user and its password."""
    parsed = parsed_url(url)
    name = parsed.database or parsed.username or ""
    return f"the PostgreSQL database {name!r} at {place_of(parsed)}"


@asynccontextmanager
async def _settled(connection: AsyncConnection) -> AsyncGenerator[None]:
    """Begin; then commit or roll back, shielded from the cancellation of a scope.

    A task that is cancelled itself leaves a commit with an unknown end. A connection whose
    transaction may still be open is invalidated, so that no other one begins in it.
    """
    settled = False
    try:
        await connection.begin()
        try:
            yield
        except BaseException:
            with anyio.CancelScope(shield=True):
                await connection.rollback()
            settled = True
            raise
        with anyio.CancelScope(shield=True):
            await connection.commit()
        settled = True
    finally:
        if not settled:
            with anyio.CancelScope(shield=True):
                await connection.invalidate()
