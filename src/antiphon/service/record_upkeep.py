"""Removes what is kept for a limited time: roll-ups of minutes and of hours."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from antiphon.logs import EventLog
from antiphon.service.background import background
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError
from antiphon.store.rollups import forget_rollups

EVERY_S: Final = 600.0
# Between two transactions that remove, so that others may write.
PAUSE_S: Final = 0.05


class RecordUpkeep:
    """Removes old records every ten minutes, in portions that delay no other transaction long."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._now = now
        self._sleep = sleep
        self._log = EventLog(__name__)

    async def remove_old(self) -> None:
        """Remove all that is too old now. Raises `StoreError`."""
        more = True
        while more:
            async with self._database.write() as connection:
                more = await forget_rollups(connection, self._now())
            if more:
                await self._sleep(PAUSE_S)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Remove now and then, until the end of the block."""
        async with background("antiphon-record-upkeep", self._keep_removing):
            yield

    async def _keep_removing(self) -> None:
        while True:
            try:
                await self.remove_old()
            except StoreError as error:
                self._log.warning("records.not_removed", reason=str(error))
            await self._sleep(EVERY_S)
