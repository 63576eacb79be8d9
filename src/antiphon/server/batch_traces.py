"""Spans of Message Batches: one for the life of a batch, and one in it for each of its requests.

A batch has a trace of its own, as it may live for a day; each of its spans has a link to the span
of the call that created it. Whichever process works on the batch, the ids of its span follow from
that of the batch, so the spans of requests are below it before it is made. They are recorded if the
create was: what it has not recorded has no `traceparent`.

Imported only with traces, as its packages are an extra.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Final

import msgspec
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from antiphon import __version__
from antiphon.core.errors import InternalError, OverloadedError, TimeoutError_
from antiphon.server.span_attributes import NANO_DOLLARS, in_ns, of_answer, of_generation
from antiphon.service.batches.group_commit import Ending
from antiphon.store.batches.rows import COUNTS, Batch
from antiphon.wire.errors import shortened

_TRACEPARENT: Final = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_OF_THE_SERVER: Final = frozenset({InternalError.type, OverloadedError.type, TimeoutError_.type})
"""The errors that are no fault of a request."""


class _Named(msgspec.Struct, frozen=True):
    id: str | None = None
    type: str | None = None


class _Envelope(msgspec.Struct, frozen=True):
    error: _Named = _Named()


class _Result(msgspec.Struct, frozen=True):
    """The part of a result that its span says: the id of its message, or the type of its error."""

    message: _Named = _Named()
    error: _Envelope = _Envelope()


class BatchTracer:
    """Makes the spans of batches and of their requests.

    What it makes first of a provider is another sampler, so no tracer may have been made of it.
    """

    def __init__(
        self, provider: TracerProvider, *, gen_ai: bool, now_ns: Callable[[], int]
    ) -> None:
        self._choice = choice = _Choice()
        provider.sampler = _Sampler(provider.sampler, choice)
        provider.id_generator = _Ids(provider.id_generator, choice)
        self._tracer = provider.get_tracer("antiphon", __version__)
        self._gen_ai = gen_ai
        self._now_ns = now_ns

    def batch_ended(self, batch: Batch) -> None:
        """Make the span of a batch, from its create to its end."""
        if batch.ended_at is None or (link := _link(batch.traceparent)) is None:
            return
        with self._choice.recorded(*_ids(batch.id)):
            span = self._tracer.start_span(
                "batch",
                kind=SpanKind.INTERNAL,
                links=[link],
                start_time=in_ns(batch.created_at),
            )
        for name in ("requests", *COUNTS):
            span.set_attribute(f"antiphon.batch.{name}", getattr(batch, name))
        span.set_attribute("antiphon.batch.id", batch.id)
        span.set_attribute("antiphon.cost_dollars", batch.cost / NANO_DOLLARS)
        if batch.cancel_initiated_at is not None:
            span.add_event("canceling", timestamp=in_ns(batch.cancel_initiated_at))
        span.end(in_ns(batch.ended_at))

    def request_ended(self, ending: Ending) -> None:
        """Make the span of a request: of the run that is billed, or of none, at its end."""
        if ending.finished is None or (link := _link(ending.traceparent)) is None:
            return
        entry, batch_id = ending.finished.entry, ending.finished.batch_id
        result = msgspec.json.decode(ending.finished.result, type=_Result)
        now_ns = self._now_ns()
        with self._choice.recorded():
            span = self._tracer.start_span(
                f"chat {shortened(entry.model)}" if self._gen_ai and entry else "answer",
                context=_below(*_ids(batch_id)),
                kind=SpanKind.INTERNAL,
                links=[link],
                start_time=now_ns if entry is None else in_ns(entry.started_at),
            )
        span.set_attribute("antiphon.batch.id", batch_id)
        span.set_attribute("antiphon.batch.request", ending.finished.number)
        if entry is not None:
            span.set_attribute("antiphon.request_id", entry.id)
            span.set_attributes(of_answer(entry, ending.note.gate_s))
            if self._gen_ai:
                span.set_attributes(of_generation(entry, result.message.id, streamed=False))
        if (error_type := result.error.error.type) is not None:
            span.set_attribute("error.type", error_type)
            if error_type in _OF_THE_SERVER:
                span.set_status(StatusCode.ERROR)
        span.end(now_ns if entry is None else in_ns(entry.ended_at))


class _Choice:
    """What the next span is: its ids, and whether it is recorded whatever the sampler says."""

    def __init__(self) -> None:
        self._ids: tuple[int, int] | None = None
        self.is_recorded = False

    @property
    def trace_id(self) -> int | None:
        return None if self._ids is None else self._ids[0]

    @property
    def span_id(self) -> int | None:
        return None if self._ids is None else self._ids[1]

    @contextmanager
    def recorded(self, *ids: int) -> Iterator[None]:
        """Have the span of the block be recorded, with the ids of a trace and of a span if given.

        Nothing may be waited for in the block.
        """
        self.is_recorded = True
        self._ids = (ids[0], ids[1]) if ids else None
        try:
            yield
        finally:
            self.is_recorded, self._ids = False, None


class _Sampler(Sampler):
    """Another sampler, which is not asked about what was decided before."""

    def __init__(self, inner: Sampler, choice: _Choice) -> None:
        self._inner = inner
        self._choice = choice

    def should_sample(  # noqa: PLR0913, PLR0917 - as the SDK has it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if self._choice.is_recorded:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return self._inner.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return self._inner.get_description()


class _Ids(RandomIdGenerator):
    """Other ids, but for a span whose ids are chosen."""

    def __init__(self, inner: IdGenerator, choice: _Choice) -> None:
        self._inner = inner
        self._choice = choice

    def generate_span_id(self) -> int:
        return self._choice.span_id or self._inner.generate_span_id()

    def generate_trace_id(self) -> int:
        return self._choice.trace_id or self._inner.generate_trace_id()


def _ids(batch_id: str) -> tuple[int, int]:
    """Return the ids of the trace and of the span of a batch: each process finds the same."""
    digest = sha256(batch_id.encode()).digest()
    trace, span = digest[:_TRACE_BYTES], digest[_TRACE_BYTES : _TRACE_BYTES + _SPAN_BYTES]
    return int.from_bytes(trace, "big") or 1, int.from_bytes(span, "big") or 1


def _below(trace_id: int, span_id: int) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED)
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(parent))


def _link(traceparent: str | None) -> Link | None:
    """Return the link to the span that a `traceparent` names; `None` if it names none."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return Link(context)
