"""What a database consists of, whichever it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.store.changes import ChangeSignal

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True, slots=True)
class Backend:
    """What differs between the databases. SQLite reads and writes on different connections."""

    readers: "AsyncEngine"
    writers: "AsyncEngine"
    watch: Callable[[], Awaitable[ChangeSignal]]
