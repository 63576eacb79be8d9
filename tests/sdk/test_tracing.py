from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import antiphon
from antiphon.sdk.tracing import NS
from antiphon.transport.base import ConnectError, ConnectionLost
from support.sdk import (
    FakeClock,
    Interrupt,
    Reply,
    ScriptedTransport,
    events_of,
    frames,
    message_json,
)

ASKED: Any = {
    "model": "m",
    "max_tokens": 9,
    "temperature": 0.5,
    "messages": [{"role": "user", "content": "A private question"}],
}
HEADERS = {"request-id": "req_1"}
USAGE = {
    "input_tokens": 3,
    "cache_read_input_tokens": 10,
    "cache_creation_input_tokens": 100,
    "output_tokens": 5,
}


class Traced:
    """A client with spans, and the spans."""

    def __init__(self, *replies: Reply | ConnectError) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")
        clock = FakeClock()
        spans = antiphon.CallSpans(provider, now_ns=lambda: 50 * NS)
        self.client = antiphon.Client(
            api_key="secret",
            transport=ScriptedTransport(*replies, clock=clock),
            now=clock,
            sleep=clock.sleep,
            observers=[spans],
        )

    @property
    def spans(self) -> list[Any]:
        found = self.exporter.get_finished_spans()
        assert "rivate" not in repr([dict(span.attributes or {}) for span in found])
        return list(found)

    def attributes(self, number: int = -1) -> Mapping[str, Any]:
        return dict(self.spans[number].attributes)


def test_call_is_a_span_in_the_words_of_the_conventions() -> None:
    traced = Traced(Reply(200, HEADERS, json=message_json(usage=USAGE)))
    with traced.tracer.start_as_current_span("of the program") as parent:
        traced.client.messages.create(**ASKED)
    span = traced.spans[0]
    assert span.name == "chat m"
    assert span.kind.name == "CLIENT"
    assert span.parent.span_id == parent.get_span_context().span_id
    assert span.status.is_unset
    assert traced.attributes(0) == {
        "http.request.method": "POST",
        "url.path": "/v1/messages",
        "http.response.status_code": 200,
        "antiphon.request_id": "req_1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stream": False,
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": 113,
        "gen_ai.usage.cache_read.input_tokens": 10,
        "gen_ai.usage.cache_write.input_tokens": 100,
        "gen_ai.usage.output_tokens": 5,
    }


def test_stream_is_a_span_from_its_request_to_its_end() -> None:
    events = events_of("a")
    chunks = [frames(events[:4]), frames(events[4:])]
    traced = Traced(Reply(200, HEADERS, chunks=chunks, seconds=2.0))
    with traced.client.messages.stream(**ASKED) as stream:
        stream.until_done()
    (span,) = traced.spans
    assert (span.start_time, span.end_time) == (46 * NS, 50 * NS)
    found = traced.attributes()
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.response.time_to_first_chunk"] == 2.0
    assert found["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (3, 5)


def test_each_attempt_is_a_span_with_its_error() -> None:
    refused = Reply(529, HEADERS, json={"error": {"type": "overloaded_error", "message": "no"}})
    traced = Traced(ConnectError("refused"), refused, Reply(200, json={"input_tokens": 1}))
    traced.client.messages.count_tokens(model="m", messages=ASKED["messages"])
    assert [span.name for span in traced.spans] == ["POST"] * 3
    assert [dict(span.attributes).get("error.type") for span in traced.spans] == [
        "ConnectError",
        "overloaded_error",
        None,
    ]
    assert [span.status.is_unset for span in traced.spans] == [False, False, True]
    assert traced.attributes()["http.request.resend_count"] == 2


def test_error_of_a_stream_is_told() -> None:
    error = {"type": "error", "error": {"type": "api_error", "message": "private"}}
    traced = Traced(Reply(chunks=[frames([*events_of("a")[:3], error])]))
    with pytest.raises(antiphon.InternalServerError):
        list(traced.client.messages.create(**ASKED, stream=True))
    assert traced.attributes()["error.type"] == "api_error"
    broken = Traced(Reply(chunks=[frames(events_of("a")[:3])]))
    with pytest.raises(antiphon.IncompleteStreamError):
        list(broken.client.messages.create(**ASKED, stream=True))
    assert broken.attributes()["error.type"] == "IncompleteStreamError"


def test_answer_of_something_else_is_a_span_too() -> None:
    traced = Traced(Reply(chunks=[b"<html>"]), Reply(chunks=[b"[]"]))
    for _ in range(2):
        with pytest.raises(antiphon.APIResponseValidationError):
            traced.client.messages.create(**ASKED)
    assert "gen_ai.response.id" not in traced.attributes()


def test_body_that_is_read_as_it_comes_is_a_span(tmp_path: Path) -> None:
    def body(*chunks: Any) -> Reply:
        return Reply(200, HEADERS, chunks=chunks, seconds=2.0)

    lost = ConnectionLost("lost")
    traced = Traced(body(b"{}"), body(b"x"), body(b"x", lost), body(b"x"), body(b"x"))
    client = traced.client
    with client.messages.with_streaming_response.create(**ASKED) as response:
        response.read()
    assert client.files.download_to("file_1", tmp_path / "a") == 1
    with pytest.raises(antiphon.APIConnectionError):
        client.files.download_to("file_1", tmp_path / "a")
    # What is left early ends there, once.
    with client.messages.batches.results("msgbatch_1"):
        pass
    with client.models.with_streaming_response.list() as response:
        next(response.iter_bytes())
        response.close()
    told = [
        (span.name, span.attributes.get("error.type"), span.end_time - span.start_time)
        for span in traced.spans
    ]
    assert told == [
        ("chat m", None, 2 * NS),
        ("GET", None, 2 * NS),
        ("GET", "APIConnectionError", 4 * NS),
        ("GET", None, 0),
        ("GET", None, 2 * NS),
    ]


def test_call_that_is_given_up_is_a_span_with_that_as_its_error() -> None:
    traced = Traced(Reply(interrupt=True), Reply(json={"data": []}))
    with pytest.raises(Interrupt):
        traced.client.messages.create(**ASKED)
    traced.client.models.list()
    assert [span.attributes.get("error.type") for span in traced.spans] == ["given_up", None]
    assert [span.status.is_unset for span in traced.spans] == [False, True]


def test_number_that_cannot_be_exported_is_left_out() -> None:
    traced = Traced(Reply(json=message_json(usage={"input_tokens": 2**63, "output_tokens": -1})))
    traced.client.messages.create(**ASKED)
    assert traced.attributes()["gen_ai.usage.input_tokens"] == 0
    assert traced.attributes()["gen_ai.usage.output_tokens"] == 0
