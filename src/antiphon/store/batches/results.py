"""The results of an ended batch, in pages that bound the memory of a reader."""

from typing import NamedTuple

from sqlalchemy import func, or_, select

from antiphon.store.batches.rows import Batch, RowState
from antiphon.store.database.batch_tables import batch_requests
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.errors import StoreError

PAGE_ROWS = 250
PAGE_BYTES = 64 * 1024
"""A caller who does not read holds a page, so it is as small as it can be and still be fast."""

# What never ran has no result of its own.
_WITHOUT_RESULT = {
    RowState.CANCELED: b'{"type":"canceled"}',
    RowState.EXPIRED: b'{"type":"expired"}',
}


class ResultsGoneError(StoreError):
    """The results were removed, perhaps while they were read."""


class BatchResult(NamedTuple):
    """The JSON of one `result`, and which request it belongs to."""

    number: int
    custom_id: str
    result: bytes


async def results_page(
    connection: AsyncConnection,
    batch: Batch,
    after: int = -1,
    *,
    most: int = PAGE_ROWS,
    size: int = PAGE_BYTES,
) -> tuple[BatchResult, ...]:
    """Return the results behind the number `after`, in order, of an ended batch.

    A page has at most `most` results, and at most `size` bytes or one result. It is empty behind
    the last request. Raises `ResultsGoneError` instead of leaving any result out.
    """
    columns = batch_requests.c
    length = func.coalesce(func.length(columns.result), 0).label("size")
    following = (columns.batch_id == batch.id) & (columns.number > after)
    first = select(columns.number, length).where(following).order_by(columns.number)
    page = first.limit(most).subquery("page")
    total = func.sum(page.c.size).over(order_by=page.c.number).label("total")
    summed = select(page.c.number, total).subquery("summed")
    fits = or_(summed.c.total <= size, summed.c.number == after + 1)
    last = select(func.max(summed.c.number)).where(fits).scalar_subquery()
    query = select(columns.number, columns.custom_id, columns.state, columns.result)
    found = (
        await connection.execute(
            query.where(following, columns.number <= last).order_by(columns.number)
        )
    ).all()
    results = tuple(
        BatchResult(row.number, row.custom_id, _WITHOUT_RESULT.get(row.state, row.result))
        for row in found
    )
    numbers = range(after + 1, after + 1 + len(results))
    if [result.number for result in results] != list(numbers) or any(
        result.result is None for result in results
    ):
        raise ResultsGoneError("The results of the batch were removed while they were read")
    if not results and after + 1 < batch.requests:
        raise ResultsGoneError("The results of the batch were removed")
    return results
