"""What has come of a stream, and how long to wait for more. No input or output.

Drivers read chunks and hand them in: one that blocks, one for asyncio (`streams`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from antiphon.sdk.call import Call
from antiphon.sdk.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    IncompleteStreamError,
    status_of,
)
from antiphon.sdk.event_reader import EventReader
from antiphon.sdk.exchange import Observer, status_error
from antiphon.sdk.fold import EventOrderError, MessageFold
from antiphon.sdk.stream_end import StreamEnd
from antiphon.sdk.types.derived import (
    CitationEvent,
    ContentBlockStopEvent,
    InputJsonEvent,
    MessageStopEvent,
    MessageStreamEvent,
    SignatureEvent,
    TextEvent,
    ThinkingEvent,
)
from antiphon.sdk.types.events import (
    CitationsDelta,
    ErrorEvent,
    InputJSONDelta,
    Ping,
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawContentBlockStopEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    RawMessageStopEvent,
    RawMessageStreamEvent,
    SignatureDelta,
    StreamItem,
    TextDelta,
    ThinkingDelta,
)
from antiphon.transport.base import Headers, TransportError, TransportTimeout

if TYPE_CHECKING:
    from antiphon.sdk.types.message import Message

# Nothing follows the last event but the end of the answer, which comes with it; a server that does
# not end it costs a connection and this wait.
LONGEST_END_S = 1.0
# A frame of a ping has fewer bytes.
LONGEST_PING = 128
BEFORE_CONTENT = frozenset({Ping, RawMessageStartEvent, RawContentBlockStartEvent})
NOT_SHOWN_AS_THEY_ARE = frozenset({Ping, ErrorEvent, RawMessageStopEvent})


class StreamState:
    """The state of one stream.

    `failure` is raised when all events before it were taken; `over` says that nothing follows.
    `idle` bounds the seconds in which a stream brings nothing but pings.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of the call
        self,
        call: Call[Any],
        headers: Headers,
        *,
        begun: float,
        idle: float | None,
        now: Callable[[], float],
        observers: Sequence[Observer] = (),
    ) -> None:
        self.headers = headers
        self.failure: APIError | None = None
        self.over = False
        self._call = call
        self._name = f"{call.method} {call.path}"
        self._begun = begun
        self._idle = idle
        self._now = now
        self._observers = observers
        self._first_content: float | None = None
        self._last_content = now()
        self._reader = EventReader()
        self._stopped = False
        self._ended = False
        kind = headers.get("content-type") or ""
        self._is_no_stream = kind.startswith(("application/json", "text/html"))
        self._start: RawMessageStreamEvent | None = None
        self._end: RawMessageStreamEvent | None = None

    def wait(self) -> float | None:
        """Return how many seconds to wait for the next chunk, at most."""
        if self._stopped:
            return LONGEST_END_S
        left = self._idle_left()
        return None if left is None else max(left, 0.001)

    def take(self, chunk: bytes) -> list[RawMessageStreamEvent]:
        """Return the events that a chunk brings; an empty one is the end of the answer."""
        reader = self._reader
        events = reader.feed(chunk) if chunk else reader.rest()
        order = list(map(type, events))
        kinds = set(order)
        if len(kinds) > (Ping in kinds) or reader.waiting > LONGEST_PING:
            self._note_content(kinds, order, events)
        if reader.fault is not None:
            self.failure = self._validation_error(reader.fault)
        if self._is_no_stream:
            self.failure = self._validation_error(f"it is {self.headers['content-type']}")
        found: Any = events
        if self._stopped or not kinds.isdisjoint(NOT_SHOWN_AS_THEY_ARE):
            found = self._shown(order, events)
        if not chunk:
            self.over = True
            if not self._stopped and self.failure is None:
                self.failure = self._incomplete("the answer ended")
        elif (left := self._idle_left()) is not None and left <= 0 and not self._stopped:
            self.failure = self.failure or self._idle_error()
        shown: list[RawMessageStreamEvent] = found
        return shown

    def _note_content(self, kinds: set[type], order: Sequence[type], events: Sequence[Any]) -> None:
        """Take note of when content came, and of the events that the observers are told."""
        self._last_content = self._now()
        if self._first_content is None and kinds - BEFORE_CONTENT:
            self._first_content = self._last_content
        if RawMessageStartEvent in kinds:
            self._start = events[~order[::-1].index(RawMessageStartEvent)]
        if RawMessageDeltaEvent in kinds:
            self._end = events[~order[::-1].index(RawMessageDeltaEvent)]

    def finish(self) -> None:
        """Tell the observers, once, that nothing follows."""
        self.over = True
        if self._ended:
            return
        self._ended = True
        first = self._first_content
        end = StreamEnd(
            headers=self.headers,
            elapsed=self._now() - self._begun,
            first=None if first is None else first - self._begun,
            whole=self._stopped and self.failure is None,
            error=self.failure,
            start_event=self._start,
            end_event=self._end,
        )
        for observer in self._observers:
            ended: Callable[[Call[Any], StreamEnd], None] | None
            ended = getattr(observer, "ended", None)
            if ended is not None:
                ended(self._call, end)

    def _idle_left(self) -> float | None:
        return None if self._idle is None else self._idle - (self._now() - self._last_content)

    def _shown(self, order: Sequence[type], events: Sequence[StreamItem]) -> Sequence[StreamItem]:
        """Return events without pings, up to an error or the last one. `order` are their types."""
        is_usual = not self._stopped and Ping not in order and ErrorEvent not in order
        if is_usual and order.index(RawMessageStopEvent) == len(order) - 1:
            self._stopped = True
            return events
        found: list[RawMessageStreamEvent] = []
        for event in events:
            if self._stopped:
                break
            if isinstance(event, ErrorEvent):
                self.failure = self._status_error(event)
                break
            if not isinstance(event, Ping):
                found.append(event)
                self._stopped = isinstance(event, RawMessageStopEvent)
        return found

    def lose(self, error: TransportError) -> None:
        """Take note that no more comes. Behind the last event that is no failure."""
        self.over = True
        if self._stopped:
            return
        if isinstance(error, TransportTimeout):
            self.failure = self._idle_error()
        else:
            self.failure = self._incomplete(str(error))
        self.failure.__cause__ = error

    def _incomplete(self, why: str) -> APIConnectionError:
        return IncompleteStreamError(f"{self._name}: the stream broke off before its end: {why}")

    def _idle_error(self) -> APITimeoutError:
        return APITimeoutError(
            f"{self._name}: the stream brought nothing but pings for {self._idle:g} s (`timeout`)"
        )

    def _validation_error(self, why: str) -> APIResponseValidationError:
        return APIResponseValidationError(
            f"{self._name}: the stream is none of the API: {why}",
            status_code=200,
            request_id=self.headers.get("request-id"),
        )

    def _status_error(self, event: ErrorEvent) -> APIStatusError:
        body = msgspec.json.encode(event.to_dict())
        kind = getattr(event.error, "type", None)  # what some proxies send is a text
        status = status_of(kind if isinstance(kind, str) else "api_error")
        return status_error(status, self.headers, body)

    def order_error(self, error: EventOrderError) -> APIResponseValidationError:
        return self._validation_error(str(error))


