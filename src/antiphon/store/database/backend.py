"""The parts of a database that differ between SQLite and PostgreSQL."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from antiphon.store.database.changes import ChangeSignal
from antiphon.store.database.instance_lock import InstanceLock, NoInstanceLock, OnLockChange


async def acquire_nothing(on_change: OnLockChange, exclusive: bool) -> InstanceLock:  # noqa: FBT001 - a word of the port
    """Lock nothing."""
    del on_change, exclusive
    return NoInstanceLock()


@dataclass(frozen=True, slots=True)
class Backend:
    """The engines to read and to write, and the functions to watch and to lock the database.

    SQLite reads and writes on different connections.
    """

    readers: Engine
    writers: Engine
    watch: Callable[[], Awaitable[ChangeSignal]]
    acquire: Callable[[OnLockChange, bool], Awaitable[InstanceLock]] = acquire_nothing
