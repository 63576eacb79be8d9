"""What one simulated process has of the disk: its connections to SQLite and its journal.

The driver is aiosqlite, with its thread replaced by steps of the loop; SQLite, the file and the
locks are real. What the process holds is let go by the kernel when it ends, so `end` does that.
"""

import shutil
import sqlite3
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite

from antiphon.store.journal import SUFFIX, Journal
from simulation.faults import Fault, Faults
from simulation.loop import SimulatedLoop, attempt, deliver
from simulation.planted import Planted

# How often a connection looks whether the database is free.
LOOK_S = (1e-3, 25e-3)
LOCK = "server.lock"
CHANGES_REQUESTS = ("INSERT INTO BATCH_REQUESTS", "UPDATE BATCH_REQUESTS")


class Storage:
    """The files of one life of a server."""

    def __init__(
        self,
        loop: SimulatedLoop,
        faults: Faults,
        planted: Planted,
        server: str,
        data_dir: Path,
        *,
        committed: Callable[[], None],
    ) -> None:
        """Call `committed` behind commits of requests of batches: the process hears later."""
        self.loop = loop
        self._committed = committed
        # One transaction at a time writes.
        self._changed_requests = False
        self._faults = faults
        self._server = server
        self._data_dir = data_dir
        self._connections: list[sqlite3.Connection] = []
        self._ended = False
        self._planted = planted

    def connect(
        self, database: str, *, timeout: float = 5.0, **options: Any
    ) -> aiosqlite.Connection:
        """Connect as `aiosqlite.connect` does."""

        def connector() -> sqlite3.Connection:
            # The patience is ours: waiting in SQLite would hold up the one thread.
            connection = sqlite3.connect(database, timeout=0, **options)
            self._connections.append(connection)
            return connection

        return _InlineConnection(connector, _Worker(self, timeout))

    def create_journal(self, folder: Path, name: str) -> Journal:
        """Make a journal as `Journal.create` does, on a disk that may be full."""
        faults, server = self._faults, self._server

        class OnThisDisk(self._planted.journal):  # type: ignore[name-defined]
            def _grow(self) -> None:
                faults.journal_grows(server)
                super()._grow()

            def sync(self) -> None:
                faults.journal_syncs(server)
                super().sync()

        return OnThisDisk.create(folder, name)

    def execute(self, function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """Do what a connection's thread is asked to, or fail as the schedule says."""
        function, sql = self._statement(function)
        instead, afterwards = self._faults.statement(sql, self._server)
        if instead is not None:
            self._abort(function, sql)
            return None, instead
        result, error = attempt(function)
        if sql.startswith(CHANGES_REQUESTS):
            self._changed_requests = True
        elif sql in ("COMMIT", "ROLLBACK"):
            changed, self._changed_requests = self._changed_requests, False
            if changed and sql == "COMMIT" and error is None:
                self._committed()
        return result, error or afterwards

    def pause(self) -> float:
        """Return how long a statement takes."""
        until = self._faults.until(Fault.DATABASE_HANGS, self._server)
        hangs = 0.0 if until is None else until - self.loop.time()
        return hangs + self.loop.delay()

    def end(self) -> None:
        """Let go of everything, as the kernel does when a process ends, however it ends."""
        if self._ended:
            return
        self._ended = True
        for connection in self._connections:
            # One that the process has closed itself takes no rollback.
            with suppress(sqlite3.ProgrammingError):
                connection.rollback()
            connection.close()
        # A lock and a mapping belong to the file that was opened. What is left is a file with the
        # same bytes that nobody has open.
        for path in (self._data_dir / LOCK, *self._data_dir.glob(f"journal/*{SUFFIX}")):
            if path.exists():
                copy = path.with_suffix(".copy")
                shutil.copyfile(path, copy)
                copy.rename(path)

    def _abort(self, function: Any, sql: str) -> None:
        """Roll back, as SQLite does when a commit fails, and sometimes when a statement does."""
        if sql == "COMMIT":
            function.func.__self__.rollback()
        elif sql.startswith(("INSERT", "UPDATE", "DELETE")) and self.loop.chance.random() < 0.5:
            function.func.__self__.connection.rollback()

    def _statement(self, function: Callable[[], Any]) -> tuple[Callable[[], Any], str]:
        if not isinstance(function, partial):
            return function, ""
        name = function.func.__name__
        if name not in {"execute", "executemany"}:
            return function, name.upper()
        sql, *parameters = function.args
        sql = self._planted.sql(sql)
        return partial(function.func, sql, *parameters), sql.lstrip().upper()


class _InlineConnection(aiosqlite.Connection):
    """A connection whose thread is a `_Worker`."""

    def __init__(self, connector: Callable[[], sqlite3.Connection], worker: "_Worker") -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._tx = worker
        self._thread = worker

    def __del__(self) -> None:
        """A process that was killed has closed nothing, and nobody is to be warned of it."""


class _Worker:
    """The thread of a connection: takes one piece of work after the other, in order."""

    def __init__(self, storage: Storage, patience_s: float) -> None:
        self._storage = storage
        self._patience_s = patience_s
        self._waiting: deque[tuple[Any, Callable[[], Any]]] = deque()

    daemon = True

    def start(self) -> None:
        """It begins with its first piece."""

    def is_alive(self) -> bool:
        """No thread goes on by itself."""
        return False

    def put_nowait(self, work: tuple[Any, Callable[[], Any]]) -> None:
        self._waiting.append(work)
        if len(self._waiting) == 1:
            self._begin()

    def _begin(self) -> None:
        loop = self._storage.loop
        loop.call_later(self._storage.pause(), self._work, loop.time() + self._patience_s)

    def _work(self, deadline: float) -> None:
        loop = self._storage.loop
        done, function = self._waiting[0]
        result, error = self._storage.execute(function)
        if getattr(error, "sqlite_errorname", None) == "SQLITE_BUSY" and loop.time() < deadline:
            # SQLite would look again by itself, and so long.
            loop.call_later(loop.chance.uniform(*LOOK_S), self._work, deadline)
            return
        self._waiting.popleft()
        if done is not None:
            loop.call_later(loop.delay(), deliver, done, result, error)
        if self._waiting:
            self._begin()
