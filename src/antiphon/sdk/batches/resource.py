"""`client.messages.batches`."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import urlsplit

from antiphon.sdk.batches.map_file import MapFile
from antiphon.sdk.batches.map_job import MapJob, MapOptions
from antiphon.sdk.batches.mapping import map_flow
from antiphon.sdk.batches.operations import (
    batch_results,
    cancel_batch,
    create_batch,
    delete_batch,
    list_batches,
    retrieve_batch,
)
from antiphon.sdk.batches.rows import MapProgress, MapResult, RowFunction
from antiphon.sdk.batches.types import BatchRow, MessageBatch, read_row
from antiphon.sdk.batches.waiting import Waiting, wait_for_batch
from antiphon.sdk.call import CallOptions
from antiphon.sdk.endpoint import AsyncEndpoint, AsyncResource, Endpoint, Resource
from antiphon.sdk.flow import AsyncResults, Flow, Results
from antiphon.sdk.lines import AsyncLines, Lines
from antiphon.sdk.pages import AsyncPageEndpoint, PageEndpoint

HOSTED = ".anthropic.com"
"""The hosted API, which keeps no idempotency keys."""


class WaitParameters(TypedDict, total=False):
    """How `wait` and `map` wait, in seconds (`antiphon.sdk.batches.waiting`)."""

    first_pause: float
    longest_pause: float
    patience: float


class WaitOptions(WaitParameters, total=False):
    """What `wait` takes besides an id.

    `timeout` bounds the whole wait. `progress` is told of the batch whenever it has changed. With
    `cancel_on_interrupt`, Ctrl-C or a cancelled task cancels the batch before it leaves.
    """

    timeout: float | None
    progress: Callable[[MessageBatch], object] | None
    cancel_on_interrupt: bool


class MapParameters(WaitParameters, total=False):
    """What `map` takes besides a function and rows.

    `file` is the path of the file that lets a run be continued after a crash. Without one a map is
    gone with its program; so it is cancelled on an interrupt, if `cancel_on_interrupt` says nothing
    else. `ordered` gives results in the order of the rows, else as they come. The other options are
    those of `MapOptions`.
    """

    file: str | os.PathLike[str] | None
    ordered: bool
    retries: int
    part_requests: int
    part_bytes: int
    open_parts: int
    cancel_on_interrupt: bool | None
    progress: Callable[[MapProgress], object] | None
    call_options: CallOptions


class BatchResults:
    """The rows of a batch's results, as they come. Close it to end early."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[BatchRow]:
        return self

    def __next__(self) -> BatchRow:
        return read_row(next(self._lines))

    def close(self) -> None:
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncBatchResults:
    """As `BatchResults`, for asyncio. Awaiting it asks for the results; iterating does as well."""

    def __init__(self, lines: AsyncLines) -> None:
        self._lines = lines

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from self._lines.open().__await__()
        return self

    def __aiter__(self) -> AsyncIterator[BatchRow]:
        return self

    async def __anext__(self) -> BatchRow:
        return read_row(await anext(self._lines))

    async def aclose(self) -> None:
        await self._lines.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        await self._lines.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Batches(Resource):
    """`client.messages.batches`."""

    create = Endpoint(create_batch)
    retrieve = Endpoint(retrieve_batch)
    list = PageEndpoint(list_batches)
    cancel = Endpoint(cancel_batch)
    delete = Endpoint(delete_batch)

    def results(self, batch_id: str, **options: Unpack[CallOptions]) -> BatchResults:
        """Return the rows of the results, which are read as you iterate. Raises `APIError`.

        The rows come in any order. Before the batch has ended there are none: that is a
        `NotFoundError`.
        """
        return BatchResults(Lines(self._client, batch_results(batch_id, **options)))

    def wait(self, batch_id: str, **how: Unpack[WaitOptions]) -> MessageBatch:
        """Wait until a batch has ended; return it.

        Lost connections and errors of the server that pass are waited out, and a batch that was
        just created may be unknown for a while. Raises `WaitTimeoutError`, `APIError`.
        """
        batch: MessageBatch = Results(self._client, wait_flow(batch_id, how)).run()
        return batch

    def map(
        self, function: RowFunction, rows: Iterable[Any], **how: Unpack[MapParameters]
    ) -> Results[MapResult]:
        """Answer every row by Message Batches; iterate over what comes back.

        `function(row)` returns the parameters of a message, or a `custom_id` and them. With `file`
        a run that was killed is continued by calling `map` again with the same rows and the same
        file: no row is sent twice, and the results that are there come at once. Raises `APIError`,
        `MapFileError` while it is iterated over.
        """
        flow = map_flow(map_job(function, how, self._client.options.base_url))
        return Results(self._client, flow, rows)


