"""Databases that are made in two milliseconds and live as long as a test.

A new database takes a server a tenth of a second: its tables, its organization, its first keys.
Here that is done once in a process, and each server gets a copy of the file. It is in memory where
the system has a folder for that, and is never synced.

A server asks each connection in a thread of its own, so that a disk makes nobody wait. For a file
in memory the way to the thread and back takes longer than the statement, so here statements run
where they are asked.
"""

import asyncio
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import IO, Any

import aiosqlite
import msgspec
from sqlalchemy import Engine, create_engine

from antiphon.service.admin.keys import KeyRing
from antiphon.service.admin.transactions import SERVER, AdminTransactions
from antiphon.service.installation import opened_database, signing_key_of
from antiphon.settings import Settings
from antiphon.store.accounts import KeyKind
from antiphon.store.database.database import Database, open_database

# A file system in memory, where Linux has one; a container may have 64 MB of it.
_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it has names of its own
_ROOM = 16 * 2**20
_PREFIX = "antiphon-testing-"
_LOCK = "lock"


class Template(msgspec.Struct, frozen=True):
    """The files of a founded installation, by name, and the secrets of its two first keys."""

    files: dict[str, bytes]
    key: str
    admin_key: str

    def write(self, folder: Path) -> None:
        """Write the files into an empty folder."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


class Databases:
    """Opens databases for servers that live briefly. All share the statements that they compile."""

    def __init__(self) -> None:
        self._dialect: Any = None
        self._compiled: Any = None

    async def open(self, url: str) -> Database:
        """Open a database as `open_database` does. Raises `StoreError`."""
        return await open_database(url, connect=_connect, make_engine=self._engine, durable=False)

    def _engine(self, *args: Any, **options: Any) -> Engine:
        """Return an engine with the statements of the one before.

        SQLAlchemy keeps what it has compiled with each engine, and by the engine's dialect, which
        knows nothing of one database. To compile anew takes a quarter of the start of a server.
        """
        engine = create_engine(*args, **options)
        if self._dialect is None:
            self._dialect, self._compiled = engine.dialect, engine._compiled_cache  # noqa: SLF001
        else:
            engine.dialect, engine._compiled_cache = self._dialect, self._compiled  # noqa: SLF001
        return engine


class Kit(msgspec.Struct, frozen=True):
    """What the servers of a process share: how databases are opened, and what they begin with."""

    databases: Databases
    template: Template


@cache
def kit() -> Kit:
    """Return the kit of this process, which is made by the first server."""
    databases = Databases()
    remove_orphans()
    # A thread has no event loop yet, whatever runs here.
    return Kit(databases, asyncio.run(_template(databases)))


async def _template(databases: Databases) -> Template:
    """Found an installation as a server does, with a key and an admin key, and read its files."""
    key, admin_key = (f"sk-antiphon-testing-{secrets.token_urlsafe(24)}" for _ in range(2))
    with new_folder() as folder:
        settings = Settings.load({"data_dir": folder, "engine": "scripted"}, environ={})
        async with opened_database(settings, open_database=databases.open) as database:
            await signing_key_of(database, os.urandom)
            now = partial(datetime.now, UTC)
            keys = KeyRing(AdminTransactions(database, os.urandom, now))
            await keys.first(SERVER, admin_key, KeyKind.ADMIN)
            await keys.first(SERVER, key, KeyKind.API)
        names = [path.name for path in folder.iterdir() if path.is_file() and path.name != _LOCK]
        return Template({name: (folder / name).read_bytes() for name in names}, key, admin_key)


@contextmanager
def new_folder() -> Iterator[Path]:
    """Make a folder for the data of one server, in memory, where that is possible; remove it.

    A process that is killed removes nothing. Its folders have no lock any more, by which the next
    process with a server knows them.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_memory()))
    try:
        with (folder / _LOCK).open("wb") as lock:
            _is_locked(lock)
            yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def remove_orphans() -> None:
    """Remove the folders of processes that were killed."""
    for lock in Path(_memory() or tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), lock.open("rb") as file:
            if _is_locked(file):
                rmtree(lock.parent, ignore_errors=True)


def _is_locked(file: IO[bytes]) -> bool:
    """Lock a file until it is closed, or return that another process has it."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _memory() -> Path | None:
    """Return a folder in memory; `None` stands for that of temporary files."""
    usable = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)
    return _MEMORY if usable and disk_usage(_MEMORY).free >= _ROOM else None


class _AtOnce:
    """Stands for the queue to the thread of a connection: does what is put at once."""

    def put_nowait(self, asked: tuple["asyncio.Future[Any] | None", Callable[[], object]]) -> None:
        future, function = asked
        try:
            result = function()
        except BaseException as error:
            if future is None:
                raise
            future.set_exception(error)
        else:
            if future is not None:
                future.set_result(result)


class _NoThread:
    """Stands for the thread of a connection, which has nothing to do."""

    daemon = True

    def start(self) -> None:
        """Do nothing."""

    def is_alive(self) -> bool:
        return False


class _Connection(aiosqlite.Connection):
    """A connection whose statements run in the thread that asks."""

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._tx: Any = _AtOnce()
        self._thread: Any = _NoThread()


def _connect(path: str, **options: Any) -> aiosqlite.Connection:
    """Return a connection as `aiosqlite.connect` does."""
    return _Connection(partial(sqlite3.connect, path, **options))
