"""SQLite: one file, one connection that writes, several that read, one that watches."""

import mmap
import os
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeAlias

from anyio import to_thread
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from antiphon.store.database.backend import Backend
from antiphon.store.database.changes import ChangeSignal
from antiphon.store.database.disk import DatabaseDisk, DiskUsage
from antiphon.store.database.errors import DatabaseUnavailableError, StoreError, explained
from antiphon.store.database.sqlite_driver import Connect, DriverThreads

WAL_INDEX_HEADER = 48
# The interval at which the signal looks whether the file is still there.
LOOK_EVERY_S = 1.0
# FULL syncs the log at every commit, NORMAL only now and then: after a power cut a revoked key
# could be valid again, and a new key lost whose secret was shown once. `kill -9` harms neither.
_SYNCED, _NEVER_SYNCED = "PRAGMA synchronous = FULL", "PRAGMA synchronous = OFF"

MakeEngine: TypeAlias = Callable[..., Engine]
"""A function with the parameters of `sqlalchemy.create_engine`."""


async def open_sqlite(  # noqa: PLR0913 - the parts that tests replace
    url: URL,
    patience_s: float,
    connect: Connect | None = None,
    clock: Callable[[], float] = monotonic,
    disk_usage: DiskUsage = shutil.disk_usage,
    *,
    make_engine: MakeEngine = create_engine,
    durable: bool = True,
) -> Backend:
    """Open the file; create it if it is missing, readable only by its owner."""
    path = _path(url)
    if durable:
        await to_thread.run_sync(_prepare, path, patience_s)
    else:
        # Such a file is in memory, and nobody else has it open: there is nothing to wait for.
        _prepare(path, patience_s)
    file = OpenedFile(path)
    driver = DriverThreads(connect)
    synced = _SYNCED if durable else _NEVER_SYNCED
    engine = partial(_engine, path, driver.connect, patience_s, make_engine=make_engine)

    async def watch() -> ChangeSignal:
        return SqliteSignal(path, file, clock)

    # `query_only` makes a write in a read transaction fail. Such a write is the hazard that
    # IMMEDIATE avoids: of two transactions that read and then write, one overwrites the other.
    return Backend(
        readers=engine("BEGIN", synced, "PRAGMA query_only = ON"),
        writers=engine("BEGIN IMMEDIATE", synced, connections=1),
        watch=watch,
        lost=file.lost,
        closed=partial(driver.ended, patience_s),
        disk=DatabaseDisk(path, disk_usage),
    )


