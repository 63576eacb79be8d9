"""The request log: each finished request becomes a row, in the background and in groups.

    add ──► waiting, bounded ──► one transaction a second ──► the table, for `request_log_days`

No request waits for it. What does not fit into memory while the database is slow or away is
dropped, counted and logged; the ledger drops nothing. Counts of refused requests are kept
apart, in memory that does not grow with their number, so they are told also of requests that were
dropped.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

import anyio

from antiphon.core.billing.rollups import MINUTE, begin_of
from antiphon.core.request_records import RequestRecord
from antiphon.logs import EventLog
from antiphon.service.background import background
from antiphon.store.database.database import Database, in_time
from antiphon.store.database.errors import StoreError
from antiphon.store.request_log import Refusal, add_refusals, add_requests

FLUSH_EVERY_S: Final = 1.0
RETRY_S: Final = 5.0
# The time after which a database that has not taken a group is taken for silent.
SAVE_S: Final = 60.0
# The time that a stopping server waits for a database that is away.
PARTING_S: Final = 5.0
# One transaction for what a second of the busiest server leaves: each has pages to write anew.
MOST_AT_ONCE: Final = 2500
MOST_WAITING: Final = 20_000
# Callers without a key may send any number of requests, and rows stay for weeks.
MOST_WITHOUT_KEY: Final = 20
# Kinds of refusals: a key, a model and an error each. Others are not counted until the next write.
MOST_REFUSALS: Final = 10_000


class RequestLog:
    """Takes the records of finished requests. With `days` of 0 it keeps the counts alone."""

    def __init__(
        self,
        database: Database,
        days: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._days = days
        self._sleep = sleep
        self._waiting: deque[RequestRecord] = deque()
        self._without_key = 0
        self._refused: Counter[Refusal] = Counter()
        self._dropped = self._dropped_before = 0
        self._added = asyncio.Event()
        self._writing = asyncio.Lock()
        self._log = EventLog(__name__)

    @property
    def dropped(self) -> int:
        """How many requests have no row, since the last that was logged."""
        return self._dropped

    @property
    def dropped_ever(self) -> int:
        """How many requests have no row, since the start."""
        return self._dropped_before + self._dropped

    @property
    def pending(self) -> int:
        """How many requests wait to be written."""
        return len(self._waiting)

    def add(self, record: RequestRecord) -> None:
        """Add a finished request; returns at once."""
        if not record.admitted and self._leaves_out(record):
            return
        if not self._days:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(record)
        self._added.set()

    def _leaves_out(self, record: RequestRecord) -> bool:
        """Count a request that was refused; return whether it is one of too many without a key."""
        if record.error_type is not None:
            self._count(record, record.error_type)
        if not self._days or not record.of_nobody:
            return False
        self._without_key += 1
        if self._without_key <= MOST_WITHOUT_KEY:
            return False
        self._dropped += 1
        return True

    def _count(self, record: RequestRecord, error_type: str) -> None:
        minute = begin_of(record.ended_at, MINUTE)
        kind = Refusal(minute, record.workspace_id, record.api_key_id, record.model, error_type)
        if kind in self._refused or len(self._refused) < MOST_REFUSALS:
            self._refused[kind] += 1
        self._added.set()

    async def flush(self) -> None:
        """Write all that was added so far. Raises `StoreError`; then it is tried again later.

        What is added meanwhile waits for the next time: under load there would be no end, and
        groups as small as what comes during a transaction.
        """
        async with self._writing:
            self._without_key = 0
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._dropped_before += dropped
                self._log.warning("requests.not_recorded", requests=dropped)
            left = len(self._waiting)
            if self._refused and not left:
                await self._write([])
            while left:
                group = list(islice(self._waiting, min(left, MOST_AT_ONCE)))
                await self._write(group)
                left -= len(group)

    async def _write(self, records: list[RequestRecord]) -> None:
        refused, self._refused = self._refused, Counter()
        try:
            async with in_time(SAVE_S), self._database.write() as connection:
                await add_requests(connection, records)
                await add_refusals(connection, refused)
        except BaseException:
            # After a commit of unknown outcome they count twice; their rows do not.
            self._refused += refused
            raise
        for _ in records:
            self._waiting.popleft()

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        """Write once a second while there is something, and at the end of the block."""
        try:
            async with background("antiphon-request-log", self._keep_writing):
                yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._part()

    async def _part(self) -> None:
        try:
            with anyio.fail_after(PARTING_S):
                await self.flush()
        except (StoreError, TimeoutError) as error:
            left = len(self._waiting)
            self._log.warning("requests.not_recorded", requests=left, reason=str(error))

    async def _keep_writing(self) -> None:
        while True:
            await self._added.wait()
            await self._sleep(FLUSH_EVERY_S)
            self._added.clear()
            try:
                await self.flush()
            except StoreError as error:
                self._log.warning("requests.wait", requests=len(self._waiting), reason=str(error))
                await self._sleep(RETRY_S)
                self._added.set()
