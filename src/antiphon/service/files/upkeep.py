"""Removes the contents of files that are deleted, have expired, or never arrived."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from antiphon.logs import EventLog
from antiphon.service.background import background
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError
from antiphon.store.files import purge

EVERY_S: Final = 60.0
# Between two transactions that remove, so that others may write.
PAUSE_S: Final = 0.01


class FileUpkeep:
    """Removes what is due once a minute, in portions that delay no other transaction long."""

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
        """Remove all that is due now. Raises `StoreError`."""
        now = self._now()
        while True:
            async with self._database.write() as connection:
                if not await purge(connection, now):
                    return
            await self._sleep(PAUSE_S)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Remove now and then, until the end of the block."""
        async with background("antiphon-file-upkeep", self._keep_removing):
            yield

    async def _keep_removing(self) -> None:
        while True:
            # First of all: a start has other things to do.
            await self._sleep(EVERY_S)
            try:
                await self.remove_old()
            except StoreError as error:
                self._log.warning("files.not_removed", reason=str(error))
