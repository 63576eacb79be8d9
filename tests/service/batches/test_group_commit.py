"""What is committed is settled in the counters, and only then marked as settled."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.service.batches import group_commit
from antiphon.service.batches.group_commit import Ending, GroupCommit
from antiphon.service.ledger import Ledger
from antiphon.store.database.database import Database
from support.batches import a_batch, add_batch, add_worker, finished, stored_rows, take

pytestmark = pytest.mark.anyio


class Counters:
    """Stands where the ledger has the counters settle entries: they answer when told to."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answers: list[asyncio.Future[None]] = []

    def settle_committed(self, entries: Sequence[LedgerEntry]) -> asyncio.Future[None]:
        self.asked.append([entry.id for entry in entries])
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


@asynccontextmanager
async def running(commits: GroupCommit) -> AsyncGenerator[None]:
    task = asyncio.create_task(commits.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def owners(database: Database) -> list[Any]:
    return [owner for (owner,) in await stored_rows(database, "worker")]


async def test_request_is_marked_as_settled_once_the_counters_have_its_entry(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "GROUP_S", 0)
    worker = await add_worker(database)
    await add_batch(database, a_batch(), 3)
    first, second, failed = (await take(database, worker)).requests
    counters, done = Counters(), asyncio.Queue[Sequence[Ending]]()
    commits = GroupCommit(
        database,
        cast("Ledger", counters),
        lambda: worker,
        done.put_nowait,
        counters_are_shared=False,
    )
    async with running(commits), asyncio.timeout(20):
        commits.add(Ending(first, finished(first)))
        await done.get()
        assert counters.asked == [[f"req_msgbatch_1_{first.number}_{first.tries}"]]
        # Another group is committed meanwhile, in which nothing has an entry.
        commits.add(Ending(failed, finished(failed, succeeded=False)))
        await done.get()
        assert await owners(database) == [worker.id, worker.id, None]
        assert not commits.idle
        counters.answers[0].set_result(None)
        # Nothing else ends: the settlement itself brings the next transaction.
        assert await done.get() == []
        assert commits.idle
        assert await owners(database) == [None, worker.id, None]
        commits.add(Ending(second, finished(second)))
        await done.get()
        # Its task asks in the next turn.
        await asyncio.sleep(0)
        assert len(counters.asked) == 2
        counters.answers[1].set_result(None)
        assert await done.get() == []
    assert await owners(database) == [None, None, None]


async def test_what_ends_during_a_commit_is_committed_with_the_next_group(
    database: Database,
) -> None:
    worker = await add_worker(database)
    await add_batch(database, a_batch(), 3)
    first, *others = (await take(database, worker)).requests
    groups: list[int] = []

    def done(group: Sequence[Ending]) -> None:
        groups.append(len(group))
        if others:
            commits.add(Ending(others.pop()))

    commits = GroupCommit(
        database, cast("Ledger", Counters()), lambda: worker, done, counters_are_shared=False
    )
    commits.add(Ending(first))
    await commits.flush()
    assert groups == [1]
    assert not commits.idle
    await commits.flush()
    assert groups == [1, 1]


async def test_what_ends_alone_during_a_commit_waits_for_no_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody waits so long: only the ending that is alone brings its group.
    monkeypatch.setattr(group_commit, "GROUP_S", 1000)
    worker = await add_worker(database)
    await add_batch(database, a_batch(), 2)
    first, last = (await take(database, worker)).requests
    groups = asyncio.Queue[int]()

    def done(group: Sequence[Ending]) -> None:
        groups.put_nowait(len(group))
        if group[0].request is first:
            commits.add(Ending(last), alone=True)

    commits = GroupCommit(
        database, cast("Ledger", Counters()), lambda: worker, done, counters_are_shared=False
    )
    async with running(commits), asyncio.timeout(20):
        commits.add(Ending(first), alone=True)
        assert [await groups.get(), await groups.get()] == [1, 1]
