"""Connections of aiosqlite with quick statements, that leave nothing behind: no lock, no thread."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import partial
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from anyio import to_thread

if TYPE_CHECKING:
    from aiosqlite import Connection as Driver

# A function with the parameters of `aiosqlite.connect`.
Connect: TypeAlias = Callable[..., "Driver"]


class DriverThreads:
    """Makes connections, each with a thread of its own, and waits for the ends of the threads.

    A thread goes on with what it was told when the task that waits for it is cancelled. One that is
    still at work when the event loop is closed has nobody to tell of its end, and fails.
    """

    def __init__(self, connect: Connect | None = None) -> None:
        """`connect` replaces `aiosqlite.connect`."""
        self._connect = connect
        self._threads: list[Thread] = []
        # The driver looks for a conversion of each value that is not of its own kinds. `NULL` and
        # truth values had none, and each cost an exception within it: ten for every request.
        sqlite3.register_adapter(type(None), _nothing)
        sqlite3.register_adapter(bool, int)

    def connect(self, *args: Any, **options: Any) -> "Driver":
        import aiosqlite  # noqa: PLC0415 - a server with PostgreSQL needs it not

        connect = self._connect or aiosqlite.connect
        driver = connect(*args, **options, factory=_RolledBack)
        # SQLAlchemy asks for nothing else but a cursor, and awaits that.
        driver.cursor = partial(QuickCursor, driver)  # type: ignore[assignment]
        # Not public, but SQLAlchemy makes it a daemon as well.
        thread: Thread = driver._thread  # noqa: SLF001
        thread.daemon = True
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        return driver

    async def ended(self, limit_s: float) -> None:
        """Wait, at most so long, until the threads of closed connections have ended."""
        running = [thread for thread in self._threads if thread.is_alive()]
        if running:
            await to_thread.run_sync(_join, running, monotonic() + limit_s)


class QuickCursor:
    """A cursor of an aiosqlite connection that goes to its thread once for a statement.

    That of aiosqlite goes there to be made, for the statement, for its rows, and to be closed: four
    times two switches of threads, which took most of the time of a short statement. Rows are read
    in any case, so they are in memory after the statement.
    """

    arraysize = 1

    def __init__(self, driver: Any) -> None:
        """`driver` is a connection of aiosqlite, whose own cursors use the same of it."""
        self._driver = driver
        self._statement = _Statement(None)

    async def __aenter__(self) -> Self:
        return self

    @property
    def description(self) -> Any:
        return self._statement.description

    @property
    def rowcount(self) -> int:
        return self._statement.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._statement.lastrowid

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> None:
        self._statement = statement = _Statement(self._driver._conn)  # noqa: SLF001
        await self._driver._execute(statement.execute, sql, parameters)  # noqa: SLF001

    async def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> None:
        self._statement = statement = _Statement(self._driver._conn)  # noqa: SLF001
        await self._driver._execute(statement.executemany, sql, parameters)  # noqa: SLF001

    async def fetchall(self) -> list[Any]:
        rows, self._statement.rows = self._statement.rows, []
        return rows

    async def close(self) -> None:
        """Do nothing: the statement has ended in its thread."""


class _Statement:
    """One statement: what the connection's thread does, and what it leaves."""

    __slots__ = ("connection", "description", "lastrowid", "rowcount", "rows")

    def __init__(self, connection: sqlite3.Connection | None) -> None:
        self.connection = connection
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.rows: list[Any] = []

    def execute(self, sql: str, parameters: Iterable[Any]) -> None:
        with closing(self._cursor()) as cursor:
            cursor.execute(sql, parameters)  # type: ignore[arg-type]  # whatever the caller has
            self._note(cursor)

    def executemany(self, sql: str, parameters: Iterable[Iterable[Any]]) -> None:
        with closing(self._cursor()) as cursor:
            cursor.executemany(sql, parameters)  # type: ignore[arg-type]
            self._note(cursor)

    def _cursor(self) -> sqlite3.Cursor:
        assert self.connection is not None  # noqa: S101 - for the type checker
        return self.connection.cursor()

    def _note(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        if cursor.description is not None:
            self.rows = cursor.fetchall()
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid


def _nothing(value: None) -> None:
    return value


def _join(threads: list[Thread], until: float) -> None:
    for thread in threads:
        thread.join(max(0.0, until - monotonic()))


class _RolledBack(sqlite3.Connection):
    """Ends its transaction when it is closed.

    A statement that was cancelled is not read to its end, and lives as long as somebody holds the
    exception. SQLite closes a connection only after its last statement, with its transaction and
    its locks (sqlite.org/c3ref/close.html); and so would the next transaction wait.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()
