"""Spans of OpenTelemetry for the calls of a client: an observer, for programs that have traces.

    client = antiphon.Client(observers=[antiphon.CallSpans()])

Each attempt of a call is one span, and an answer that is read as it comes is one from its request
to its end; one that is neither read to its end nor closed has none. An attempt that is given up, as
by a task that was cancelled, has the error `given_up`. Spans are made at the end, of what is known
then, below the span that is current there, and have the names of the conventions for generative AI.
Never a prompt, an answer or a key. The package of the API of OpenTelemetry is needed:
`pip install 'antiphon[otel]'`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import msgspec

from antiphon import __version__
from antiphon.sdk.call import NOT_JSON, Answer, Call
from antiphon.sdk.exchange import ERRORS_FROM, Opened, Outcome, status_error
from antiphon.sdk.stream_end import StreamEnd
from antiphon.transport.base import TransportError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, TracerProvider

Attributes: TypeAlias = dict[str, Any]
NS = 1_000_000_000
LARGEST = 2**63 - 1
"""A larger number would fail the export of all spans beside it."""
NEEDS = "spans need the package: pip install 'antiphon[otel]'"


class _Asked(msgspec.Struct):
    """What a span tells of the body of a request."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool = False


class CallSpans:
    """Makes the spans. `provider` is by default the one of the program.

    Raises `ImportError` without the package of OpenTelemetry.
    """

    def __init__(
        self,
        provider: TracerProvider | None = None,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        try:
            from opentelemetry.trace import SpanKind, StatusCode, get_tracer  # noqa: PLC0415
        except ImportError as error:
            raise ImportError(NEEDS) from error
        self._tracer = get_tracer("antiphon.sdk", __version__, tracer_provider=provider)
        self._client, self._error = SpanKind.CLIENT, StatusCode.ERROR
        self._now_ns = now_ns
        # When an attempt began, by the identity of its call. Each one ends, or is given up.
        self._begun: dict[int, int] = {}

    def before(self, call: Call[Any], _attempt: int) -> float:
        self._begun[id(call)] = self._now_ns()
        return 0.0

    def given_up(self, call: Call[Any]) -> None:
        begun = self._begun.pop(id(call), None)
        if begun is not None:
            self._make(_of_request(call), (self._now_ns() - begun) / NS, "given_up")

    def after(self, call: Call[Any], attempt: int, outcome: Outcome) -> None:
        self._begun.pop(id(call), None)
        if isinstance(outcome, Opened):
            return  # its span is made when the stream ends
        error: str | None = None
        found = _of_request(call)
        if attempt:
            found["http.request.resend_count"] = attempt
        if isinstance(outcome, TransportError):
            error = type(outcome).__name__
        else:
            found["http.response.status_code"] = outcome.status
            found |= _request_id(outcome.headers.get("request-id"))
            if outcome.status >= ERRORS_FROM:
                error = status_error(outcome.status, outcome.headers, outcome.body).type
                error = error or str(outcome.status)
            elif "gen_ai.operation.name" in found:
                found |= _of_answer(outcome)
        self._make(found, outcome.elapsed, error)

    def ended(self, call: Call[Any], stream: StreamEnd) -> None:
        found = _of_request(call) | _request_id(stream.headers.get("request-id"))
        found["http.response.status_code"] = 200
        message, end = stream.start.get("message"), stream.end
        delta = end.get("delta")
        told = {**(message if isinstance(message, dict) else {})}
        told |= delta if isinstance(delta, dict) else {}
        found |= _of_message(told, _usage(told.get("usage")) | _usage(end.get("usage")))
        if stream.first is not None:
            found["gen_ai.response.time_to_first_chunk"] = stream.first
        error = None if stream.error is None else type(stream.error).__name__
        kind = getattr(stream.error, "type", None)
        self._make(found, stream.elapsed, kind if isinstance(kind, str) else error)

    def _make(self, attributes: Attributes, seconds: float, error: str | None) -> None:
        ended_at = self._now_ns()
        span: Span = self._tracer.start_span(
            _name(attributes),
            kind=self._client,
            start_time=ended_at - round(seconds * NS),
            attributes=attributes,
        )
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(self._error)
        span.end(ended_at)


def _name(attributes: Attributes) -> str:
    operation = attributes.get("gen_ai.operation.name")
    if operation is not None:
        return f"{operation} {attributes.get('gen_ai.request.model', '')}".strip()
    return str(attributes["http.request.method"])


def _of_request(call: Call[Any]) -> Attributes:
    found: Attributes = {
        "http.request.method": call.method,
        "url.path": urlsplit(call.path).path,
    }
    if call.method != "POST" or call.path != "/v1/messages":
        return found
    try:
        asked = msgspec.json.decode(call.body, type=_Asked)
    except NOT_JSON:
        asked = _Asked()
    known = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": asked.model,
        "gen_ai.request.max_tokens": asked.max_tokens,
        "gen_ai.request.temperature": asked.temperature,
        "gen_ai.request.top_p": asked.top_p,
        "gen_ai.request.top_k": asked.top_k,
        "gen_ai.request.stream": asked.stream,
    }
    return found | {name: value for name, value in known.items() if value is not None}


def _request_id(found: str | None) -> Attributes:
    return {} if found is None else {"antiphon.request_id": found}


def _of_answer(answer: Answer) -> Attributes:
    try:
        message = msgspec.json.decode(answer.body)
    except NOT_JSON:
        return {}
    if not isinstance(message, dict):
        return {}
    return _of_message(message, _usage(message.get("usage")))


def _usage(usage: Any) -> Attributes:
    known = usage if isinstance(usage, dict) else {}
    return {name: value for name, value in known.items() if value is not None}


def _of_message(message: Mapping[str, Any], usage: Mapping[str, Any]) -> Attributes:
    """Return what is told of a message.

    In the conventions tokens of the prompt cache are a part of the input; in the API they are not.
    """

    def count(name: str) -> int:
        value = usage.get(name)
        return value if isinstance(value, int) and 0 <= value <= LARGEST else 0

    read, written = count("cache_read_input_tokens"), count("cache_creation_input_tokens")
    found: Attributes = {}
    for name, value in (
        ("gen_ai.response.id", message.get("id")),
        ("gen_ai.response.model", message.get("model")),
    ):
        if isinstance(value, str):
            found[name] = value
    if isinstance(reason := message.get("stop_reason"), str):
        found["gen_ai.response.finish_reasons"] = [reason]
    if usage:
        found["gen_ai.usage.input_tokens"] = count("input_tokens") + read + written
        found["gen_ai.usage.cache_read.input_tokens"] = read
        found["gen_ai.usage.cache_write.input_tokens"] = written
        found["gen_ai.usage.output_tokens"] = count("output_tokens")
    return found
