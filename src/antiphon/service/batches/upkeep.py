"""What becomes of batches with time, also where no worker runs: they expire, and are removed.

Each step is a transaction of at most a thousand rows, and other writers come between them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from antiphon.core.batches import RETENTION
from antiphon.logs import EventLog
from antiphon.service.batches.idle_use import KEPT_FOR
from antiphon.store.batches.claims import close_stopped
from antiphon.store.batches.create import drop_unready, forget_repeat_keys
from antiphon.store.batches.listing import archive, purge
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError
from antiphon.store.idle_use import forget_idle_use

EVERY_S: Final = 60.0
UNREADY_FOR: Final = timedelta(hours=1)
"""A body that has not arrived after this time is refused. What a process that was killed has left
of one is dropped sooner: when nobody holds it."""
REPEATED_WITHIN: Final = timedelta(hours=24)
"""So long a repeated create returns the batch that it made."""


class BatchUpkeep:
    """Does what is due, once a minute."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        drop_left: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`drop_left` drops the batches of this process that could not be dropped before."""
        self._drop_left = drop_left
        self._database = database
        self._now = now
        self._sleep = sleep
        self._log = EventLog(__name__)

    async def run(self) -> None:
        """Do what is due again and again; after an error it is tried again a minute later."""
        while True:
            await self._sleep(EVERY_S)
            try:
                await self.once()
            except StoreError as error:
                self._log.warning("batches.upkeep_waits", reason=str(error))
            except Exception as error:  # noqa: BLE001 - batches would never expire again
                self._log.error("batches.upkeep_failed", exc_info=error)

    async def once(self) -> None:
        """Do all that is due now. Raises `StoreError`."""
        now = self._now()
        if self._drop_left is not None:
            await self._drop_left()
        async with self._database.write() as connection:
            await drop_unready(connection, now - UNREADY_FOR, now)
        async with self._database.write() as connection:
            await forget_repeat_keys(connection, now - REPEATED_WITHIN)
            await forget_idle_use(connection, now - KEPT_FOR)
        await self._until_done(lambda connection: close_stopped(connection, now))
        await self._until_done(lambda connection: archive(connection, now - RETENTION, now))
        await self._until_done(purge)

    async def _until_done(self, step: Callable[[AsyncConnection], Awaitable[int]]) -> None:
        while True:
            async with self._database.write() as connection:
                if not await step(connection):
                    return
