"""Traces of requests, as a collector of OpenTelemetry gets them."""

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from antiphon.server.app import build_app
from antiphon.server.traces import NEEDS, PARTING_S, tracing
from antiphon.settings import PriceSettings, SettingsError
from antiphon.telemetry_settings import TracesSettings
from support.asgi import KEY, Client
from support.cached_requests import FIVE_MINUTES, system, turn
from support.collector import Collector, Span, collecting

pytestmark = pytest.mark.anyio

SERVER, INTERNAL = 2, 1
PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
TEXT = "nobody may read this answer"
SECRET_TEXT = "nobody-may-read-this-prompt"
BROKEN = {"when": "break", "text": "One two", "error": "failed", "after": 1}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as found:
        yield found


class Traced:
    """Sends requests to a server, and returns the spans of each."""

    def __init__(self, platform: Any, collector: Collector, *, gen_ai: bool) -> None:
        self._platform = platform
        self._collector = collector
        self._settings = TracesSettings(endpoint=collector.url, gen_ai=gen_ai)

    async def __call__(self, path: str = "/v1/messages", **changes: Any) -> list[Span]:
        headers = changes.pop("headers", {})
        before = len(self._collector.spans)
        async with tracing(self._settings) as records:
            client = Client(build_app(self._platform, *records))
            self.answer = (
                await client.post(path, {**HELLO, **changes}, **headers)
                if path == "/v1/messages"
                else await client.get(path, **headers)
            )
        return self._collector.spans[before:]


HELLO = {
    "model": "claude-x",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": SECRET_TEXT}],
}


@pytest.fixture
async def traced(platform: Any, collector: Collector) -> Traced:
    found = await platform(price=PRICE, text=TEXT, replies=[BROKEN])
    return Traced(found, collector, gen_ai=True)


def root_of(spans: list[Span]) -> Span:
    (found,) = (one for one in spans if one.kind == SERVER)
    return found


def answer_of(spans: list[Span]) -> Span:
    (found,) = (one for one in spans if one.kind == INTERNAL)
    assert (found.trace_id, found.parent) == (root_of(spans).trace_id, root_of(spans).id)
    return found


async def test_message_is_a_span_with_one_for_its_answer(
    traced: Traced, collector: Collector
) -> None:
    began = time.time_ns()
    spans = await traced()
    root, answer = root_of(spans), answer_of(spans)
    assert root.name == "POST /v1/messages"
    assert root.attributes["http.request.method"] == "POST"
    assert root.attributes["http.route"] == root.attributes["url.path"] == "/v1/messages"
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["antiphon.request_id"] == traced.answer.headers["request-id"]
    assert began <= root.start_ns <= answer.start_ns <= answer.end_ns <= root.end_ns
    assert (root.parent, root.failed) == ("", False)
    assert collector.resource["service.name"] == "antiphon"


async def test_conventions_of_generative_ai_count_cached_tokens_as_input(traced: Traced) -> None:
    body = {"system": system(600, mark=FIVE_MINUTES), "messages": [turn(20)]}
    await traced(**body)
    span = answer_of(await traced(**body))
    usage = traced.answer.json["usage"]
    found = span.attributes
    assert span.name == "chat claude-x"
    assert usage["cache_read_input_tokens"] > usage["input_tokens"] > 0
    read = usage["cache_read_input_tokens"]
    assert found["gen_ai.usage.input_tokens"] == usage["input_tokens"] + read
    assert found["gen_ai.usage.cache_read.input_tokens"] == read
    assert found["gen_ai.usage.cache_write.input_tokens"] == 0
    assert found["gen_ai.usage.output_tokens"] == usage["output_tokens"]
    # The words of the API beside them: there the input is without the cache.
    assert found["antiphon.tokens.input"] == usage["input_tokens"]
    assert found["antiphon.tokens.cache_read"] == read
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.request.model"] == "claude-x"
    assert found["gen_ai.response.model"] == found["antiphon.model"] == "scripted"
    assert found["gen_ai.response.id"] == traced.answer.json["id"]
    assert found["gen_ai.response.finish_reasons"] == ["end_turn"]


async def test_without_the_opt_in_nothing_is_named_gen_ai(
    platform: Any, collector: Collector
) -> None:
    spans = await Traced(await platform(text=TEXT), collector, gen_ai=False)(stream=True)
    assert answer_of(spans).name == "answer"
    assert answer_of(spans).attributes["antiphon.outcome"] == "completed"
    assert not [name for one in spans for name in one.attributes if name.startswith("gen_ai")]


async def test_trace_of_the_caller_goes_on(traced: Traced) -> None:
    spans = await traced(headers={"traceparent": TRACEPARENT, "tracestate": "a=b"})
    assert {one.trace_id for one in spans} == {TRACE}
    assert root_of(spans).parent == PARENT


@pytest.mark.parametrize("header", ["", "00-xyz-1-01", f"00-{'0' * 32}-{PARENT}-01", "né"])
async def test_traceparent_that_is_none_begins_a_trace(traced: Traced, header: str) -> None:
    root = root_of(await traced(headers={"traceparent": header}))
    assert root.parent == ""
    assert root.trace_id not in {TRACE, "0" * 32}


async def test_trace_that_its_caller_does_not_record_is_not_sent(traced: Traced) -> None:
    assert await traced(headers={"traceparent": f"00-{TRACE}-{PARENT}-00"}) == []


async def test_answer_that_breaks_off_is_a_failed_span(traced: Traced) -> None:
    spans = await traced(messages=[{"role": "user", "content": "break"}], stream=True)
    assert [(one.failed, one.attributes["error.type"]) for one in spans] == [
        (True, "api_error"),
        (True, "api_error"),
    ]
    assert root_of(spans).attributes["http.response.status_code"] == 200


async def test_fault_of_a_caller_is_no_failure_of_the_server(traced: Traced) -> None:
    (root,) = await traced(model="unknown")
    assert root.attributes["error.type"] == "not_found_error"
    assert root.attributes["http.response.status_code"] == 404
    assert not root.failed


async def test_probes_have_no_spans(traced: Traced) -> None:
    assert await traced("/health") == []


async def test_no_prompt_answer_or_key_is_sent(traced: Traced, collector: Collector) -> None:
    await traced()
    await traced(stream=True)
    assert len(collector.spans) == 4
    for text in (SECRET_TEXT, TEXT, KEY, "apikey_"):
        assert text.encode() not in collector.raw


async def test_collector_that_is_away_stops_nobody(platform: Any) -> None:
    settings = TracesSettings(endpoint="http://127.0.0.1:9")
    async with tracing(settings) as records:
        answer = await Client(build_app(await platform(), *records)).create()
        assert answer.status == 200
        began = time.monotonic()
    assert PARTING_S <= time.monotonic() - began < PARTING_S + 10


async def test_headers_of_the_collector_are_those_of_opentelemetry(
    traced: Traced, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=inference")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "claude-at-home")
    await traced()
    assert collector.headers["x-team"] == "inference"
    assert collector.resource["service.name"] == "claude-at-home"


async def test_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match="pip install") as caught:
        async with tracing(TracesSettings(endpoint="http://127.0.0.1:9")):
            pass
    assert str(caught.value) == NEEDS
