"""The work of a worker under one lease: it claims requests, runs them, has their results committed.

    claim ──► run ──► committed ──► settled      a run that yields, or fails, is begun again here
                └─► given back: a spend limit, a model that is away, a shutdown

A request during which a process ends counts a try, and so does all else that the process had in
hand. After two tries it is suspected, and is run alone: so what becomes errored ends processes, or
was alone at the ends of six.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

import anyio

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.ids import ID_ENTROPY, public_id
from antiphon.core.request_records import RunNote
from antiphon.logs import EventLog
from antiphon.service.accounts import Accounts
from antiphon.service.batches.endings import EXHAUSTED, run_to_ending
from antiphon.service.batches.group_commit import Ending, GroupCommit
from antiphon.service.batches.hand import Hand
from antiphon.service.batches.in_hand import InHand
from antiphon.service.batches.run_watch import RunWatch
from antiphon.service.batches.runs import BatchRunner
from antiphon.service.batches.slow_batches import SlowBatches
from antiphon.service.ledger import Ledger
from antiphon.store.batches.claims import (
    Claim,
    claim,
    clear_waits_for,
    others_wait,
)
from antiphon.store.batches.listing import stopped_batches
from antiphon.store.batches.rows import Batch
from antiphon.store.batches.sections import ClaimedRequest
from antiphon.store.batches.workers import (
    TRIES_IN_COMPANY,
    NotOwnerError,
    Worker,
    has_work,
    leave,
    register,
    renew,
)
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database, in_time
from antiphon.store.database.errors import StoreError
from antiphon.store.directory import Directory
from antiphon.store.ledger import find_entries

LOOK_EVERY_S: Final = 2.0
"""How often a worker without work looks for some that another process has created."""
IDLE_S: Final = 10.0
"""After this time without work a worker gives up its lease."""
HEARTBEAT_S: Final = 5.0
RESTS_S: Final = 30.0
"""After this time batches that wait for money, or for a model, are tried again."""
PATIENCE_S: Final = 5.0
"""After so long with less than half of the hand done, sections that have none in it get room."""
PARTING_S: Final = 5.0
"""The time that a stopping worker waits for a database that is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker works with. The workers of a process share one, and with it their `hand`.

    `counters_are_shared` is false for a server that counts limits in its memory, and so is alone.
    `record` gets each entry that is committed, and the note of its run, `trace` each ending of a
    request whose batch has spans.
    """

    database: Database
    accounts: Accounts
    runner: BatchRunner
    ledger: Ledger
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    counters_are_shared: bool
    record: Callable[[LedgerEntry, RunNote], None] = lambda *_: None
    trace: Callable[[Ending], None] = lambda _: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    commits: type[GroupCommit] = GroupCommit
    hand: Hand = field(default_factory=Hand)
    patience_s: float = PATIENCE_S
    parting_s: float = PARTING_S


class Tenure:
    """The work of one worker under one lease."""

    def __init__(
        self, parts: WorkerParts, work: asyncio.Event, before: tuple["Tenure", ...] = ()
    ) -> None:
        """Begin after the tenures `before`, which have left an end or results in doubt."""
        self._parts = parts
        self._work = work
        self._before = before
        self._begun = False
        self._id = public_id("batchworker_01", parts.entropy(ID_ENTROPY))
        self._hand = parts.hand
        self._in_hand = InHand(self._id, parts.hand)
        self._turn = 0
        self._rested = False
        self._slow = SlowBatches(parts.database)
        self._directory: Directory | None = None
        self._commits = parts.commits(
            parts.database,
            parts.ledger,
            self.worker,
            self._done,
            counters_are_shared=parts.counters_are_shared,
            record=parts.record,
            trace=parts.trace,
        )
        self._log = EventLog(__name__)

    def worker(self) -> Worker:
        """Return this worker at this moment."""
        return Worker(id=self._id, now=self._parts.now(), exhausted=EXHAUSTED)

    @property
    def left(self) -> tuple["Tenure", ...]:
        """The tenures that the next one has to close: this one, unless it has closed itself."""
        return (*self._before, self) if self._begun else self._before

    async def run(self) -> None:
        """Work until there is no more; if cancelled, give back what is not finished.

        Commits what is finished, in both cases. Raises a group of `StoreError`, or one alone.
        """
        while self._before:
            # Each alone: whoever takes over from several locks them in another order.
            one, *others = self._before
            async with self._parts.database.write() as connection:
                stored = await one.close(connection)
            one.clear_doubts(stored)
            self._before = tuple(others)
        async with self._parts.database.write() as connection:
            await register(connection, self.worker())
        self._begun = True
        try:
            async with asyncio.TaskGroup() as group:
                endless = [
                    group.create_task(self._commits.run()),
                    group.create_task(self._keep()),
                ]
                await self._claim(group)
                for task in endless:
                    task.cancel()
            await self._leave()
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self._leave()
            raise
        finally:
            self._in_hand.drop()

    def stop(self, batch_id: str) -> None:
        """End the running requests of a batch; they go back as they were."""
        self._in_hand.stop(batch_id)

    async def close(self, connection: AsyncConnection) -> Sequence[LedgerEntry]:
        """End the lease, and return the entries in doubt that are stored. No other one can follow.

        Requests that nobody has taken over wait again, without a try: this process lives.
        """
        await leave(connection, self.worker())
        ids = [entry.id for entry in self._commits.doubtful]
        return await find_entries(connection, ids) if ids else ()

    def clear_doubts(self, stored: Sequence[LedgerEntry]) -> None:
        """Settle the results that were stored, and release the holds of the others."""
        known = {entry.id for entry in stored}
        self._parts.ledger.settle_committed(stored)
        for entry in self._commits.doubtful:
            if entry.id not in known:
                self._parts.ledger.release(entry.id)

    async def _leave(self) -> None:
        try:
            async with in_time(self._parts.parting_s):
                try:
                    await self._commits.flush()
                except StoreError as error:
                    # A commit that was cancelled has an unknown end.
                    self._log.warning("batches.worker_left_results", reason=str(error))
                async with self._parts.database.write() as connection:
                    stored = await self.close(connection)
                await self._slow.tell()
            self.clear_doubts(stored)
            self._begun = False
        except StoreError as error:
            # The lease ends by itself, and so do the holds.
            self._log.warning("batches.worker_left_without_goodbye", reason=str(error))

    async def _claim(self, group: asyncio.TaskGroup) -> None:
        """Claim and run requests, until there are none for `IDLE_S`."""
        idle_s = 0.0
        while idle_s < IDLE_S or await self._may_find_more():
            self._work.clear()
            began = self._parts.now()
            claimed = await self._claimed()
            await self._commits.take_over(claimed.unsettled)
            if not claimed.requests and not self._in_hand.pass_over_none():
                await woken(self._work, LOOK_EVERY_S)
                idle_s += LOOK_EVERY_S
                continue
            idle_s = 0.0
            for request in self._without_suspects(claimed.requests):
                finishing = self._finish(request, claimed.batches[request.batch_id])
                task = group.create_task(finishing)
                task.add_done_callback(partial(self._cancelled, request))
                self._in_hand.start(request, task)
            made_room = await self._half_done()
            if claimed.requests and not any(map(_is_suspected, claimed.requests)):
                # Work that can run may be far behind work that cannot: look twice as far.
                seconds = (self._parts.now() - began).total_seconds()
                self._hand.adapt(0.0 if made_room else seconds)

    async def _half_done(self) -> bool:
        """Wait until half of the hand is done, or leave its room to sections that have none in it.

        Without such sections all stays in hand, and begins as soon as its model has room. Returns
        whether room was made.
        """
        made_room = False
        while not await self._hand.half_done(self._parts.patience_s):
            # A database that is away for a moment costs nothing that is in hand.
            with suppress(StoreError):
                async with self._parts.database.read() as connection:
                    mine = self._in_hand.sections
                    others = await others_wait(connection, self._parts.now(), mine)
                if others:
                    made_room = True
                    self._in_hand.make_room()
        return made_room

    def _without_suspects(self, requests: Sequence[ClaimedRequest]) -> list[ClaimedRequest]:
        """Return what is to run now; a suspected request only if nothing else is in hand.

        Others are given back, and the next claim takes one request.
        """
        suspects = [request for request in requests if _is_suspected(request)]
        if suspects:
            self._hand.take_one_by_one()
        if not suspects or self._hand.count == 1:
            return list(requests)
        for request in suspects:
            self._commits.add(Ending(request))
        return [request for request in requests if not _is_suspected(request)]

    async def _claimed(self) -> Claim:
        directory = await self._parts.accounts.current()
        if directory is not self._directory:
            # A limit may have been raised.
            self._directory, self._rested = directory, True
        if self._rested:
            self._rested = False
            self._in_hand.try_again()
            # Not in the transaction of the claim, which locks batches as well.
            async with self._parts.database.write() as connection:
                await clear_waits_for(connection)
        async with self._hand.claiming:
            async with self._parts.database.write() as connection:
                claimed = await claim(
                    connection,
                    self.worker(),
                    self._hand.room,
                    turn=self._turn,
                    passed_over=self._in_hand.passed_over,
                )
            self._in_hand.take(claimed.requests)
        self._turn += 1
        return claimed

    async def _may_find_more(self) -> bool:
        if self._hand.count or not self._commits.idle:
            return True
        async with self._parts.database.read() as connection:
            return await has_work(connection, self._parts.now())

    async def _keep(self) -> None:
        """Renew the lease, and stop the requests of batches that were cancelled or have expired."""
        rested_s = 0.0
        while True:
            await self._parts.sleep(HEARTBEAT_S)
            for batch_id in await self._renewed():
                self.stop(batch_id)
            await self._slow.tell()
            rested_s += HEARTBEAT_S
            if rested_s >= RESTS_S:
                rested_s, self._rested = 0.0, True
                self._work.set()

    async def _renewed(self) -> frozenset[str]:
        """Renew the lease; return the batches that are to stop.

        A database that is away for a moment costs no running request: the lease goes on until it
        ends. Raises `LeaseLostError`.
        """
        running = self._in_hand.running
        try:
            async with self._parts.database.write() as connection:
                await renew(connection, self.worker())
                return await stopped_batches(connection, running, self._parts.now())
        except NotOwnerError:
            raise
        except StoreError as error:
            self._log.warning("batches.lease_not_renewed", reason=str(error))
            return frozenset()

    async def _finish(self, request: ClaimedRequest, batch: Batch) -> None:
        """Run a request until it has an ending."""

        def begun() -> None:
            self._slow.goes_on(request)
            self._in_hand.begin(request)

        try:
            ending = await run_to_ending(
                self._parts.runner,
                request,
                batch,
                self._parts.sleep,
                RunWatch(
                    queued=partial(self._slow.queued, request),
                    begun=begun,
                    held_up=partial(self._slow.waits, request),
                ),
            )
        finally:
            self._slow.ended(request)
        self._commits.add(ending, alone=self._hand.count == 1)

    def _cancelled(self, request: ClaimedRequest, task: "asyncio.Task[None]") -> None:
        """Give back a request whose task was cancelled, also before its first step.

        Of a stopped batch: the next claim closes it. Else the tenure ends, and all is left.
        """
        if task.cancelled():
            self._commits.add(Ending(request))

    def _done(self, endings: Sequence[Ending]) -> None:
        """Note that requests have left this worker's hands."""
        self._in_hand.give([ending.request for ending in endings])
        for ending in endings:
            if ending.waits_for is not None and ending.waits_for_model:
                self._in_hand.rest(ending.request.section)


def _is_suspected(request: ClaimedRequest) -> bool:
    return request.tries >= TRIES_IN_COMPANY


async def woken(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
