"""The parts of a database that differ between SQLite and PostgreSQL."""

from collections.abc import Awaitable, Callable

import msgspec
from sqlalchemy import Engine

from antiphon.store.database.changes import ChangeSignal
from antiphon.store.database.connection import AsyncConnection, connect
from antiphon.store.database.disk import DatabaseDisk
from antiphon.store.database.instance_lock import InstanceLock, NoInstanceLock, OnLockChange


async def acquire_nothing(on_change: OnLockChange, exclusive: bool) -> InstanceLock:  # noqa: FBT001 - a word of the port
    """Lock nothing."""
    del on_change, exclusive
    return NoInstanceLock()


def never_lost() -> None:
    """Return `None`: a server that is away is noticed by its connections."""


async def leaves_nothing() -> None:
    """Wait for nothing: all is done when the pool is closed."""


class Backend(msgspec.Struct, frozen=True):
    """The engines to read and to write, and the functions to watch and to lock the database.

    SQLite reads and writes on different connections. `lost` returns why the opened database is no
    longer where it was, or `None`. `connect` takes a connection from a pool, or raises
    `StoreError`. `disk` is `None` where the server of the database looks after its disk. `closed`
    waits for what closed pools leave behind.
    """

    readers: Engine
    writers: Engine
    watch: Callable[[], Awaitable[ChangeSignal]]
    acquire: Callable[[OnLockChange, bool], Awaitable[InstanceLock]] = acquire_nothing
    lost: Callable[[], str | None] = never_lost
    connect: Callable[[Engine], Awaitable[AsyncConnection]] = connect
    disk: DatabaseDisk | None = None
    closed: Callable[[], Awaitable[None]] = leaves_nothing
