"""Results, ledger entries and counts are committed together, by the worker that owns the rows."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.store.batches.rows import RowKey, RowState, change_rows, count_finished
from antiphon.store.batches.workers import NotOwnerError, Worker, renew
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.ledger import add_entries


class FinishedRequest(NamedTuple):
    """The end of a request: the JSON of its `result`, and its ledger entry if it was admitted."""

    batch_id: str
    number: int
    state: Literal[RowState.SUCCEEDED, RowState.ERRORED]
    result: bytes
    entry: LedgerEntry | None


async def commit(
    connection: AsyncConnection,
    worker: Worker,
    finished: Sequence[FinishedRequest],
    waits_for: Mapping[str, str] | None = None,
) -> None:
    """Store results, add their ledger entries, and count them and their costs.

    Batches without other requests end.

    `waits_for` says of some batches, by id, why no requests of them are claimed.

    The entries are not settled in the counters yet: after the transaction, settle them, then call
    `mark_settled` (in the transaction of the next group). If the worker dies before, whoever reaps
    it gets them as `Unsettled`.

    Raises `NotOwnerError` if the worker does not own all requests, or has lost its lease. The
    transaction must then be rolled back, so that not even a part of it is stored.
    """
    await renew(connection, worker)
    rows = [
        (
            request.batch_id,
            request.number,
            worker.id,
            int(request.state),
            request.result,
            None if request.entry is None else request.entry.id,
        )
        for request in finished
    ]
    if await change_rows(connection, _FINISH, _FINISHED, rows) != len(rows):
        raise NotOwnerError("The worker does not own all the requests that it has finished")
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for request in finished:
        counts[request.batch_id][request.state.name.lower()] += 1
    costs = Counter[str]()
    for request in finished:
        if request.entry is not None:
            costs[request.batch_id] += request.entry.costs.total
    await count_finished(connection, counts, worker.now, waits_for, costs)
    entries = [request.entry for request in finished if request.entry is not None]
    await add_entries(connection, entries)


async def mark_settled(
    connection: AsyncConnection, worker: Worker, settled: Sequence[RowKey]
) -> None:
    """Store that the ledger entries of finished requests are settled in the counters.

    Of requests that another worker has been given since, nothing is stored: it settles them again,
    which the counters ignore.
    """
    rows = [(*key, worker.id) for key in settled]
    await change_rows(connection, _SETTLE, _SETTLED, rows)


_FINISHED = {
    "batch_id": "text",
    "number": "int",
    "owner": "text",
    "next_state": "int",
    "next_result": "bytea",
    "next_entry": "text",
}
# Without an entry there is nothing to settle.
_FINISH = f"""
    SET state = {{next_state}}, result = {{next_result}}, params = NULL, entry_id = {{next_entry}},
        worker = CASE WHEN {{next_entry}} IS NOT NULL THEN worker END
    {{source}}
    WHERE batch_requests.batch_id = {{batch_id}} AND batch_requests.number = {{number}}
        AND worker = {{owner}} AND state = {RowState.CLAIMED:d}
"""
_SETTLED = {"batch_id": "text", "number": "int", "owner": "text"}
_SETTLE = f"""
    SET worker = NULL
    {{source}}
    WHERE batch_requests.batch_id = {{batch_id}} AND batch_requests.number = {{number}}
        AND worker = {{owner}} AND state >= {RowState.SUCCEEDED:d}
"""
