"""Turns the stream events of an upstream's message into engine events.

The grammar is that of `antiphon.wire.events`; an upstream that breaks it has failed. A delta counts
as one token until `message_delta` has the count of the message; the rest is in `Finished`.
`pause_turn` belongs to tools that the upstream runs; none was offered, so it is a failure too.
"""

from typing import Final

import msgspec

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
    ToolCallJson,
    ToolCallStart,
)
from antiphon.engines.upstream.http import decode, failed, refusal, sentence
from antiphon.engines.upstream.messages_api.events import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Delta,
    ErrorEvent,
    Event,
    MessageDelta,
    PromptUsage,
    Reader,
    Start,
    Stop,
    StopDetails,
)
from antiphon.engines.upstream.messages_api.proof_envelope import ProofEnvelope
from antiphon.wire.partial_json import completed
from antiphon.wire.sse import Frame

PIECES: Final = {
    "text": frozenset({"text_delta", "citations_delta"}),
    "thinking": frozenset({"thinking_delta", "signature_delta"}),
    "redacted_thinking": frozenset[str](),
    "tool_use": frozenset({"input_json_delta"}),
}
"""The deltas of each kind of block."""

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
REPLACEMENT: Final = "\ufffd"


class UpstreamMessage:
    """One answer. Call `feed` with frames until `done`, then `end`.

    `max_tokens` is the limit of the caller; `limited` is true if the context has room for less.
    """

    def __init__(
        self, max_tokens: int, envelope: ProofEnvelope, reader: Reader, *, limited: bool
    ) -> None:
        self._max_tokens = max_tokens
        self._reader = reader
        self._envelope = envelope
        self._limited = limited
        self._started = False
        self._index = 0
        self._block: Block | None = None
        self._input: list[str] = []
        self._signature = ""
        self._reason: str | None = None
        self._details: StopDetails | None = None
        self._counted: int | None = None
        self._reported = 0
        self.done = False

    def feed(self, frame: Frame) -> list[EngineEvent]:
        """Return the events of the next frame."""
        event = self._reader.read(frame)
        if event is None:
            return []
        events = self._piece(event) if isinstance(event, BlockDelta) else self._step(event)
        self._reported += sum(one.tokens for one in events)
        return events

    def end(self) -> list[EngineEvent]:
        """Return `Finished`. Raises for an answer without an end."""
        if not self.done:
            raise failed("the answer ended in the middle")
        rest = 0 if self._counted is None else max(0, self._counted - self._reported)
        reason, refusal = self._finish(), None
        if reason is FinishReason.REFUSAL and self._details is not None:
            refusal = Refusal(self._details.category, self._details.explanation)
        return [Finished(reason, rest, refusal)]

    def _step(self, event: Event) -> list[EngineEvent]:
        match event:
            case BlockStart():
                return self._begin(event)
            case BlockStop():
                return self._close(event)
            case Start():
                self._check(not self._started, "a message_start in the middle")
                self._started = True
                return _prompt_size(event.message.usage)
            case MessageDelta():
                self._ending(event)
            case Stop():
                self._check(self._reason is not None, "message_stop before a stop reason")
                self._check(self._block is None, "message_stop in a block")
                self.done = True
            case ErrorEvent():
                raise _broken(event)
        # llama.cpp omits message_start if an answer begins in the middle of a character.
        self._started = True
        return []

    def _ending(self, event: MessageDelta) -> None:
        self._check(self._block is None, "message_delta in a block")
        self._reason = event.delta.stop_reason or self._reason
        self._details = event.delta.stop_details or self._details
        if event.usage is not None and event.usage.output_tokens is not None:
            self._counted = event.usage.output_tokens

    def _begin(self, event: BlockStart) -> list[EngineEvent]:
        block = event.content_block
        self._started = True
        in_order = self._block is None and self._reason is None
        self._check(in_order and event.index == self._index, "a block starts out of order")
        self._check(block.type in PIECES, "a block of an unknown type")
        self._block = block
        self._signature = block.signature or ""
        if block.type == "redacted_thinking":
            return [RedactedThought(self._envelope.close(block.data))]
        if block.type == "tool_use":
            self._check(bool(block.name), "a call without the name of a tool")
            self._input = [msgspec.json.encode(block.input).decode()] if block.input else []
            first = [ToolCallJson(text, 0) for text in self._input]
            return [ToolCallStart(block.name or "", 1), *first]
        return self._talk(Delta("", text=block.text, thinking=block.thinking))

    def _piece(self, event: BlockDelta) -> list[EngineEvent]:
        block, delta = self._block, event.delta
        if block is None or event.index != self._index:
            raise failed("a delta of a block that is not open")
        self._check(delta.type in PIECES[block.type], "a delta of another block's kind")
        self._signature += delta.signature
        if not delta.partial_json:
            return self._talk(delta)
        self._input.append(delta.partial_json)
        return [ToolCallJson(delta.partial_json, 1)]

    def _talk(self, delta: Delta) -> list[EngineEvent]:
        if text := delta.text.replace(REPLACEMENT, ""):
            return [TextChunk(text, 1)]
        return [ThinkingChunk(delta.thinking, 1)] if delta.thinking else []

    def _close(self, event: BlockStop) -> list[EngineEvent]:
        block = self._block
        self._check(event.index == self._index, "a block ends out of order")
        self._started = True
        if block is None:
            return []  # llama.cpp ends an empty block without having begun it
        if block.type == "tool_use":
            self._check_input()
        self._block = None
        self._index += 1
        if block.type != "thinking" or not self._signature:
            return []
        return [ThinkingSignature(self._envelope.close(self._signature))]

    def _check_input(self) -> None:
        """Refuse an input that is no object, unless the limit has cut it."""
        text = "".join(self._input)
        whole = decode(completed(text), object) if text else {}
        self._check(isinstance(whole, dict), "the input of a call is no JSON object")

    def _check(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - the condition itself
        if not holds:
            raise failed(otherwise)

    def _finish(self) -> FinishReason:
        match self._reason:
            case "end_turn" | "tool_use" | "stop_sequence":
                return FinishReason.END_TURN
            case "refusal":
                return FinishReason.REFUSAL
            case "model_context_window_exceeded":
                return FinishReason.CONTEXT_WINDOW
            case "max_tokens":
                early = self._counted is not None and self._counted < self._max_tokens
                full = self._limited or early
                return FinishReason.CONTEXT_WINDOW if full else FinishReason.MAX_TOKENS
            case reason:
                raise failed(f"the answer stopped for an unknown reason: {str(reason)[:50]!r}")


def _prompt_size(usage: PromptUsage | None) -> list[EngineEvent]:
    """Return the size of the prompt; servers send none, or 0, before they know it."""
    if usage is None:
        return []
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    whole = (usage.input_tokens or 0) + read + written
    if not whole:
        return []
    hour = min(
        written, usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation else 0
    )
    started = Started(
        input_tokens=whole,
        cache_read_tokens=read,
        cache_write_5m_tokens=written - hour,
        cache_write_1h_tokens=hour,
    )
    return [started]


def _broken(event: ErrorEvent) -> EngineError:
    """Return the error of an error event, by the status of its type."""
    message = sentence(event.error.message)
    return refusal(STATUSES.get(event.error.type, 500), message)
