"""The usage ledger: an entry is opened when a request is admitted, and closed whatever happens.

    open ─► prompt, produced … ─► close ─► the counters ─► the database ─► forgotten
    └───────────────── the journal remembers, also after `kill -9` ──────┘

What a request does here is storing into memory; nothing waits. Tasks bring what was closed to the
counters at once, and to the database some times a second, in batches and in order. While either
is away the journal keeps everything; the slot of a request is free again when both know it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import msgspec
import structlog
from anyio import to_thread

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of, recorded_name
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.ids import ID_ENTROPY, public_id
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError
from antiphon.store.journal import DeadJournal, Journal, Slot, dead_journals
from antiphon.store.ledger import add_entries

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# Told of each entry soon after it was closed, in order. It is told again after a crash, and so
# must take an entry once, by its id. A `StoreError` or an `OSError` means: later, once more.
Settle: TypeAlias = Callable[[Sequence[LedgerEntry]], Awaitable[None]]

# Done in the transaction that adds the entries, such as when a key was last used. After a crash
# the same entries may come again.
Alongside: TypeAlias = Callable[["AsyncConnection", Sequence[LedgerEntry]], Awaitable[None]]

FLUSH_EVERY_S = 0.2
# How much a power cut may take from the requests that run; those that are over are in the
# database by then.
SYNC_EVERY_S = 1.0
# Adding an entry keeps the event loop's thread busy for some microseconds.
MOST_AT_ONCE = 250
# Entries that are kept as they are until they are delivered. Beyond that, when the database is
# away, only the journal has them, and they are read from there.
MOST_KEPT = 1024
# What is away is tried again after this time, and then after longer and longer times.
RETRY_S = 0.1
LONGEST_RETRY_S = 5.0
# How long the end of the server waits for a database that is away.
PARTING_S = 5.0


async def settle_nothing(entries: Sequence[LedgerEntry]) -> None:
    """Nobody counts."""
    del entries


async def nothing_alongside(connection: "AsyncConnection", entries: Sequence[LedgerEntry]) -> None:
    """Nothing else is kept."""
    del connection, entries


class Entry:
    """The line of one request while it runs. What comes after `close` changes nothing."""

    __slots__ = ("_closed", "_first_token_at", "_now", "_opening", "_slot")

    def __init__(
        self,
        opening: Opening,
        slot: Slot,
        now: Callable[[], datetime],
        closed: Callable[[int, LedgerEntry], None],
    ) -> None:
        self._opening = opening
        self._slot: Slot | None = slot
        self._now = now
        self._closed = closed
        self._first_token_at: datetime | None = None

    def prompt(self, tokens: TokenCounts) -> None:
        """Say what the prompt costs; from now on it is due, so say it before the caller is told."""
        if self._slot is not None:
            self._slot.prompt(tokens)

    def produced(self, output: int, thinking: int = 0) -> None:
        """Say how many tokens there are by now, in all; before the caller is sent them."""
        if self._slot is not None:
            if self._first_token_at is None:
                self._first_token_at = self._now()
                self._slot.first_token(self._first_token_at)
            self._slot.produced(output, thinking)

    def close(
        self,
        outcome: Outcome,
        tokens: TokenCounts | None = None,
        *,
        stop_reason: str | None = None,
        error_type: str | None = None,
    ) -> LedgerEntry | None:
        """End the entry and return the bill, or nothing if it has ended before.

        Without `tokens` the request has used what was said of it until now.
        """
        if self._slot is None:
            return None
        ending = Closing(
            tokens=self._slot.tokens if tokens is None else tokens,
            outcome=outcome,
            ended_at=self._now(),
            first_token_at=self._first_token_at,
            stop_reason=stop_reason,
            error_type=error_type,
        )
        self._slot.close(ending)
        number, self._slot = self._slot.number, None
        entry = entry_of(self._opening, ending)
        self._closed(number, entry)
        return entry


class Ledger:
    """The ledger of this process. See `opened_ledger`."""

    def __init__(
        self,
        books: "Books",
        journal: Journal,
        now: Callable[[], datetime],
        flush_every_s: float,
    ) -> None:
        self._journal = journal
        self._now = now
        self._log = structlog.get_logger(__name__)
        self._kept: dict[int, LedgerEntry] = {}
        self._saving = Delivery("database", self._read, books.save, self._free, flush_every_s)
        self._settling = Delivery("counters", self._read, books.settle, self._saving.add, 0)
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, opening: Opening) -> Entry:
        """Write down a request that is admitted.

        Raises `JournalError` when the disk is full: what cannot be accounted for is not done.
        """
        if (name := recorded_name(opening.model)) != opening.model:
            opening = msgspec.structs.replace(opening, model=name)
        return Entry(opening, self._journal.open(opening), self._now, self._close)

    def _close(self, number: int, entry: LedgerEntry) -> None:
        if len(self._kept) < MOST_KEPT:
            self._kept[number] = entry
        self._settling.add(number)

    def _read(self, number: int) -> LedgerEntry:
        return self._kept.get(number) or self._journal.slot(number).entry()

    def _free(self, number: int) -> None:
        self._kept.pop(number, None)
        self._journal.free(number)

    async def flush(self) -> None:
        """Bring everything that is closed to the counters and the database, now.

        Raises `StoreError` or `OSError`; what could not be brought is tried again later.
        """
        await self._settling.deliver()
        await self._saving.deliver()

    def start(self) -> None:
        self._journal.tick(self._now())
        runs = (self._settling.run(), self._saving.run(), self._keep())
        self._tasks = [asyncio.create_task(run, name="antiphon-ledger") for run in runs]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say that a fault of the program keeps entries from being delivered: they wait."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._log.critical("ledger.stopped", fault=type(fault).__name__, exc_info=fault)

    async def aclose(self) -> None:
        """Flush and end; what the database does not take is left to the next start."""
        for task in self._tasks:
            task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.gather(*self._tasks, return_exceptions=True)
            try:
                with anyio.fail_after(PARTING_S):
                    await self.flush()
            except (StoreError, OSError) as error:
                self._log.warning("ledger.left_in_journal", reason=str(error))
            finally:
                self._journal.close()

    async def _keep(self) -> None:
        while True:
            await anyio.sleep(SYNC_EVERY_S)
            self._journal.tick(self._now())
            self._journal.let_go()
            if not self._journal.idle:
                try:
                    await to_thread.run_sync(self._journal.sync)
                except OSError as error:
                    self._log.error("ledger.journal_not_synced", reason=error.strerror)


class Delivery:
    """Brings closed slots to one place, in order and in batches, until that has worked."""

    def __init__(
        self,
        place: str,
        read: Callable[[int], LedgerEntry],
        take: Settle,
        then: Callable[[int], None],
        pause_s: float,
    ) -> None:
        self._place = place
        self._read = read
        self._take = take
        self._then = then
        self._pause_s = pause_s
        self._waiting: deque[int] = deque()
        self._news = asyncio.Event()
        self._delivering = asyncio.Lock()
        self._log = structlog.get_logger(__name__)

    def add(self, number: int) -> None:
        self._waiting.append(number)
        self._news.set()

    async def deliver(self) -> None:
        async with self._delivering:
            while self._waiting:
                numbers = list(islice(self._waiting, MOST_AT_ONCE))
                await self._take([self._read(number) for number in numbers])
                for number in numbers:
                    self._waiting.popleft()
                    self._then(number)

    async def run(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(self._pause_s)
            self._news.clear()
            retry_s = RETRY_S
            while not await self._delivered():
                await anyio.sleep(retry_s)
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)

    async def _delivered(self) -> bool:
        try:
            await self.deliver()
        except (StoreError, OSError) as error:
            self._log.warning(
                "ledger.waits", for_=self._place, entries=len(self._waiting), reason=str(error)
            )
            return False
        return True


@dataclass(frozen=True, slots=True)
class Books:
    """The two places that have to know of each entry."""

    database: Database
    settle: Settle = settle_nothing
    alongside: Alongside = nothing_alongside

    async def save(self, entries: Sequence[LedgerEntry]) -> None:
        async with self.database.write() as connection:
            await add_entries(connection, entries)
            await self.alongside(connection, entries)


@asynccontextmanager
async def opened_ledger(
    books: Books,
    folder: Path,
    *,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    flush_every_s: float = FLUSH_EVERY_S,
) -> AsyncGenerator[Ledger]:
    """Take over what processes that died have left in `folder`, and begin a journal there.

    Raises `StoreError`.
    """
    await _take_over(books, folder)
    name = public_id("", entropy(ID_ENTROPY))
    journal = await to_thread.run_sync(Journal.create, folder, name)
    ledger = Ledger(books, journal, now, flush_every_s)
    ledger.start()
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def _take_over(books: Books, folder: Path) -> None:
    with ExitStack() as stack:
        journals = await to_thread.run_sync(dead_journals, folder)
        for journal in journals:
            stack.enter_context(closing(journal))
        for journal in journals:
            await _bring_in(books, journal)


async def _bring_in(books: Books, journal: DeadJournal) -> None:
    log = structlog.get_logger(__name__)
    found = journal.entries()
    entries, damaged = 0, 0
    while batch := await to_thread.run_sync(_next_few, found):
        readable = [entry for entry in batch if entry is not None]
        await books.settle(readable)
        await books.save(readable)
        entries += len(readable)
        damaged += len(batch) - len(readable)
    if damaged:
        log.error("ledger.journal_damaged", path=str(journal.path), requests=damaged)
        journal.put_aside()
    else:
        journal.remove()
    if entries:
        log.warning("ledger.recovered", requests=entries)


def _next_few(found: Iterator[LedgerEntry | None]) -> list[LedgerEntry | None]:
    return list(islice(found, MOST_AT_ONCE))
