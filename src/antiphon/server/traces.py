"""Traces for OpenTelemetry: a span for each request, and one in it for the answer of a model.

Those of batches are in batch_traces.py.

They are made when a request has ended, of what is known then: no request waits for them, and
nothing is imported while they are off. A span has what the log line of a request has, and never a
prompt, an answer or a key.
"""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from antiphon import __version__
from antiphon.core.billing.ledger import LedgerEntry
from antiphon.server.http.boundary import FIRST_SERVER_ERROR, PROBES
from antiphon.server.http.exchange import Exchange
from antiphon.server.span_attributes import SERVICE, in_ns, of_answer, of_generation
from antiphon.service.answer import Answer
from antiphon.service.batches.tracing import BatchTraces
from antiphon.settings import SettingsError
from antiphon.telemetry_settings import TracesSettings
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

NEEDS: Final = "traces.endpoint: traces need the package: pip install 'antiphon[otel]'"
PARTING_S: Final = 2.0
"""The time that a stopping server waits for its collector."""

_NS: Final = 1_000_000_000
_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)


class RequestTracer:
    """Makes the spans of each request that has ended, below the span that its caller names.

    `batches` makes those of batches.
    """

    def __init__(
        self, provider: "TracerProvider", *, gen_ai: bool, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        from antiphon.server.batch_traces import BatchTracer  # noqa: PLC0415

        self.batches: BatchTraces = BatchTracer(provider, gen_ai=gen_ai, now_ns=now_ns)
        self._tracer = provider.get_tracer("antiphon", __version__)
        self._extract = TraceContextTextMapPropagator().extract
        self._in_context = set_span_in_context
        self._server, self._internal = SpanKind.SERVER, SpanKind.INTERNAL
        self._error = StatusCode.ERROR
        self._gen_ai = gen_ai
        self._now_ns = now_ns

    def __call__(self, exchange: Exchange) -> None:
        """Make the spans of a request that has ended."""
        if exchange.route in PROBES:
            return
        ended_at = self._now_ns()
        span = exchange.span or self._begun(exchange, ended_at)
        if not span.is_recording():
            return
        span.set_attributes(_of_request(exchange, exchange.scope["method"]))
        self._note_error(span, exchange)
        answer = exchange.answer
        if isinstance(answer, Answer) and answer.entry is not None:
            self._trace_answer(span, exchange, answer, answer.entry)
        span.end(ended_at)

    def begin(self, exchange: Exchange) -> str | None:
        """Begin the span of a request now, and return its `traceparent`; `None` if none is kept."""
        exchange.span = span = self._begun(exchange, self._now_ns())
        context = span.get_span_context()
        if not span.is_recording():
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def _begun(self, exchange: Exchange, now_ns: int) -> "Span":
        method = exchange.scope["method"]
        known = method if method in _METHODS else "HTTP"
        return self._tracer.start_span(
            f"{known} {exchange.route}" if exchange.route else known,
            context=self._extract(_carrier(exchange)),
            kind=self._server,
            start_time=now_ns - round(exchange.age_s() * _NS),
        )

    def _trace_answer(
        self, parent: "Span", exchange: Exchange, answer: Answer, entry: LedgerEntry
    ) -> None:
        span = self._tracer.start_span(
            f"chat {shortened(entry.model)}" if self._gen_ai else "answer",
            context=self._in_context(parent),
            kind=self._internal,
            start_time=in_ns(entry.started_at),
        )
        span.set_attributes(of_answer(entry, exchange.waits.gate_s))
        if self._gen_ai:
            told = of_generation(entry, answer.message_id, streamed=exchange.streaming)
            span.set_attributes(told)
        self._note_error(span, exchange)
        span.end(in_ns(entry.ended_at))

    def _note_error(self, span: "Span", exchange: Exchange) -> None:
        """Note an error that is the server's: a caller's own fault is none of the span."""
        error_type = exchange.fields.get("error_type")
        if error_type is None:
            return
        span.set_attribute("error.type", error_type)
        # An error behind the first byte is an event of a stream, which has begun with 200.
        if exchange.status >= FIRST_SERVER_ERROR or exchange.streaming:
            span.set_status(self._error)


def _carrier(exchange: Exchange) -> dict[str, str]:
    found = {name: exchange.header(name.encode()) for name in ("traceparent", "tracestate")}
    return {name: value for name, value in found.items() if value is not None}


def _of_request(exchange: Exchange, method: str) -> dict[str, str | int]:
    known = method if method in _METHODS else "_OTHER"
    found: dict[str, str | int] = {
        "http.request.method": known,
        "url.scheme": "http",
        "url.path": shortened(exchange.scope["path"]),
        "antiphon.request_id": exchange.request_id,
    }
    if exchange.route is not None:
        found["http.route"] = exchange.route
    if exchange.status:
        found["http.response.status_code"] = exchange.status
    return found


@asynccontextmanager
async def tracing(
    settings: TracesSettings, exporter: "SpanExporter | None" = None
) -> AsyncGenerator[tuple[RequestTracer, ...]]:
    """Send traces until the end of the block; yields what makes them, or nothing if they are off.

    The variables of OpenTelemetry decide about the rest: headers, sampling, attributes of the
    resource. `exporter` takes the place of the one that sends. Raises `SettingsError` where the
    packages are missing.
    """
    if settings.endpoint is None:
        yield ()
        return
    provider = _provider(settings.endpoint, exporter)
    try:
        yield (RequestTracer(provider, gen_ai=settings.gen_ai),)
    finally:
        # The thread is left alone then: what it could not send in this time is lost.
        parting = threading.Thread(target=provider.shutdown, name="antiphon-traces", daemon=True)
        parting.start()
        await asyncio.to_thread(parting.join, PARTING_S)


def batch_traces(records: "Sequence[RequestTracer]") -> BatchTraces | None:
    """Return what makes spans of batches, of what `tracing` yields."""
    return records[0].batches if records else None


def _provider(endpoint: str, exporter: "SpanExporter | None") -> "TracerProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(NEEDS) from error
    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    # One that cannot be reached is told by each of its libraries, again and again.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    sends = exporter or OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(sends))
    return provider