class AsyncBatches(AsyncResource):
    """`client.messages.batches` of an async client."""

    create = AsyncEndpoint(create_batch)
    retrieve = AsyncEndpoint(retrieve_batch)
    list = AsyncPageEndpoint(list_batches)
    cancel = AsyncEndpoint(cancel_batch)
    delete = AsyncEndpoint(delete_batch)

    def results(self, batch_id: str, **options: Unpack[CallOptions]) -> AsyncBatchResults:
        """Return the rows of the results; as `Batches.results`."""
        return AsyncBatchResults(AsyncLines(self._client, batch_results(batch_id, **options)))

    async def wait(self, batch_id: str, **how: Unpack[WaitOptions]) -> MessageBatch:
        """Wait until a batch has ended; return it. As `Batches.wait`."""
        batch: MessageBatch = await AsyncResults(self._client, wait_flow(batch_id, how)).run()
        return batch

    def map(
        self,
        function: RowFunction,
        rows: Iterable[Any] | AsyncIterable[Any],
        **how: Unpack[MapParameters],
    ) -> AsyncResults[MapResult]:
        """Answer every row by Message Batches; as `Batches.map`. Rows may be async as well."""
        flow = map_flow(map_job(function, how, self._client.options.base_url))
        return AsyncResults(self._client, flow, rows)


def wait_flow(batch_id: str, how: WaitOptions) -> Flow[MessageBatch]:
    """Return the flow of one `wait`."""
    return wait_for_batch(
        batch_id,
        how=_waiting(how, how.get("timeout")),
        progress=how.get("progress"),
        cancel_on_interrupt=how.get("cancel_on_interrupt", False),
        now=time.monotonic,
        options={},
    )


def map_job(function: RowFunction, how: MapParameters, server: str) -> MapJob:
    """Return what one `map` does. Raises `ValueError` for options that cannot be."""
    file, cancels = how.get("file"), how.get("cancel_on_interrupt")
    standard = MapOptions()
    return MapJob(
        function=function,
        file=MapFile(file, server, os.urandom(6).hex()),
        options=MapOptions(
            ordered=how.get("ordered", standard.ordered),
            retries=how.get("retries", standard.retries),
            part_requests=how.get("part_requests", standard.part_requests),
            part_bytes=how.get("part_bytes", standard.part_bytes),
            open_parts=how.get("open_parts", standard.open_parts),
            cancel_on_interrupt=file is None if cancels is None else cancels,
            waiting=_waiting(how, None),
        ),
        call_options=how.get("call_options", {}),
        keeps_keys=not (urlsplit(server).hostname or "").endswith(HOSTED),
        progress=how.get("progress"),
        now=time.monotonic,
        wall=time.time,
    )


def _waiting(how: WaitParameters | WaitOptions | MapParameters, timeout: float | None) -> Waiting:
    standard = Waiting()
    return Waiting(
        first_pause=how.get("first_pause", standard.first_pause),
        longest_pause=how.get("longest_pause", standard.longest_pause),
        patience=how.get("patience", standard.patience),
        timeout=timeout,
    )
