"""Logs a warning once a day for keys that expire soon."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import anyio

from antiphon.logs import EventLog
from antiphon.service.admin.keys import WARNING
from antiphon.service.background import background
from antiphon.store.accounts import keys_ending
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError

DAY = timedelta(days=1)
MOST_NAMED = 100


class ExpiryWatch:
    """Finds active keys that expire within a week, and logs a warning for each."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._log = EventLog(__name__)

    async def warn(self) -> None:
        """Log a line for each key that expires soon, but no more than `MOST_NAMED`.

        Raises `StoreError`.
        """
        now = self._now()
        async with self._database.read() as connection:
            keys = await keys_ending(connection, now, now + WARNING, MOST_NAMED + 1)
        for key in keys[:MOST_NAMED]:
            end = "" if key.expires_at is None else key.expires_at.isoformat(timespec="seconds")
            self._log.warning("key expires soon", key_id=key.id, expires_at=end)
        if len(keys) > MOST_NAMED:
            self._log.warning("more keys expire soon", named=MOST_NAMED)

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Warn now, and every day."""
        async with background("antiphon-key-expiry", self._keep_warning):
            yield

    async def _keep_warning(self) -> None:
        while True:
            try:
                await self.warn()
            except StoreError as error:
                self._log.warning("keys not looked at", reason=str(error))
            await anyio.sleep(DAY.total_seconds())
