"""Turns the stream events of an upstream's message into engine events.

The grammar is that of `antiphon.wire.events`. What an upstream leaves out or sends in another order
is read as far as it is plain: text is text wherever it comes, a block may lack its start or its
end, and either of a stop reason and `message_stop` makes an answer complete. A delta counts as one
token until `message_delta` has the count of the message; `Finished` has the rest, and the size of
the prompt where the upstream has reported it.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from antiphon.engines.base import (
    EngineError,
    EngineEvent,
    Finished,
    FinishReason,
    RedactedThought,
    Refusal,
    Started,
    TextChunk,
    ThinkingChunk,
    ThinkingSignature,
)
from antiphon.engines.upstream.http import failed
from antiphon.engines.upstream.messages_api.events import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    CacheWrites,
    Delta,
    ErrorEvent,
    Event,
    EventUsage,
    MessageDelta,
    Reader,
    Start,
    Stop,
    StopDetails,
)
from antiphon.engines.upstream.messages_api.proof_envelope import ProofEnvelope
from antiphon.engines.upstream.parts import Line
from antiphon.engines.upstream.reasons import CUT, finish_reason
from antiphon.engines.upstream.refusals import refusal, sentence
from antiphon.wire.sse import Frame

NO_WRITES: Final = CacheWrites()
BLOCKS: Final = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})

STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class _Open:
    """A block between its start and its stop; `key` names it among all blocks of the answer."""

    __slots__ = ("key", "signature", "type")

    def __init__(self, key: int, block: Block) -> None:
        self.key = key
        self.type = block.type
        self.signature = block.signature or ""


class UpstreamMessage:
    """One answer. Call `feed_all` with frames until `done`, then `end`.

    `max_tokens` is the limit of the caller; `limited` is true if the context has room for less.
    """

    def __init__(
        self, max_tokens: int, envelope: ProofEnvelope, reader: Reader, *, limited: bool
    ) -> None:
        self._max_tokens = max_tokens
        self._reader = reader
        self._envelope = envelope
        self._limited = limited
        self._line = Line()
        self._open: dict[int, _Open] = {}
        self._blocks = 0
        self._reason: str | None = None
        self._details: StopDetails | None = None
        self._usage = EventUsage()
        self._reported = 0
        self._said = False
        self.done = False

    def feed(self, frame: Frame) -> list[EngineEvent]:
        """Return the events of the next frame."""
        events = [said for event in self._reader.read(frame) for said in self._step(event)]
        self._reported += sum(one.tokens for one in events)
        return events

    def feed_all(self, frames: Sequence[Frame]) -> Iterator[EngineEvent]:
        """Yield the events of the next frames, up to the end of the answer."""
        events = self._reader.read_all(frames)
        if events is None:
            for frame in frames:
                yield from self.feed(frame)
                if self.done:
                    return
            return
        line = self._line
        for event in events:
            if type(event) is BlockDelta and line.text_flows and (text := _only_text(event.delta)):
                # Nearly every event of a stream is one of these.
                self._reported += 1
                yield TextChunk(text, 1)
                continue
            for said in self._step(event):
                self._reported += said.tokens
                yield said
            if self.done:
                return

    @property
    def begun(self) -> bool:
        """Whether a part of the answer has come."""
        return self._line.begun

    def end(self) -> list[EngineEvent]:
        """Return the remaining events, `Finished` last. Raises for an answer without an end."""
        if self._reason is None and not (self.done and self._said):
            raise failed("the answer ended in the middle")
        counted = self._usage.output_tokens or None
        reason = finish_reason(self._reason, counted, self._max_tokens, limited=self._limited)
        details = None
        if reason is FinishReason.REFUSAL and self._details is not None:
            details = Refusal(self._details.category, self._details.explanation)
        events = [said for index in list(self._open) for said in self._close(index)]
        events += self._line.end(cut=reason in CUT)
        self._reported += sum(one.tokens for one in events)
        rest = 0 if counted is None else counted - self._reported
        return [*events, Finished(reason, rest, details, _prompt(self._usage))]

    def _step(self, event: Event) -> list[EngineEvent]:
        match event:
            case BlockDelta(delta=delta, index=index):
                return self._piece(delta, index)
            case BlockStart(content_block=block, index=index):
                return self._begin(block, index)
            case BlockStop(index=index):
                return self._close(self._place(index))
            case Start(message=message):
                return self._start(message.usage if message else None)
            case MessageDelta():
                self._ending(event)
            case Stop():
                self.done = True
            case ErrorEvent():
                raise _broken(event)
        return []

    def _start(self, usage: EventUsage | None) -> list[EngineEvent]:
        """Return the size of the prompt; servers send none, or 0, before they know it.

        An answer that has begun, in whichever order, has no second start.
        """
        self._usage = _updated(self._usage, usage)
        prompt = None if self._said else _prompt(self._usage)
        self._said = self._said or prompt is not None
        return [] if prompt is None else [prompt]

    def _ending(self, event: MessageDelta) -> None:
        self._usage = _updated(self._usage, event.usage)
        if event.delta is not None:
            self._reason = event.delta.stop_reason or self._reason
            self._details = event.delta.stop_details or self._details

    def _begin(self, block: Block, index: int | None) -> list[EngineEvent]:
        if block.type not in BLOCKS:
            raise failed("a block of an unknown type")
        place = self._blocks if index is None else index
        events = self._close(place)
        self._open[place] = opened = _Open(self._blocks, block)
        self._blocks += 1
        if block.type == "redacted_thinking":
            return events + self._line.event(
                RedactedThought(self._envelope.close(block.data or ""))
            )
        if block.type == "tool_use":
            text = msgspec.json.encode(block.input).decode() if block.input else ""
            return events + self._line.call(opened.key, block.id, block.name, text)
        return events + self._talk(block.text, block.thinking)

    def _piece(self, delta: Delta, index: int | None) -> list[EngineEvent]:
        events = self._talk(delta.text, delta.thinking)
        if delta.signature:
            self._block("thinking", index).signature += delta.signature
        if delta.partial_json:
            call = self._block("tool_use", index)
            events += self._line.call(call.key, None, None, delta.partial_json)
        return events

    def _talk(self, text: str | None, thinking: str | None) -> list[EngineEvent]:
        events = self._line.chunk(ThinkingChunk, thinking) if thinking else []
        if text:
            events += self._line.chunk(TextChunk, text)
        self._said = self._said or bool(text or thinking)
        return events

    def _place(self, index: int | None) -> int:
        """Return the index of an open block; the last one, where the server names none."""
        return next(reversed(self._open), -1) if index is None else index

    def _block(self, kind: str, index: int | None) -> _Open:
        """Return the open block of this kind that a delta belongs to, or one without a start."""
        found = self._open.get(self._place(index))
        if found is None or found.type != kind:
            same = [block for block in self._open.values() if block.type == kind]
            found = same[-1] if same else None
        if found is None:
            self._open[self._blocks] = found = _Open(self._blocks, Block(kind))
            self._blocks += 1
        return found

    def _close(self, place: int) -> list[EngineEvent]:
        block = self._open.pop(place, None)
        if block is None:
            return []  # llama.cpp ends an empty block without having begun it
        if block.type == "tool_use":
            return self._line.close(block.key)
        if block.type != "thinking" or not block.signature:
            return []
        return self._line.event(ThinkingSignature(self._envelope.close(block.signature)))


def _only_text(delta: Delta) -> str | None:
    """Return the text of a piece that is nothing else, and has no halves of characters."""
    text = delta.text
    if not text or delta.thinking or delta.partial_json or delta.signature or not text.isascii():
        return None
    return text


def _updated(usage: EventUsage, later: EventUsage | None) -> EventUsage:
    """Return the counters of both; later ones replace earlier ones, a prompt of 0 tokens does not.

    Some servers fill in what they know at the end, others leave it at 0 there.
    """
    if later is None:
        return usage
    tokens = later.output_tokens or usage.output_tokens
    if not _prompt_tokens(later):
        return replace(usage, output_tokens=tokens)
    names = later.__struct_fields__
    found = {name: value for name in names if (value := getattr(later, name)) is not None}
    return replace(usage, **{**found, "output_tokens": tokens})


def _prompt_tokens(usage: EventUsage) -> int:
    """Return the size of the prompt, 0 as long as the server has not counted it."""
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return (usage.input_tokens or 0) + read + written


def _prompt(usage: EventUsage) -> Started | None:
    """Return the size of the prompt and its parts, `None` as long as it has not been counted."""
    whole = _prompt_tokens(usage)
    if not whole:
        return None
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    writes = usage.cache_creation or NO_WRITES
    hour = min(written, writes.ephemeral_1h_input_tokens or 0)
    return Started(
        input_tokens=whole,
        cache_read_tokens=read,
        cache_write_5m_tokens=written - hour,
        cache_write_1h_tokens=hour,
    )


def _broken(event: ErrorEvent) -> EngineError:
    """Return the error of an error event, by the status of its type."""
    kind, message = (event.error.type, event.error.message) if event.error else (None, None)
    return refusal(STATUSES.get(kind or "", 500), sentence(message))
