"""The desks at which pages of administrators are read: few at once, others wait."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from anyio import CapacityLimiter

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database

# A report keeps a connection and a core busy, for seconds in a large organization. The bound leaves
# both to other readers of the database, as authentication.
MOST_AT_ONCE: Final = 2


class Desks:
    """Opens the database for reports, activity and the request log: `MOST_AT_ONCE` in all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._limiter = CapacityLimiter(MOST_AT_ONCE)

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Wait for a desk, and read one state of the database. Raises `StoreError`."""
        async with self._limiter, self._database.read() as connection:
            yield connection
