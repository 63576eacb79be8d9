"""What a database consists of, whichever it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.store.changes import ChangeSignal
from antiphon.store.tenancy import FreeTenancy, Tenancy, Told

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


async def move_in_freely(told: Told, alone: bool) -> Tenancy:  # noqa: FBT001 - a word of the port
    """Ask nobody."""
    del told, alone
    return FreeTenancy()


@dataclass(frozen=True, slots=True)
class Backend:
    """What differs between the databases. SQLite reads and writes on different connections."""

    readers: "AsyncEngine"
    writers: "AsyncEngine"
    watch: Callable[[], Awaitable[ChangeSignal]]
    move_in: Callable[[Told, bool], Awaitable[Tenancy]] = move_in_freely