class OpenedFile:
    """The file of an open database, which somebody may remove or replace.

    Connections keep the old file. What is written to it is lost when the last of them is closed,
    and a new connection would open another file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = _identity(path)

    def lost(self) -> str | None:
        """Return why the file is no longer the one that was opened, or `None`: one system call."""
        try:
            same = _identity(self._path) == self._identity
        except OSError as error:
            return f"The database {self._path} is gone while it is used: {error.strerror}"
        return None if same else f"The database {self._path} was replaced while it is used"


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


class SqliteSignal:
    """Compares `PRAGMA data_version`, which any commit of another connection changes.

    This connection only reads, so every commit is another's. After a commit the revision is read,
    as most commits change no account. Only the thread of the event loop may use it.

    Even that pragma takes and releases a file lock, two system calls for each request. So the
    header of the log's index is compared first, in memory that all processes share: every commit
    changes it (sqlite.org/walformat.html, section 2.1), so equal bytes mean an equal state.
    """

    def __init__(self, path: Path, file: OpenedFile, clock: Callable[[], float]) -> None:
        self._path = path
        self._file = file
        self._clock = clock
        self._looked = clock()
        self._connection = _connect(path, timeout_s=1)
        self._data_version = -1
        self._revision = -1
        # A read creates the index, which exists as long as this connection is open.
        try:
            self._number("PRAGMA data_version")
        except sqlite3.Error as error:
            raise explained(error, str(path)) from error
        self._descriptor = _open_index(path)
        self._index = _mapped(self._descriptor)
        self._header = b""

    def version(self) -> int:
        if (now := self._clock()) - self._looked >= LOOK_EVERY_S:
            if (reason := self._file.lost()) is not None:
                raise DatabaseUnavailableError(reason)
            self._looked = now
        # Read first: a commit in between is noticed the next time.
        header = self._index[:WAL_INDEX_HEADER] if self._index is not None else b""
        if not header or header != self._header:
            self._read()
            self._header = header
        return self._revision

    def _read(self) -> None:
        try:
            data_version = self._number("PRAGMA data_version")
            if data_version != self._data_version:
                self._revision = self._number("SELECT value FROM revision WHERE name = 'accounts'")
                self._data_version = data_version
        except sqlite3.Error as error:
            raise explained(error, str(self._path)) from error

    def breaks(self) -> int:
        """Return 0: a database whose file was replaced is lost."""
        return 0

    def touch(self) -> None:
        """Do nothing: `data_version` counts the commits of this process as well."""

    async def aclose(self) -> None:
        """Close; must come after every other connection of this process, because of the locks."""
        self._connection.close()
        if self._index is not None:
            self._index.close()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def _number(self, query: str) -> int:
        row: tuple[int] = self._connection.execute(query).fetchone()
        return row[0]


def _open_index(path: Path) -> int | None:
    """Open the index of the log; `None` if it is no file.

    The descriptor has to stay open: when a process closes any descriptor of a file, the kernel
    releases all its locks on the file (sqlite.org/howtocorrupt.html, section 2.2), SQLite's too.
    The next process would take itself for the first one, and empty the index while this one reads.
    """
    try:
        return os.open(path.with_name(f"{path.name}-shm"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _mapped(descriptor: int | None) -> mmap.mmap | None:
    """Map the header of the index; `None` if it cannot be mapped."""
    if descriptor is None:
        return None
    try:
        return mmap.mmap(descriptor, WAL_INDEX_HEADER, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None


def path_text(path: Path) -> str:
    """Return a path as URLs can hold it. Raises `StoreError` for bytes that are not UTF-8."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"The path {text!a} is not UTF-8: choose another one") from error
    return text


def _path(url: URL) -> Path:
    if url.get_driver_name() != "aiosqlite" or url.query:
        raise StoreError("The URL of an SQLite database is sqlite+aiosqlite:///path, nothing more")
    if url.database in {None, "", ":memory:"}:
        raise StoreError("The database needs a file: in memory each connection has its own")
    return Path(str(url.database))


def _prepare(path: Path, patience_s: float) -> None:
    """Create the file first: SQLite would make it readable by everybody."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = _connect(path, patience_s)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"The database {path} cannot be opened: {reason}") from error
    try:
        mode = _use_log(connection, patience_s)
    except sqlite3.Error as error:
        raise explained(error, str(path)) from error
    finally:
        connection.close()
    if mode != "wal":
        raise StoreError(f"The file system of {path} cannot be shared by processes: no WAL on it")


def _use_log(connection: sqlite3.Connection, patience_s: float) -> str:
    """Switch to the write-ahead log; wait if another process does so, as SQLite does not."""
    deadline = monotonic() + patience_s
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return str(mode)
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or monotonic() > deadline:
                raise
            sleep(0.01)


def _connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False)


def _engine(  # noqa: PLR0913 - what an engine is made of
    path: Path,
    connect: Connect,
    patience_s: float,
    begin: str,
    *pragmas: str,
    make_engine: MakeEngine,
    connections: int = 5,
) -> Engine:
    """Return an engine whose transactions open with `begin`; the driver opens none itself."""
    arguments: dict[str, Any] = {
        "isolation_level": None,
        "timeout": patience_s,
        "async_creator_fn": connect,
    }
    engine = make_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        connect_args=arguments,
        pool_size=connections,
        max_overflow=0,
        # Each transaction is settled; a rollback more would wait for the database once more.
        pool_reset_on_return=None,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        del entry
        cursor = connection.cursor()
        for pragma in ("PRAGMA foreign_keys = ON", *pragmas):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def open_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
