"""When keys were used last: kept in memory, and written now and then."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import anyio
import structlog

from antiphon.service.beside import beside
from antiphon.store.accounts import note_use
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError

WRITE_EVERY_S = 10.0


class KeyUses:
    """Notes uses of keys. What was not written is written the next time."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._uses: dict[str, datetime] = {}
        self._log = structlog.get_logger(__name__)

    def note(self, key_id: str) -> None:
        """Keep that a key is used now."""
        self._uses[key_id] = self._now()

    async def write(self) -> None:
        """Write what was noted since the last time. Raises `StoreError`."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            async with self._database.write() as connection:
                await note_use(connection, uses)
        except StoreError:
            self._uses = {**uses, **self._uses}
            raise

    async def _keep_writing(self) -> None:
        while True:
            await anyio.sleep(WRITE_EVERY_S)
            await self._try_to_write()

    async def _try_to_write(self) -> None:
        try:
            await self.write()
        except StoreError as error:
            self._log.warning("uses of keys not written", reason=str(error))

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        """Write now and then, and at the end."""
        try:
            async with beside("antiphon-key-uses", self._keep_writing):
                yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._try_to_write()
