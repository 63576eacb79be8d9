"""Removes what is kept for a limited time: roll-ups, the request log, old increase requests."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from antiphon.core.limits.increases import KEPT_FOR
from antiphon.logs import EventLog
from antiphon.service.background import background
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError
from antiphon.store.increases import forget_increase_requests
from antiphon.store.request_log import forget_refusals, forget_requests
from antiphon.store.rollups import forget_rollups

EVERY_S: Final = 600.0
# A start has other things to do first, and records are kept for days.
FIRST_AFTER_S: Final = 30.0
# Between two transactions that remove, so that others may write.
PAUSE_S: Final = 0.05


class RecordUpkeep:
    """Removes old records every ten minutes, in portions that delay no other transaction long.

    The request log is kept for `request_log_days`; with 0, what is left of it is removed.
    """

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        request_log_days: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._now = now
        self._request_log_for = timedelta(days=request_log_days)
        self._sleep = sleep
        self._log = EventLog(__name__)

    async def remove_old(self) -> None:
        """Remove all that is too old now. Raises `StoreError`."""
        more = True
        while more:
            async with self._database.write() as connection:
                more = await forget_rollups(connection, self._now())
                await forget_refusals(connection)
            if more:
                await self._sleep(PAUSE_S)
        more = True
        while more:
            async with self._database.write() as connection:
                more = await forget_requests(connection, self._now() - self._request_log_for)
            if more:
                await self._sleep(PAUSE_S)

        more = True
        while more:
            async with self._database.write() as connection:
                more = await forget_increase_requests(connection, self._now() - KEPT_FOR)
            if more:
                await self._sleep(PAUSE_S)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Remove now and then, until the end of the block."""
        async with background("antiphon-record-upkeep", self._keep_removing):
            yield

    async def _keep_removing(self) -> None:
        await self._sleep(FIRST_AFTER_S)
        while True:
            try:
                await self.remove_old()
            except StoreError as error:
                self._log.warning("records.not_removed", reason=str(error))
            await self._sleep(EVERY_S)
