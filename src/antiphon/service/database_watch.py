"""Logs when the database is no longer where it was, and when it is there again."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio

from antiphon.logs import EventLog
from antiphon.service.background import background

LOOK_EVERY_S = 1.0


class DatabaseWatch:
    """Looks each second at `lost`, the reason of `Database.lost`, and logs every change of it.

    Requests are refused without it; its lines are for an operator whose server gets none.
    """

    def __init__(
        self,
        lost: Callable[[], str | None],
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._lost = lost
        self._sleep = sleep
        self._log = EventLog(__name__)

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Watch until the end of the block."""
        return background("antiphon-database-watch", self._keep_looking)

    async def _keep_looking(self) -> None:
        known: str | None = None
        while True:
            await self._sleep(LOOK_EVERY_S)
            if (reason := self._lost()) == known:
                continue
            known = reason
            if reason is not None:
                self._log.critical("database lost", reason=reason)
            else:
                self._log.warning("database is there again")
