"""Faults that are planted into the commits of Message Batches."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace
from sqlalchemy import update

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.service.batches.group_commit import Ending, GroupCommit
from antiphon.store.batches.commits import FinishedRequest
from antiphon.store.batches.rows import RowKey, count_finished
from antiphon.store.batches.workers import MOST_TRIES, Unsettled
from antiphon.store.database.batch_tables import batch_requests
from antiphon.store.ledger import add_entries


def _entries(finished: Sequence[FinishedRequest]) -> list[LedgerEntry]:
    return [one.entry for one in finished if one.entry is not None]


class TwoTransactions(GroupCommit):
    """Results are committed first, and what they cost is committed after them."""

    async def _store(
        self,
        endings: Sequence[Ending],
        finished: Sequence[FinishedRequest],
        settled: Sequence[RowKey],
    ) -> None:
        free = [one._replace(entry=None) for one in finished]
        await super()._store(endings, free, settled)
        async with self._database.write() as connection:
            await add_entries(connection, _entries(finished))


class OwnerlessCommits(GroupCommit):
    """A worker commits what it has, whether or not it still owns it."""

    async def _store(
        self,
        endings: Sequence[Ending],
        finished: Sequence[FinishedRequest],
        settled: Sequence[RowKey],
    ) -> None:
        columns = batch_requests.c
        async with self._database.write() as connection:
            await add_entries(connection, _entries(finished))
            for one in finished:
                row = (columns.batch_id == one.batch_id) & (columns.number == one.number)
                result = {"state": int(one.state), "result": one.result, "params": None}
                await connection.execute(
                    update(batch_requests).where(row).values(**result, worker=None)
                )
                counted = {one.batch_id: Counter({one.state.name.lower(): 1})}
                await count_finished(connection, counted, self._worker().now)
        await super()._store(endings, [], settled)


class TwiceSettled(GroupCommit):
    """Each entry is settled once more, under another id."""

    async def _settle(self, keys: Mapping[str, RowKey], entries: Sequence[LedgerEntry]) -> None:
        again = [replace(entry, id=f"{entry.id} again") for entry in entries]
        self._ledger.settle_committed(again)
        await super()._settle(keys, entries)


class DeafToTheDead(GroupCommit):
    """What a dead worker has committed stays as it has left it."""

    async def take_over(self, unsettled: Sequence[Unsettled]) -> None:
        """Do nothing."""


class ToldAgain(GroupCommit):
    """What a dead worker has committed is settled in counters that began with it."""

    async def take_over(self, unsettled: Sequence[Unsettled]) -> None:
        self._counters_are_shared = True
        await super().take_over(unsettled)


class MixedResults(GroupCommit):
    """Of two requests that are committed together, each gets the result of the other."""

    async def _store(
        self,
        endings: Sequence[Ending],
        finished: Sequence[FinishedRequest],
        settled: Sequence[RowKey],
    ) -> None:
        mixed = list(finished)
        if len(mixed) > 1 and mixed[0].state is mixed[1].state:
            mixed[0] = mixed[0]._replace(result=finished[1].result)
            mixed[1] = mixed[1]._replace(result=finished[0].result)
        await super()._store(endings, mixed, settled)


def crashes_that_spend_all_tries(sql: str) -> str:
    """Let the first end of a process be the last try of all that it had in hand."""
    if sql.startswith("UPDATE batch_requests") and "batch_requests.tries +" in sql:
        return sql.replace("batch_requests.tries +", f"{MOST_TRIES - 1} +")
    return sql


def leases_without_an_end(sql: str) -> str:
    """Let a worker go on whose lease has ended, and whose requests others have."""
    if sql.startswith("UPDATE batch_workers"):
        return re.sub(r"AND NOT \((.*?)\) RETURNING", r"AND NOT (0 AND (\1)) RETURNING", sql)
    if sql.startswith("DELETE FROM batch_workers"):
        select = sql.replace("DELETE FROM", "SELECT id FROM")
        return select.replace(" RETURNING id", "")
    return sql
