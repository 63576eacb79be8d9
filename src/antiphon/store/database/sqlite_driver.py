"""Connections of aiosqlite that leave nothing behind: no lock, and no thread."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

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
