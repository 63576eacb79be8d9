"""The record of what batches used of the engines' time: written each minute, read by reports."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import anyio

from antiphon.core.idle_use import IdleUse
from antiphon.logs import EventLog
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.background import background
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError
from antiphon.store.idle_use import LaneHour, add_idle_uses, idle_uses

EVERY_S: Final = 60.0
KEPT_FOR: Final = timedelta(days=90)

LaneDimension: TypeAlias = Literal["day", "model"]
# The values of a line's dimensions, in their order.
LaneGroup: TypeAlias = tuple[str, ...]


class IdleUseRecord:
    """Adds what this process measures to the database, away from every request.

    `take` returns what was used of each lane since the last call. An hour has what was measured in
    it, to the minute. A process that is killed loses at most a minute of work; one that has none
    writes once an hour.
    """

    def __init__(
        self,
        take: Callable[[], Mapping[str, IdleUse]],
        database: Database,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._take = take
        self._database = database
        self._now = now
        self._sleep = sleep
        # At most one for each lane and hour, also while the database is away.
        self._unwritten: dict[LaneHour, IdleUse] = {}
        self._log = EventLog(__name__)

    async def write(self) -> None:
        """Write what was used since the last write, if it is due. Raises `StoreError`."""
        hour = _hour_of(self._now())
        self._add({LaneHour(hour, lane): use for lane, use in self._take().items()})
        if not any(use.has_work or at.hour < hour for at, use in self._unwritten.items()):
            return
        uses, self._unwritten = self._unwritten, {}
        try:
            async with self._database.write() as connection:
                await add_idle_uses(connection, uses)
        except StoreError:
            self._add(uses)
            raise

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        """Write once a minute, and at the end of the block."""
        try:
            async with background("antiphon-idle-use", self._keep_writing):
                yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._try_to_write()

    async def _keep_writing(self) -> None:
        while True:
            await self._sleep(EVERY_S)
            await self._try_to_write()

    async def _try_to_write(self) -> None:
        try:
            await self.write()
        except StoreError as error:
            self._log.warning("batches.idle_use_not_written", reason=str(error))

    def _add(self, uses: Mapping[LaneHour, IdleUse]) -> None:
        for at, use in uses.items():
            self._unwritten[at] = self._unwritten.get(at, IdleUse()) + use


class IdleUseSummary:
    """Adds up what all processes have recorded."""

    def __init__(self, transactions: AdminTransactions) -> None:
        self._transactions = transactions

    async def lines(
        self, span: tuple[datetime, datetime], by: Sequence[LaneDimension]
    ) -> dict[LaneGroup, IdleUse]:
        """Add up a time span for each combination of the dimensions, in their order.

        It begins with the whole hour of its start. A lane is named as in the database. There are
        at most 2,161 rows for each lane, as they are kept for 90 days.
        """
        async with self._transactions.read() as connection:
            rows = await idle_uses(connection, _hour_of(span[0]), span[1])
        sums: dict[LaneGroup, IdleUse] = {}
        for at, use in rows.items():
            values = {"day": at.hour.date().isoformat(), "model": at.lane}
            group = tuple(values[name] for name in by)
            sums[group] = sums.get(group, IdleUse()) + use
        return dict(sorted(sums.items()))


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