class MessageEvents:
    """The events of one message with those that are derived of them, and the message so far."""

    def __init__(self, state: StreamState) -> None:
        self.state = state
        self.fold = MessageFold()
        self._raw: deque[RawMessageStreamEvent] = deque()
        # An event and one that is derived of it are two steps.
        self._derived: MessageStreamEvent | None = None

    def take(self, events: Iterable[RawMessageStreamEvent]) -> None:
        self._raw.extend(events)

    def next_event(self) -> MessageStreamEvent | None:
        """Return the next event; `None` if more bytes are needed. Raises `APIError`."""
        if (derived := self._derived) is not None:
            self._derived = None
            return derived
        if not self._raw:
            return None
        event = self._raw.popleft()
        self._add(event)
        if type(event) is RawContentBlockDeltaEvent:
            self._derived = self._derive(event)
            return event
        if isinstance(event, RawContentBlockStopEvent):
            block = self.fold.block_at(event.index).block()
            return ContentBlockStopEvent(event.index, block)
        if isinstance(event, RawMessageStopEvent):
            return MessageStopEvent(self.message())
        passed: Any = event
        found: MessageStreamEvent = passed
        return found

    def next_text(self) -> str | None:
        """Return the next piece of text; `None` if more bytes are needed. Raises `APIError`."""
        derived, self._derived = self._derived, None
        if isinstance(derived, TextEvent):
            return derived.text
        raw = self._raw
        while raw:
            event = raw.popleft()
            self._add(event)
            if type(event) is RawContentBlockDeltaEvent and type(event.delta) is TextDelta:
                return event.delta.text
        return None

    def skip(self) -> None:
        """Take all events that have come at once. Raises `APIError`."""
        self._derived = None
        try:
            self.fold.add_all(self._raw)
        except EventOrderError as error:
            raise self.state.order_error(error) from error

    def _add(self, event: RawMessageStreamEvent) -> None:
        try:
            self.fold.add(event)
        except EventOrderError as error:
            raise self.state.order_error(error) from error

    def _derive(self, event: RawContentBlockDeltaEvent) -> MessageStreamEvent | None:
        delta, block = event.delta, self.fold.blocks[event.index]
        match delta:
            case TextDelta():
                return TextEvent(delta.text, block)
            case InputJSONDelta():
                return InputJsonEvent(delta.partial_json, block)
            case ThinkingDelta():
                return ThinkingEvent(delta.thinking, block)
            case SignatureDelta():
                return SignatureEvent(delta.signature)
            case CitationsDelta():
                return CitationEvent(delta.citation, block)
        return None

    def message(self) -> Message:
        """Return the message as far as it has come. Raises `APIError` before its start."""
        try:
            message = self.fold.message()
        except EventOrderError as error:
            raise self.state.order_error(error) from error
        message.__dict__["_request_id"] = self.state.headers.get("request-id")
        return message

    def partial(self) -> Message | None:
        """Return the message as far as it has come, if it has begun."""
        return self.message() if self.fold.begun else None
