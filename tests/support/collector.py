"""A collector of OpenTelemetry on this machine: it takes OTLP over HTTP and keeps the spans."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass
class Span:
    """A span as it arrived; ids are hexadecimal, and empty without a parent.

    Its `links` are the ids of traces and of spans.
    """

    name: str
    kind: int
    trace_id: str
    id: str
    parent: str
    start_ns: int
    end_ns: int
    failed: bool
    attributes: dict[str, Any]
    links: list[tuple[str, str]]


@dataclass
class Collector:
    """What arrived: the spans, the headers of the last request, and the raw bytes of all."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        told = ExportTraceServiceRequest.FromString(body)
        for group in told.resource_spans:
            self.resource = _attributes(group.resource.attributes)
            self.spans += [_span(one) for scope in group.scope_spans for one in scope.spans]
        said = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=said, content_type="application/x-protobuf")


def _span(one: Any) -> Span:
    return Span(
        name=one.name,
        kind=one.kind,
        trace_id=one.trace_id.hex(),
        id=one.span_id.hex(),
        parent=one.parent_span_id.hex(),
        start_ns=one.start_time_unix_nano,
        end_ns=one.end_time_unix_nano,
        failed=one.status.code == one.status.STATUS_CODE_ERROR,
        attributes=_attributes(one.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in one.links],
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)


@asynccontextmanager
async def collecting() -> AsyncGenerator[Collector]:
    """Take traces until the end of the block."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        collector.url = f"http://{host}:{port}"
        yield collector
    finally:
        await runner.cleanup()
