"""Random histories of batches and their workers, beside a naive model of what should be stored."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from antiphon.store.batches.claims import clear_waits_for, close_stopped, give_back
from antiphon.store.batches.create import NewRequest
from antiphon.store.batches.listing import archive, cancel_batch, delete_batch, purge
from antiphon.store.batches.rows import BEHIND, SECTION, RowState, count_finished
from antiphon.store.batches.sections import ClaimedRequest, rank_of
from antiphon.store.batches.workers import (
    LEASE,
    MOST_TRIES,
    TRIES_IN_COMPANY,
    LeaseLostError,
    Worker,
    leave,
    renew,
)
from antiphon.store.database.batch_tables import message_batches
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database, open_database, sqlite_url
from antiphon.store.database.migrations import migrate
from support.batches import (
    DAY,
    a_batch,
    a_worker,
    add_batch,
    add_worker,
    all_results,
    charged,
    end_lease,
    finish,
    settle,
    stored_batch,
    stored_rows,
    take,
)
from support.examples import examples
from support.ledger import NOON

PICKS = st.integers(0, 99)
SPANS = st.sampled_from([timedelta(hours=6), DAY, 29 * DAY])
# What workers do, by how often they do it.
FREQUENCIES = {
    "claim": 8,
    "commit": 4,
    "settle": 2,
    "crash": 3,
    "lapse": 1,
    "begin_worker": 3,
    "give_back": 2,
    "heartbeat": 1,
    "leave": 1,
}
SEEDS = st.integers(0, 2**32)
OPEN = (RowState.PENDING, RowState.CLAIMED)


@dataclass
class Row:
    """What the model knows of a request."""

    rank: int
    state: RowState = RowState.PENDING
    worker: str | None = None
    tries: int = 0
    entry_id: str | None = None


@dataclass
class Known:
    """What the model knows of a batch."""

    id: str
    workspace: str | None
    created_at: datetime
    rows: dict[int, Row]
    requests: int
    cancelled: bool = False
    waits: bool = False
    deleted: bool = False
    archived: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    def end_of(self, now: datetime) -> RowState | None:
        if self.cancelled:
            return RowState.CANCELED
        return RowState.EXPIRED if now >= self.created_at + DAY else None

    def pending(self) -> list[int]:
        found = [(row.rank, n) for n, row in self.rows.items() if row.state == RowState.PENDING]
        return [number for _, number in sorted(found)]

    @property
    def ended(self) -> bool:
        return sum(self.counts.values()) == self.requests


class BatchesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.database = self.runner.run(self._open())
        self.now = NOON
        self.batches: dict[str, Known] = {}
        self.leases: dict[str, datetime] = {}
        self.owned: dict[str, list[ClaimedRequest]] = {}
        self.charges: set[str] = set()
        self.before: dict[str, Counter[str]] = {}
        self.made = 0

    async def _open(self) -> Database:
        database = await open_database(sqlite_url(Path(self.folder.name) / "antiphon.db"))
        await migrate(database)
        return database

    def teardown(self) -> None:
        self.runner.run(self.database.aclose())
        self.runner.close()
        self.folder.cleanup()

    # -- what happens

    @rule(
        workspace=st.sampled_from([None, "wrkspc_a", "wrkspc_b"]),
        prefixes=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    )
    def create(self, workspace: str | None, prefixes: list[int]) -> None:
        self.made += 1
        batch_id = f"msgbatch_{self.made:03}"
        # One prefix in three is for another model.
        ranks = [rank_of(prefix // 2, prefixes.index(prefix)) for prefix in prefixes]
        requests = [NewRequest(n, f"c{n}", rank, b"{}") for n, rank in enumerate(ranks)]
        batch = a_batch(batch_id, self.now, workspace_id=workspace)
        self.runner.run(add_batch(self.database, batch, requests))
        rows = {number: Row(rank) for number, rank in enumerate(ranks)}
        self.batches[batch_id] = Known(batch_id, workspace, self.now, rows, len(rows))

    def begin_worker(self, pick: int = 0, most: int = 0) -> None:
        del pick, most
        self.made += 1
        name = f"worker_{self.made}"
        self.runner.run(add_worker(self.database, name, self.now))
        self.leases[name] = self.now + LEASE
        self.owned[name] = []

    @initialize(seed=SEEDS)
    def begin(self, seed: int) -> None:
        """Begin with work, so that most histories have some."""
        self.create(None, [0, 1, 0])
        self.create("wrkspc_a", [0, 0])
        self.begin_worker()
        self.begin_worker()
        self.work(seed)

    @rule(seed=SEEDS)
    def work(self, seed: int) -> None:
        """Let workers do something. Drawn one by one, most histories would have few claims."""
        chance = Random(seed)  # noqa: S311 - no secret
        for name in chance.choices(list(FREQUENCIES), list(FREQUENCIES.values()), k=12):
            getattr(self, name)(chance.randrange(100), chance.randint(1, 6))

    @rule(span=SPANS)
    def wait(self, span: timedelta) -> None:
        self.now += span

    def lapse(self, pick: int, most: int) -> None:
        """Let a part of a lease pass."""
        del pick
        self.now += most * LEASE / 8

    def crash(self, pick: int, most: int) -> None:
        """Let the lease of one worker end, with whatever it owns."""
        del most
        worker = self._worker(pick)
        self.runner.run(end_lease(self.database, worker))
        if worker.id in self.leases:
            self.leases[worker.id] = NOON - DAY

    def heartbeat(self, pick: int, most: int) -> None:
        del most
        self._as_owner(pick, renew)

    def claim(self, pick: int, most: int) -> None:
        worker, turn = self._worker(pick), pick % 3
        if not self._leased(worker):
            with pytest.raises(LeaseLostError):
                self.runner.run(take(self.database, worker, most, turn=turn))
            return
        self.leases[worker.id] = self.now + LEASE
        unsettled = self._reap(worker.id)
        self._close(most)
        before = {one.id: one.pending() for one in self._running()}
        found = self.runner.run(take(self.database, worker, most, turn=turn))
        assert {row[:2] for row in found.unsettled} == unsettled
        for request in found.requests:
            row = self.batches[request.batch_id].rows[request.number]
            assert request.number in before[request.batch_id]
            assert request.tries == row.tries
            row.state, row.worker = RowState.CLAIMED, worker.id
        self.owned[worker.id] += found.requests
        self._check_claim(found.requests, before, most)

    def commit(self, pick: int, most: int) -> None:
        worker, succeeded = self._worker(pick), pick % 5 > 0
        requests = self.owned[worker.id][:most]
        committing = finish(self.database, worker, requests, succeeded=succeeded)
        if not self._leased(worker):
            with pytest.raises(LeaseLostError):
                self.runner.run(committing)
            return
        self.runner.run(committing)
        self.leases[worker.id] = self.now + LEASE
        del self.owned[worker.id][:most]
        for request in requests:
            row = self.batches[request.batch_id].rows[request.number]
            row.state = RowState.SUCCEEDED if succeeded else RowState.ERRORED
            if succeeded:
                row.entry_id = f"req_{request.batch_id}_{request.number}_{request.tries}"
                assert row.entry_id not in self.charges
                self.charges.add(row.entry_id)
            else:
                row.worker = None
            self.batches[request.batch_id].counts[row.state.name.lower()] += 1

    def settle(self, pick: int, most: int) -> None:
        """Mark the first finished requests of a worker, also of one whose lease has ended."""
        worker = self._worker(pick)
        mine = [
            (known.id, number)
            for known in self.batches.values()
            for number, row in known.rows.items()
            if row.worker == worker.id and row.state not in OPEN
        ][:most]
        self.runner.run(settle(self.database, worker, mine))
        for batch_id, number in mine:
            self.batches[batch_id].rows[number].worker = None

    def give_back(self, pick: int, most: int) -> None:
        worker = self._worker(pick)
        requests = self.owned[worker.id][:most]
        given = self._as_owner(
            pick,
            lambda connection, worker: give_back(connection, worker, requests),
        )
        if given:
            del self.owned[worker.id][:most]
            for request in requests:
                self._free(request.batch_id, request.number)

    def leave(self, pick: int, most: int) -> None:
        """End a lease, which may be over; what nobody has taken over waits again."""
        del most
        worker = self._worker(pick)
        self._write(lambda connection: leave(connection, worker))
        if worker.id in self.leases:
            self.leases[worker.id] = NOON - DAY
        for known in self.batches.values():
            for number, row in known.rows.items():
                if row.worker == worker.id and row.state == RowState.CLAIMED:
                    self._free(known.id, number)
        self.owned[worker.id] = []

    @precondition(lambda self: self.batches)
    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        known = self._batch(pick)
        self._write(
            lambda connection: cancel_batch(connection, known.workspace, known.id, self.now)
        )
        if not known.ended and not known.cancelled:
            known.cancelled, known.waits = True, False

    @rule()
    def close(self) -> None:
        self._write(lambda connection: close_stopped(connection, self.now))
        self._close(1000)

    @precondition(lambda self: self.batches)
    @rule(pick=PICKS, waits=st.booleans())
    def wait_for(self, pick: int, waits: bool) -> None:
        known = self._batch(pick)
        if not waits:
            self._write(clear_waits_for)
            for one in self.batches.values():
                one.waits = False
        elif not known.ended:
            resting = {known.id: "a limit"}
            self._write(lambda connection: count_finished(connection, {}, self.now, resting))
            known.waits = True

    @precondition(lambda self: self.batches)
    @rule(pick=PICKS)
    def delete(self, pick: int) -> None:
        known = self._batch(pick)
        deleted = self._write(
            lambda connection: delete_batch(connection, known.workspace, known.id, self.now)
        )
        assert deleted == (known.ended and not known.deleted)
        known.deleted = known.ended

    @rule()
    def sweep(self) -> None:
        while self._write(purge):
            pass
        while self._write(
            lambda connection: archive(connection, self.now - 29 * DAY, self.now, portion=4)
        ):
            pass
        for known in list(self.batches.values()):
            old = known.created_at < self.now - 29 * DAY
            if known.deleted and not known.archived:
                known.rows = {n: row for n, row in known.rows.items() if row.worker}
                if not known.rows:
                    del self.batches[known.id]
            elif known.ended and old:
                known.rows, known.archived = {}, True

    # -- what holds after each step

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        columns = ("batch_id", "number", "rank", "state", "worker", "tries", "entry_id")
        found = self.runner.run(stored_rows(self.database, *columns))
        assert found == [
            (known.id, number, row.rank, row.state, row.worker, row.tries, row.entry_id)
            for known in self.batches.values()
            for number, row in known.rows.items()
        ]

    @invariant()
    def counts_sum_up_and_only_grow(self) -> None:
        assert self.runner.run(self._stored_ids()) == list(self.batches)
        for known in self.batches.values():
            batch = self.runner.run(stored_batch(self.database, known.id))
            counts = {name: getattr(batch, name) for name in ("succeeded", "errored")}
            counts |= {"canceled": batch.canceled, "expired": batch.expired}
            assert +Counter(counts) == known.counts
            assert Counter(counts) >= self.before.get(known.id, Counter())
            self.before[known.id] = Counter(counts)
            assert batch.processing + sum(counts.values()) == batch.requests == known.requests
            assert (batch.ended_at is not None) == known.ended == (batch.processing == 0)
            assert (batch.archived_at is not None) == known.archived

    @invariant()
    def successes_are_charged_once(self) -> None:
        assert self.runner.run(charged(self.database)) == sorted(self.charges)
        kept = [row for one in self.batches.values() for row in one.rows.values()]
        for row in kept:
            assert (row.entry_id is not None) == (row.state == RowState.SUCCEEDED)

    @invariant()
    def ended_batches_have_each_result_once(self) -> None:
        for known in self.batches.values():
            if known.ended and not known.deleted and not known.archived:
                results = self.runner.run(all_results(self.database, known.id))
                assert [result.number for result in results] == list(known.rows)

    # -- the model

    def _worker(self, pick: int) -> Worker:
        """Pick a worker, mostly one whose lease runs."""
        names = list(self.owned)
        leased = [name for name in names if self.leases.get(name, self.now) > self.now]
        chosen = leased if leased and pick % 4 else names
        return a_worker(chosen[pick % len(chosen)], self.now)

    def _batch(self, pick: int) -> Known:
        return list(self.batches.values())[pick % len(self.batches)]

    def _leased(self, worker: Worker) -> bool:
        return self.leases.get(worker.id, NOON - DAY) > self.now

    def _write(self, change: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        async def write() -> Any:
            async with self.database.write() as connection:
                return await change(connection)

        return self.runner.run(write())

    def _as_owner(
        self, pick: int, change: Callable[[AsyncConnection, Worker], Awaitable[Any]]
    ) -> bool:
        """Do what needs a lease; return whether the worker had one."""
        worker = self._worker(pick)
        if self._leased(worker):
            self._write(lambda connection: change(connection, worker))
            self.leases[worker.id] = self.now + LEASE
            return True
        with pytest.raises(LeaseLostError):
            self._write(lambda connection: change(connection, worker))
        return False

    async def _stored_ids(self) -> list[str]:
        async with self.database.read() as connection:
            ids = select(message_batches.c.id).order_by(message_batches.c.id)
            return list(await connection.scalars(ids))

    def _running(self) -> list[Known]:
        return [
            known
            for known in self.batches.values()
            if known.pending() and not known.waits and known.end_of(self.now) is None
        ]

    def _free(self, batch_id: str, number: int, *, tried: bool = False) -> None:
        known = self.batches[batch_id]
        row = known.rows[number]
        if tried and row.tries >= TRIES_IN_COMPANY:
            row.rank += BEHIND
        row.tries += tried
        row.worker, row.state = None, RowState.PENDING
        if row.tries >= MOST_TRIES:
            row.state = RowState.ERRORED
            known.counts["errored"] += 1

    def _reap(self, me: str) -> set[tuple[str, int]]:
        dead = {name for name, until in self.leases.items() if until <= self.now}
        handed = set()
        rows = [row for known in self.batches.values() for row in known.rows.values()]
        had = Counter(row.worker for row in rows if row.state == RowState.CLAIMED)
        for known in self.batches.values():
            for number, row in known.rows.items():
                if row.worker in dead and row.state == RowState.CLAIMED:
                    tried = row.tries < TRIES_IN_COMPANY or had[row.worker] == 1
                    self._free(known.id, number, tried=tried)
                elif row.worker in dead:
                    row.worker = me
                    handed.add((known.id, number))
        for name in dead:
            del self.leases[name]
        return handed

    def _close(self, most: int) -> None:
        """Close what is stopped: of each workspace the oldest batches."""
        seen: Counter[str | None] = Counter()
        for known in self.batches.values():
            state = known.end_of(self.now)
            if state is None or not known.pending() or seen[known.workspace] >= most:
                continue
            seen[known.workspace] += 1
            for number in known.pending():
                known.rows[number].state = state
                known.counts[state.name.lower()] += 1

    def _check_claim(
        self, claimed: tuple[ClaimedRequest, ...], before: dict[str, list[int]], most: int
    ) -> None:
        """Check that a claim has all that it may, in order, in equal shares."""
        assert len(claimed) == min(most, sum(map(len, before.values())))
        got: Counter[str | None] = Counter()
        waiting: set[str | None] = set()
        for batch_id, numbers in before.items():
            mine = [request.number for request in claimed if request.batch_id == batch_id]
            workspace = self.batches[batch_id].workspace
            rows = self.batches[batch_id].rows
            for section in {rows[number].rank // SECTION for number in numbers}:
                of_section = [n for n in numbers if rows[n].rank // SECTION == section]
                got_of_it = [n for n in mine if rows[n].rank // SECTION == section]
                assert got_of_it == of_section[: len(got_of_it)]
            # Nothing of a batch before an older one of its workspace.
            assert not mine or workspace not in waiting
            got[workspace] += len(mine)
            if len(mine) < len(numbers):
                waiting.add(workspace)
        for workspace in waiting:
            assert max(got.values()) <= got[workspace] + 1


TestBatches = BatchesMachine.TestCase
TestBatches.settings = settings(max_examples=examples(0.2), stateful_step_count=15)
