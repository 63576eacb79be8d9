"""Commits the ends of requests in groups: results, bills and counts in one transaction.

    add ──► commit: results + ledger entries + counts ──► settle in the counters ──► mark settled
                                                          (idempotent by the entry's id)

A request is finished when its group is committed, and settled some moments later. A crash between
the two leaves a row that names its worker: whoever reaps that worker settles it once more in shared
counters, which know each entry for an hour. Counters in memory are told of each entry once: they
began with all that the processes before had committed, and this process settles what it commits
itself, whatever becomes of the lease meanwhile.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.request_records import NO_NOTE, RunNote
from antiphon.logs import EventLog
from antiphon.service.ledger import Ledger
from antiphon.store.batches.claims import give_back
from antiphon.store.batches.commits import FinishedRequest, commit, mark_settled
from antiphon.store.batches.rows import RowKey, SectionKey
from antiphon.store.batches.sections import ClaimedRequest, all_that_wait
from antiphon.store.batches.workers import Unsettled, Worker
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.ledger import find_entries

GROUP_S: Final = 0.5
"""How long a finished request may wait for others, so that they are committed together."""
MOST_AT_ONCE: Final = 250


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of a claimed request: it has a result, or it waits again.

    Without `finished` it is given back; `waits_for` says why its batch rests. If it is
    `waits_for_model`, only what the batch has for that model rests. `note` is for the request log,
    `traceparent`, which is that of the batch, for the span of the request.
    """

    request: ClaimedRequest
    finished: FinishedRequest | None = None
    waits_for: str | None = None
    waits_for_model: bool = False
    note: RunNote = NO_NOTE
    traceparent: str | None = None


class GroupCommit:
    """The endings of one worker's requests, committed by `run`."""

    def __init__(  # noqa: PLR0913 - the last one is for the request log
        self,
        database: Database,
        ledger: Ledger,
        worker: Callable[[], Worker],
        done: Callable[[Sequence[Ending]], None],
        *,
        counters_are_shared: bool,
        record: Callable[[LedgerEntry, RunNote], None] = lambda *_: None,
        trace: Callable[[Ending], None] = lambda _: None,
    ) -> None:
        """`done` gets the endings of requests that the worker no longer owns.

        `record` gets each entry that is committed and the note of its run, for the request log;
        `trace` gets each ending with a result, if its batch has spans.
        """
        self._database = database
        self._ledger = ledger
        self._worker = worker
        self._done = done
        self._record = record
        self._trace = trace
        self._counters_are_shared = counters_are_shared
        self._endings: list[Ending] = []
        self._settled: list[RowKey] = []
        self._settling: set[asyncio.Task[None]] = set()
        self._any = asyncio.Event()
        self._full = asyncio.Event()
        self._committing = asyncio.Lock()
        self._log = EventLog(__name__)

    def add(self, ending: Ending, *, alone: bool = False) -> None:
        """Commit an ending soon; at once if its request is `alone`, as no others will follow."""
        self._endings.append(ending)
        self._any.set()
        if alone or len(self._endings) >= MOST_AT_ONCE:
            self._full.set()

    @property
    def idle(self) -> bool:
        """Whether everything that was added is committed, and settled."""
        return not (self._endings or self._settled or self._settling)

    @property
    def doubtful(self) -> list[LedgerEntry]:
        """The entries of which it is not known that they are stored. After an error some may be."""
        ends = [ending.finished for ending in self._endings if ending.finished is not None]
        return [finished.entry for finished in ends if finished.entry is not None]

    async def take_over(self, unsettled: Sequence[Unsettled]) -> None:
        """Have the entries settled that a dead worker has committed, unless they are already."""
        if not unsettled:
            return
        keys = {one.entry_id: RowKey(one.batch_id, one.number) for one in unsettled}
        if not self._counters_are_shared:
            self._settled += keys.values()
            self._any.set()
            return
        async with self._database.read() as connection:
            entries = await find_entries(connection, list(keys))
        self._settle_soon(keys, entries)

    def _settle_soon(self, keys: Mapping[str, RowKey], entries: Sequence[LedgerEntry]) -> None:
        task = asyncio.create_task(self._settle(keys, entries), name="antiphon-batch-settlement")
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def run(self) -> None:
        """Commit what is added. Raises `StoreError`: then the worker must not go on."""
        while True:
            await self._any.wait()
            with_others = asyncio.create_task(self._full.wait())
            try:
                await asyncio.wait([with_others], timeout=GROUP_S)
            finally:
                with_others.cancel()
            await self.flush()

    async def flush(self) -> None:
        """Commit all that was added so far, in groups. Raises `StoreError`.

        What is added meanwhile waits for the next time: under load there would be no end, and
        groups as small as what comes during a commit.
        """
        async with self._committing:
            # Cleared before, so that what comes meanwhile is noticed.
            self._any.clear()
            self._full.clear()
            endings, settled = len(self._endings), len(self._settled)
            while endings or settled:
                ended = self._endings[: min(endings, MOST_AT_ONCE)]
                marked = self._settled[: min(settled, MOST_AT_ONCE)]
                await self._commit(ended, marked)
                endings -= len(ended)
                settled -= len(marked)

    async def _commit(self, endings: Sequence[Ending], settled: Sequence[RowKey]) -> None:
        finished = [ending.finished for ending in endings if ending.finished is not None]
        await self._store(endings, finished, settled)
        del self._endings[: len(endings)], self._settled[: len(settled)]
        billed = [(one, one.entry) for one in finished if one.entry is not None]
        if billed:
            keys = {entry.id: RowKey(one.batch_id, one.number) for one, entry in billed}
            self._settle_soon(keys, [entry for _, entry in billed])
        for ending in endings:
            if ending.finished is not None and ending.finished.entry is not None:
                self._record(ending.finished.entry, ending.note)
            if ending.finished is not None and ending.traceparent is not None:
                self._trace(ending)
        self._done(endings)

    async def _store(
        self,
        endings: Sequence[Ending],
        finished: Sequence[FinishedRequest],
        settled: Sequence[RowKey],
    ) -> None:
        async with self._database.write() as connection:
            back = [ending.request for ending in endings if ending.finished is None]
            if back:
                await give_back(connection, self._worker(), back)
            resting = await _resting(connection, endings)
            await mark_settled(connection, self._worker(), settled)
            # Last, because it changes roll-ups, which all others that write entries change too.
            await commit(connection, self._worker(), finished, resting)

    async def _settle(self, keys: Mapping[str, RowKey], entries: Sequence[LedgerEntry]) -> None:
        await self._ledger.settle_committed(entries)
        self._settled += [keys[entry.id] for entry in entries]
        self._any.set()


async def _resting(connection: AsyncConnection, endings: Sequence[Ending]) -> dict[str, str]:
    """Return why batches rest, by id: all of what waits of them has to wait."""
    resting: dict[str, str] = {}
    of_models: dict[SectionKey, str] = {}
    for one in endings:
        if one.waits_for is not None and one.waits_for_model:
            of_models[one.request.section] = one.waits_for
        elif one.waits_for is not None:
            resting[one.request.batch_id] = one.waits_for
    for section in await all_that_wait(connection, of_models):
        resting.setdefault(section.batch_id, of_models[section])
    return resting
