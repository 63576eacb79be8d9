"""What makes spans of batches and of their requests is told, once for each."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from antiphon.logs import EventLog
from antiphon.service.batches.group_commit import Ending
from antiphon.store.batches.rows import Batch
from antiphon.store.batches.traced import has_traced, take_traced
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError

LOOK_EVERY_S: Final = 5.0
"""How often a process looks for batches that have ended: whichever process ended them."""


class BatchTraces(Protocol):
    """Makes spans. It raises nothing, and waits for nothing."""

    def request_ended(self, ending: Ending) -> None:
        """Make the span of a request whose result is committed."""
        ...

    def batch_ended(self, batch: Batch) -> None:
        """Make the span of a batch that has ended. It has the `traceparent` of its create."""
        ...


class BatchTracing:
    """Tells of each ended batch, to one process of all on the database."""

    def __init__(
        self,
        database: Database,
        traces: BatchTraces,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._traces = traces
        self._sleep = sleep
        self._log = EventLog(__name__)

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            await self._sleep(LOOK_EVERY_S)
            try:
                await self.once()
            except StoreError as error:
                self._log.warning("spans of batches wait", reason=str(error))

    async def once(self) -> None:
        """Tell of all that have ended. Raises `StoreError`. Without any, nothing is written."""
        async with self._database.read() as connection:
            found = await has_traced(connection)
        while found:
            async with self._database.write() as connection:
                batches = await take_traced(connection)
            for batch in batches:
                self._traces.batch_ended(batch)
            found = bool(batches)
