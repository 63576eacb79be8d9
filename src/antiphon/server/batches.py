"""`/v1/messages/batches`: create, show, list, cancel, results, delete."""

from collections.abc import AsyncIterator, Callable
from typing import Final, get_args

from antiphon.core.batches import POLL_AFTER_S, described
from antiphon.server.http.base_urls import HINT_HEADER, header_safe
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.hang_ups import HangUps
from antiphon.server.http.requests import Request, read_betas, read_pieces
from antiphon.server.http.selections import SPAN_QUERY, read_span
from antiphon.service.batches.batches import BatchHeaders, owner_of
from antiphon.service.platform import Platform
from antiphon.store.batches.listing import BatchFilter
from antiphon.store.batches.rows import Batch
from antiphon.wire.batches import BatchPage, DeletedBatch, MessageBatch, ProcessingStatus

JSON_LINES = "application/x-jsonl"
BATCH_QUERY: Final = ("processing_status", "order", *SPAN_QUERY)


class BatchEndpoints:
    """The endpoints of batches, over one platform."""

    def __init__(
        self, platform: Platform, trace: Callable[[Exchange], str | None] = lambda _: None
    ) -> None:
        """`trace` begins the span of a request, and returns the `traceparent` that names it."""
        self._platform = platform
        self._trace = trace
        self._hang_ups = HangUps()

    async def create(self, request: Request[None]) -> MessageBatch:
        exchange = request.exchange
        settings = self._platform.settings
        asked = BatchHeaders(
            request.version,
            read_betas(exchange),
            exchange.header(b"idempotency-key"),
            self._trace(exchange),
        )
        batch = await self._platform.batches.create(
            owner_of(request.caller),
            asked,
            read_pieces(
                exchange, settings.max_batch_bytes, settings.request_timeout_s, request.share.hold
            ),
            request.share.hold,
        )
        return self._shown(exchange, batch)

    async def show(self, request: Request[None]) -> MessageBatch:
        batch = await self._platform.batches.show(
            owner_of(request.caller), request.path("batch_id")
        )
        if batch.ended_at is None:
            request.exchange.headers["retry-after"] = str(POLL_AFTER_S)
        if (hindrance := batch.hindrance) is not None:
            request.exchange.headers[HINT_HEADER] = header_safe(hindrance)
        return self._shown(request.exchange, batch)

    async def list_batches(self, request: Request[None]) -> BatchPage:
        query = request.query
        statuses: tuple[ProcessingStatus, ...] = get_args(ProcessingStatus)
        asked = query.choice("processing_status", statuses)
        wanted = BatchFilter(
            next((one for one in statuses if one == asked), None),
            *read_span(query),
            is_descending=query.order(()).is_descending,
        )
        found = await self._platform.batches.listing(
            owner_of(request.caller), query.by_ids(), wanted
        )
        data = tuple(self._shown(request.exchange, batch) for batch in found.records)
        return BatchPage(
            data=data,
            has_more=found.has_more,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
        )

    async def cancel(self, request: Request[None]) -> MessageBatch:
        batch = await self._platform.batches.cancel(
            owner_of(request.caller), request.path("batch_id")
        )
        return self._shown(request.exchange, batch)

    async def results(self, request: Request[None]) -> None:
        lines = await self._platform.batches.results(
            owner_of(request.caller), request.path("batch_id")
        )
        # Without it the pages for a caller who has left would be read to the end.
        with self._hang_ups.stopping(request.exchange):
            await _write_lines(request.exchange, lines)

    async def delete(self, request: Request[None]) -> DeletedBatch:
        wanted = request.path("batch_id")
        await self._platform.batches.delete(owner_of(request.caller), wanted)
        return DeletedBatch(id=wanted)

    def _shown(self, exchange: Exchange, batch: Batch) -> MessageBatch:
        return described(batch, exchange.base_url, batch.waits_for, batch.slowed_by)


async def _write_lines(exchange: Exchange, lines: AsyncIterator[bytes]) -> None:
    await exchange.start_parts(JSON_LINES)
    if exchange.scope["method"] != "HEAD":
        async for part in lines:
            await exchange.write(part)
    await exchange.write(b"", more=False)
