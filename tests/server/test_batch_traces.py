"""Spans of Message Batches, as the SDK of OpenTelemetry exports them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from antiphon.server.app import build_app
from antiphon.server.traces import batch_traces, tracing
from antiphon.service.batches.tracing import BatchTracing
from antiphon.service.models import ModelSource
from antiphon.service.platform import Platform, build_platform
from antiphon.settings import Settings
from antiphon.store.data_folder import database_path
from antiphon.telemetry_settings import TracesSettings
from server.test_batches import BATCHES, SLOW, ended, requests, results
from server.test_traces import PARENT, TRACE
from support.asgi import KEY, Client
from support.collector import Collector, collecting
from support.conversation import eventually
from support.databases import copy_database

pytestmark = pytest.mark.anyio

TEXT = "nobody may read this answer"
PROMPT = "nobody-may-read-this-prompt"
ASKED = {"messages": [{"role": "user", "content": PROMPT}]}
REPLIES = [{"when": "be slow", "text": "Slowly.", "delay_s": 30}]


class Served:
    """A server whose spans are kept, with a caller; `spans` are there once it has ended."""

    def __init__(self, platform: Platform, client: Client, tracing: BatchTracing) -> None:
        self.platform = platform
        self.client = client
        self._tracing = tracing
        self.spans: dict[str, list[ReadableSpan]] = {}

    async def create(self, *changes: dict[str, Any], **headers: str) -> str:
        answer = await self.client.post(BATCHES, requests(*changes), **headers)
        assert answer.status == 200, answer.json
        return str(answer.json["id"])

    async def end(self, batch_id: str) -> dict[str, Any]:
        """Wait for the end of a batch, and for what tells of it."""
        batch = await ended(self.client, batch_id)
        await self._tracing.once()
        return batch


Serve: TypeAlias = Callable[..., Any]


@pytest.fixture
def serve(tmp_path: Path, founded_template: Path) -> Serve:
    @asynccontextmanager
    async def serve(
        *, gen_ai: bool = True, workers: int = 1, collector: Collector | None = None
    ) -> AsyncIterator[Served]:
        flags = {
            "data_dir": tmp_path,
            "api_key": KEY,
            "engine": "scripted",
            "aliases": ["claude-*"],
            "price": {"input": 3, "output": 15},
            "scripted": {"text": TEXT, "replies": REPLIES},
            "workers": workers,
        }
        settings = Settings.load(flags, environ={})
        if not database_path(tmp_path).exists():
            copy_database(founded_template, database_path(tmp_path))
        sources = [ModelSource(model) for model in settings.served()]
        exporter = InMemorySpanExporter()
        endpoint = "http://127.0.0.1:9" if collector is None else collector.url
        sent = TracesSettings(endpoint=endpoint, gen_ai=gen_ai)
        async with tracing(sent, exporter if collector is None else None) as records:
            traces = batch_traces(records)
            assert traces is not None
            async with build_platform(settings, sources, batch_traces=traces) as platform:
                await platform.models.open()
                client = Client(build_app(platform, *records))
                served = Served(platform, client, BatchTracing(platform.database, traces))
                yield served
        for span in exporter.get_finished_spans():
            served.spans.setdefault(str(span.name), []).append(span)

    return serve


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def linked(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_batch_and_each_of_its_requests_are_spans_linked_to_the_create(serve: Serve) -> None:
    began = time.time_ns()
    async with serve() as served:
        batch_id = await served.create(ASKED, {"max_tokens": 0})
        await served.end(batch_id)
        found = {one["custom_id"]: one["result"] for one in await results(served.client, batch_id)}
    (create,), (batch,) = served.spans[f"POST {BATCHES}"], served.spans["batch"]
    (good,), (bad,) = served.spans["chat claude-x"], served.spans["answer"]
    assert create.parent is None
    assert batch.parent is None
    assert ids(batch)[0] != ids(create)[0]
    for span in (batch, good, bad):
        assert linked(span) == [ids(create)]
    for span in (good, bad):
        assert span.parent is not None
        assert (span.parent.trace_id, span.parent.span_id) == ids(batch)
        assert told(span)["antiphon.batch.id"] == batch_id
    assert began <= (batch.start_time or 0) <= (good.start_time or 0)
    assert (good.end_time or 0) <= (batch.end_time or 0)
    counts = {
        name.removeprefix("antiphon.batch."): value
        for name, value in told(batch).items()
        if isinstance(value, int)
    }
    assert counts == {"requests": 2, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 0}
    assert told(batch)["antiphon.batch.id"] == batch_id
    assert told(batch)["antiphon.cost_dollars"] == told(good)["antiphon.cost_dollars"] > 0
    assert told(good)["gen_ai.response.id"] == found["r0"]["message"]["id"]
    usage = found["r0"]["message"]["usage"]
    assert told(good)["gen_ai.usage.output_tokens"] == usage["output_tokens"]
    assert told(good)["antiphon.batch.request"] == 0
    # A fault of the request is none of the server.
    assert told(bad)["error.type"] == "invalid_request_error"
    assert bad.status.status_code is StatusCode.UNSET


async def test_no_prompt_answer_or_key_is_in_a_span(serve: Serve) -> None:
    async with serve() as served:
        await served.end(await served.create(ASKED))
    said = "".join(one.to_json() for spans in served.spans.values() for one in spans)
    for text in (PROMPT, TEXT, KEY, "apikey_", "r0"):
        assert text not in said


async def test_collector_gets_the_spans_with_their_links_and_no_text(serve: Serve) -> None:
    async with collecting() as collector:
        async with serve(collector=collector) as served:
            await served.end(await served.create(ASKED))
        (create,) = (one for one in collector.spans if one.name == f"POST {BATCHES}")
        (batch,) = (one for one in collector.spans if one.name == "batch")
        (answer,) = (one for one in collector.spans if one.name == "chat claude-x")
        assert (answer.trace_id, answer.parent) == (batch.trace_id, batch.id)
        assert batch.links == answer.links == [(create.trace_id, create.id)]
        for text in (PROMPT, TEXT, KEY, "apikey_"):
            assert text.encode() not in collector.raw


async def test_without_the_opt_in_nothing_is_named_gen_ai(serve: Serve) -> None:
    async with serve(gen_ai=False) as served:
        await served.end(await served.create(ASKED))
    (answer,) = served.spans["answer"]
    assert told(answer)["antiphon.outcome"] == "completed"
    assert not [name for name in told(answer) if name.startswith("gen_ai")]


async def test_trace_of_the_caller_is_linked_and_stays_its_own(serve: Serve) -> None:
    async with serve() as served:
        batch_id = await served.create(ASKED, traceparent=f"00-{TRACE}-{PARENT}-01")
        await served.end(batch_id)
    (create,), (batch,) = served.spans[f"POST {BATCHES}"], served.spans["batch"]
    assert ids(create)[0] == int(TRACE, 16)
    assert linked(batch) == [ids(create)]
    assert ids(batch)[0] != int(TRACE, 16)


@pytest.mark.parametrize("sampler", ["always_off", "parentbased_always_on", "traceidratio"])
async def test_batch_is_recorded_if_its_create_is(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.000001")
    flags = "01" if sampler == "traceidratio" else "00"
    # One of a million is recorded, by the number at its end.
    trace = "0" * 31 + "1" if sampler == "traceidratio" else TRACE
    async with serve() as served:
        await served.end(await served.create(ASKED, traceparent=f"00-{trace}-{PARENT}-{flags}"))
    recorded = sampler == "traceidratio"
    assert len(served.spans.get("batch", [])) == len(served.spans.get("chat claude-x", []))
    assert bool(served.spans.get("batch")) is recorded


async def test_cancelled_batch_says_when_and_ends_without_spans_of_what_never_ran(
    serve: Serve,
) -> None:
    async with serve() as served:
        batch_id = await served.create(SLOW)
        cancelled = await served.client.post(f"{BATCHES}/{batch_id}/cancel", {})
        assert cancelled.status == 200
        await served.end(batch_id)
    (batch,) = served.spans["batch"]
    assert [event.name for event in batch.events] == ["canceling"]
    assert told(batch)["antiphon.batch.canceled"] == 1
    assert "chat claude-x" not in served.spans


async def test_span_of_a_batch_is_made_by_one_process_and_after_a_restart(serve: Serve) -> None:
    async with serve(workers=0) as first:
        batch_id = await first.create(ASKED)
    async with serve() as second:
        await ended(second.client, batch_id)
        await second.end(batch_id)
        await second.end(batch_id)
    (create,), (batch,) = first.spans[f"POST {BATCHES}"], second.spans["batch"]
    assert linked(batch) == [ids(create)]
    (answer,) = second.spans["chat claude-x"]
    assert answer.parent is not None
    assert answer.parent.span_id == ids(batch)[1]


async def test_process_looks_for_ended_batches_by_itself(serve: Serve) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    seen: list[str] = []

    class Kept:
        def request_ended(self, _: object) -> None:
            raise AssertionError

        def batch_ended(self, batch: Any) -> None:
            seen.append(batch.id)

    async with serve() as served:
        batch_id = await served.create(ASKED)
        await ended(served.client, batch_id)
        looking = asyncio.create_task(BatchTracing(served.platform.database, Kept(), sleep).run())
        await eventually(lambda: seen == [batch_id])
        looking.cancel()
    assert set(waits) == {5.0}
