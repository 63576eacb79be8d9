"""The usage ledger: a slot of the journal for each running request, and the delivery of bills.

    open ─► prompt, produced … ─► close ─► the counters ─► the database ─► free
    └───────────── the journal remembers, also after `kill -9` ────────┘

A request only stores into memory, without waiting. Tasks deliver closed entries to the counters at
once, and to the database some times a second, many at once and in order. While either is away the
journal keeps the entries; a slot is free again when both have its entry. A slot that cannot be read
stops no other: it is kept in a file, and its request is settled as free, so that its hold ends.

The entries of Message Batches have no slots: they are committed with the results of their requests,
and come here only to be settled.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path

import anyio
import msgspec
from anyio import to_thread

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.ids import ID_ENTROPY, public_id
from antiphon.logs import EventLog
from antiphon.service.background import cancelled_once, ended
from antiphon.service.charged_keys import ChargedKeys
from antiphon.service.delivery import MOST_AT_ONCE, Delivery, Pace, TakeEntries
from antiphon.store.accounts import note_use_before_charge
from antiphon.store.database.database import Database, in_time
from antiphon.store.database.errors import StoreError
from antiphon.store.journal import (
    CreateJournal,
    DeadJournal,
    Journal,
    JournalError,
    JournalSlot,
    damaged_files,
    dead_journals,
)
from antiphon.store.ledger import add_entries

FLUSH_EVERY_S = 0.2
# The records of running requests that a power cut may destroy; closed ones are delivered sooner.
SYNC_EVERY_S = 1.0
# Entries of one transaction: each has pages of indexes to write anew, and a sync to wait for.
MOST_SAVED_AT_ONCE = 1000
# Entries that stay in memory until they are delivered. Further ones, while the database is away,
# are read from the journal.
MOST_KEPT = 2048
# The time after which a database that has not taken a batch is taken for silent.
SAVE_S = 60.0
# The time that a stopping server waits for a database that is away.
PARTING_S = 5.0


class Receivers(msgspec.Struct, frozen=True):
    """The receivers of every closed entry: first the counters, then the database."""

    settle: TakeEntries
    save: TakeEntries


class Behind(msgspec.Struct, frozen=True):
    """What a receiver has not taken yet: how many entries, and the age of the oldest one."""

    receiver: str
    entries: int
    lag_s: float


class Ledger:
    """The ledger of this process. See `open_ledger`."""

    def __init__(
        self,
        journal: Journal,
        receivers: Receivers,
        now: Callable[[], datetime],
        flush_every_s: float,
    ) -> None:
        self.now = now
        self._journal = journal
        self._log = EventLog(__name__)
        self._kept: dict[int, LedgerEntry] = {}
        # The ids of closed requests whose holds have not ended yet.
        self._unsettled: dict[int, str] = {}
        self._damaged: set[Path] = set()
        self._stopped: str | None = None
        saved_at = Pace(flush_every_s, MOST_SAVED_AT_ONCE)
        self._saving = Delivery("database", self._read, receivers.save, self._saved, saved_at)
        self._settling = Delivery(
            "counters", self._read_or_free, receivers.settle, self._settled, Pace(0)
        )
        self._committed: dict[int, tuple[LedgerEntry, asyncio.Future[None] | None]] = {}
        self._committed_ever = 0
        self._settling_committed = Delivery(
            "counters",
            lambda number: self._committed[number][0],
            receivers.settle,
            self._taken,
            Pace(0),
        )
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, opening: Opening) -> JournalSlot:
        """Record an admitted request.

        Raises `JournalError` when the disk is full, and after a defect has stopped the deliveries:
        a request without a record is refused.
        """
        if self._stopped is not None:
            raise JournalError(self._stopped)
        return self._journal.open(opening)

    @property
    def refused(self) -> str | None:
        """The reason why no request can be recorded now; `None` if one can."""
        return self._stopped or self._journal.refused

    @property
    def damaged(self) -> list[Path]:
        """The files with damaged requests, which are not billed, until the operator moves them."""
        return sorted(path for path in self._damaged if path.exists())

    def behind(self) -> tuple[Behind, ...]:
        """Return how far counters and database are behind. Reads memory, and of the journal one."""
        return (
            self._behind("counters", self._settling, self._settling_committed),
            # The database gets what the counters have taken.
            self._behind("database", self._settling, self._saving),
        )

    def _behind(self, receiver: str, *deliveries: Delivery) -> Behind:
        oldest = [entry for one in deliveries if (entry := one.oldest()) is not None]
        now = self.now()
        lag_s = max((now - entry.ended_at).total_seconds() for entry in oldest) if oldest else 0.0
        # Clocks go back sometimes.
        return Behind(receiver, sum(one.waiting for one in deliveries), max(0.0, lag_s))

    def report_damaged(self, paths: Iterable[Path]) -> None:
        """Tell of files with damaged requests from now on."""
        self._damaged.update(paths)
        for path in self.damaged:
            self._log.warning("ledger.damaged_file_waits", path=str(path))

    def close(self, slot: JournalSlot, opening: Opening, ending: Closing) -> LedgerEntry:
        """Record the end of a request, and return its bill. The slot must not be used any more."""
        slot.close(ending)
        entry = entry_of(opening, ending)
        if len(self._kept) < MOST_KEPT:
            self._kept[slot.number] = entry
        self._unsettled[slot.number] = entry.id
        self._settling.add(slot.number)
        return entry

    def settle_committed(self, entries: Sequence[LedgerEntry]) -> "asyncio.Future[None]":
        """Have the counters settle entries that the database has, and return when they have.

        Each entry counts once, by its id, so the same entries may come again after a crash. The
        future is cancelled if the ledger ends before.
        """
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not entries:
            settled.set_result(None)
        for entry in entries:
            # They are taken in order, so the last one ends the wait.
            self._settle_later(entry, settled if entry is entries[-1] else None)
        return settled

    def release(self, request_id: str) -> None:
        """End the holds of a request of a batch whose entry is not in the database; it is free.

        Its id has then counted: after a commit of unknown outcome, leave the holds to their lease.
        """
        self._settle_later(_free_entry(request_id, self.now()), None)

    def _settle_later(self, entry: LedgerEntry, settled: "asyncio.Future[None] | None") -> None:
        self._committed_ever += 1
        self._committed[self._committed_ever] = (entry, settled)
        self._settling_committed.add(self._committed_ever)

    def _taken(self, number: int, _: LedgerEntry | None) -> None:
        _, settled = self._committed.pop(number)
        if settled is not None and not settled.done():
            settled.set_result(None)

    def _read(self, number: int) -> LedgerEntry | None:
        """Return the entry of a closed slot; `None` if the slot is damaged."""
        if (kept := self._kept.get(number)) is not None:
            return kept
        try:
            return self._journal.slot(number).entry()
        except ValueError:
            return None

    def _read_or_free(self, number: int) -> LedgerEntry:
        """Return the entry of a closed slot; of a damaged one an entry that costs nothing."""
        return self._read(number) or _free_entry(self._unsettled[number], self.now())

    def _settled(self, number: int, _: LedgerEntry | None) -> None:
        del self._unsettled[number]
        self._saving.add(number)

    def _saved(self, number: int, entry: LedgerEntry | None) -> None:
        if entry is None:
            self._set_aside(number)
            return
        self._kept.pop(number, None)
        self._journal.free(number)

    def _set_aside(self, number: int) -> None:
        """Keep a damaged slot in a file of its own, so that it is told until it was examined."""
        try:
            path = self._journal.set_aside(number)
        except OSError as error:
            # The slot stays used, so the next start puts the whole journal aside.
            path = self._journal.path
            self._log.error("ledger.slot_not_set_aside", reason=error.strerror)
        self._damaged.add(path)
        self._log.error("ledger.slot_damaged", path=str(path), slot=number)

    async def flush(self) -> None:
        """Deliver all closed entries to the counters and to the database, now.

        Raises `StoreError` or `OSError`; a failed delivery is repeated later.
        """
        await self._settling.deliver()
        await self._settling_committed.deliver()
        await self._saving.deliver()

    def start(self) -> None:
        """Start the tasks that deliver entries and sync the journal."""
        self._journal.tick(self.now())
        deliveries = (self._settling, self._settling_committed, self._saving)
        runs = (*(one.run() for one in deliveries), self._keep())
        self._tasks = [asyncio.create_task(run, name="antiphon-ledger") for run in runs]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Log a defect that has stopped a delivery; its entries stay in the journal."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._stopped = "The ledger has stopped after a defect: restart the server"
            self._log.critical("ledger.stopped", fault=type(fault).__name__, exc_info=fault)

    async def aclose(self) -> None:
        """Flush and end; the next start delivers the entries that the database did not take."""
        # A task of its own: a server that stops cancels the caller, perhaps more than once.
        parting = asyncio.create_task(self._part())
        await ended(parting)
        parting.result()

    async def _part(self) -> None:
        await cancelled_once(*self._tasks)
        try:
            with anyio.fail_after(PARTING_S):
                await self.flush()
        except (StoreError, OSError) as error:
            self._log.warning("ledger.left_in_journal", reason=str(error))
        finally:
            self._journal.close()
            for _, settled in self._committed.values():
                if settled is not None:
                    settled.cancel()

    async def _keep(self) -> None:
        while True:
            await anyio.sleep(SYNC_EVERY_S)
            self._journal.tick(self.now())
            self._journal.let_go()
            if self._journal.refused is not None:
                # No request may come to find out, while `/ready` says that none is admitted.
                with suppress(JournalError):
                    self._journal.make_room()
            if not self._journal.idle:
                try:
                    await to_thread.run_sync(self._journal.sync)
                except OSError as error:
                    self._log.error("ledger.journal_not_synced", reason=error.strerror)


def _free_entry(request_id: str, now: datetime) -> LedgerEntry:
    """Return an entry without tokens, which ends the hold of a request and charges nothing."""
    opening = Opening(id=request_id, started_at=now, model="", served_model="")
    return entry_of(
        opening, Closing(tokens=TokenCounts(), outcome=Outcome.INTERRUPTED, ended_at=now)
    )


def saving_to(database: Database, limit_s: float = SAVE_S) -> TakeEntries:
    """Return the receiver that adds entries to a database, and notes their keys as used.

    The balances of what is used look at keys that were.
    """
    keys = ChargedKeys()

    async def save(entries: Sequence[LedgerEntry]) -> None:
        uses = keys.uses(entries)
        async with in_time(limit_s), database.write() as connection:
            await note_use_before_charge(connection, uses)
            await add_entries(connection, entries)
        keys.noted(uses)

    return save


@asynccontextmanager
async def open_ledger(  # noqa: PLR0913 - the last two are rarely given
    folder: Path,
    receivers: Receivers,
    *,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    flush_every_s: float = FLUSH_EVERY_S,
    create_journal: CreateJournal = Journal.create,
) -> AsyncGenerator[Ledger]:
    """Create a journal in `folder`, and deliver its closed entries.

    Raises `StoreError`.
    """
    name = public_id("", entropy(ID_ENTROPY))
    # In one thread, one after the other: each way to a thread delays the start.
    journal, damaged = await to_thread.run_sync(
        lambda: (create_journal(folder, name), damaged_files(folder))
    )
    ledger = Ledger(journal, receivers, now, flush_every_s)
    ledger.report_damaged(damaged)
    ledger.start()
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def take_over(folder: Path, receivers: Receivers) -> None:
    """Deliver the entries of dead processes in `folder`; open ones count as interrupted.

    Raises `StoreError`; the journals are then left to the next start.
    """
    with ExitStack() as stack:
        journals = await to_thread.run_sync(dead_journals, folder)
        for journal in journals:
            stack.enter_context(closing(journal))
        for journal in journals:
            await _bring_in(journal, receivers)


async def _bring_in(journal: DeadJournal, receivers: Receivers) -> None:
    log = EventLog(__name__)
    found = journal.entries()
    entries, damaged = 0, 0
    while batch := await to_thread.run_sync(_next_few, found):
        readable = [entry for entry in batch if entry is not None]
        await receivers.settle(readable)
        await receivers.save(readable)
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
