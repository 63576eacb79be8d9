"""Finding the batch of a create whose answer was lost, on a server that keeps no keys.

The list of batches tells when each was created and how many requests it has, but not their ids:
those stand in its results. So a batch that may be the one is waited for, and then known by the
`custom_id` on its first line.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any

from antiphon.sdk.batches.operations import batch_results, list_batches
from antiphon.sdk.batches.types import MessageBatch, read_line
from antiphon.sdk.batches.waiting import Waiting, wait_for_batch
from antiphon.sdk.call import CallOptions
from antiphon.sdk.errors import APIResponseValidationError, NotFoundError
from antiphon.sdk.flow import Ask, FlowStep, ReadLines
from antiphon.sdk.pages import PageBody, PageCall

CLOCKS_APART_S = 300.0
PAGE = 100


class _FirstLine(Exception):  # noqa: N818 - it is what was looked for
    def __init__(self, custom_id: str) -> None:
        super().__init__()
        self.custom_id = custom_id


def find_batch(  # noqa: PLR0913 - what a batch is known by
    ids: frozenset[str],
    *,
    since: float,
    known: frozenset[str],
    how: Waiting,
    now: Callable[[], float],
    options: CallOptions,
) -> Generator[FlowStep, Any, str | None]:
    """Return the batch with these requests that was created after a moment, or `None`.

    `known` batches are others'. Raises `APIError`.
    """
    page: PageCall[MessageBatch] | None = list_batches(limit=PAGE, **options)
    while page is not None:
        body: PageBody[MessageBatch] = yield Ask(page.call)
        for batch in body.data:
            if _created(batch) < since - CLOCKS_APART_S:
                return None
            if batch.id in known or batch.request_counts.total != len(ids):
                continue
            if not batch.has_ended:
                yield from wait_for_batch(
                    batch.id,
                    how=how,
                    progress=None,
                    cancel_on_interrupt=False,
                    now=now,
                    options=options,
                )
            if (yield from _first_id(batch.id, options)) in ids:
                return batch.id
        page = page.next_after(body)
    return None


def _first_id(batch_id: str, options: CallOptions) -> Generator[FlowStep, Any, str | None]:
    def take(line: bytes) -> None:
        raise _FirstLine(read_line(line)[0])

    try:
        yield ReadLines(batch_results(batch_id, **options), take)
    except _FirstLine as found:
        return found.custom_id
    except (NotFoundError, APIResponseValidationError):
        # Its results are gone: it is none that a map has begun lately.
        return None
    return None


def _created(batch: MessageBatch) -> float:
    try:
        return datetime.fromisoformat(batch.created_at).timestamp()
    except ValueError:
        return 0.0
