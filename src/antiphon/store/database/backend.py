"""What a database consists of, whichever it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.store.database.changes import ChangeSignal
from antiphon.store.database.instance_lock import InstanceLock, NoInstanceLock, OnLockChange

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


async def acquire_nothing(told: OnLockChange, alone: bool) -> InstanceLock:  # noqa: FBT001 - a word of the port
    """Ask nobody."""
    del told, alone
    return NoInstanceLock()


@dataclass(frozen=True, slots=True)
class Backend:
    """What differs between the databases. SQLite reads and writes on different connections."""

    readers: "AsyncEngine"
    writers: "AsyncEngine"
    watch: Callable[[], Awaitable[ChangeSignal]]
    move_in: Callable[[OnLockChange, bool], Awaitable[InstanceLock]] = acquire_nothing
