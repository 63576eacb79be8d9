"""Turns the chunks of a chat completion into engine events.

    chunk* finish_reason chunk* (the usage) [DONE]

A chunk counts as one token until the server sends a usage. The last usage is the true count; its
tokens beyond those of the events are in `Finished`. An answer that a filter stops is a refusal, and
so is a `refusal` in words, which becomes the answer's text.
"""

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from antiphon.engines.base import (
    EngineError,
    EngineEvent,
    Finished,
    FinishReason,
    TextChunk,
    ThinkingChunk,
)
from antiphon.engines.upstream.chat_completions.calls import Line
from antiphon.engines.upstream.http import decode, failed, refusal, sentence
from antiphon.wire.sse import Frame

DONE: Final = "[DONE]"
REPLACEMENT: Final = "\ufffd"

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**31)]


class CallFunction(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class CallDelta(msgspec.Struct, frozen=True):
    """A piece of a call. Some servers leave the index out."""

    index: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    id: str | None = None
    function: CallFunction = CallFunction()


class Delta(msgspec.Struct, frozen=True):
    """The new part of an answer. Servers have different names for thinking."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallDelta] | None = None


class Choice(msgspec.Struct, frozen=True):
    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None


class ChunkUsage(msgspec.Struct, frozen=True):
    completion_tokens: Count | None = None


class Chunk(msgspec.Struct, frozen=True):
    """One event of a stream; vLLM writes errors with `object: error`."""

    choices: list[Choice] | None = None
    usage: ChunkUsage | None = None
    error: Any = None
    object: str | None = None
    message: str | None = None
    code: Any = None


class ChatAnswer:
    """One answer. Call `feed` with frames until `done`, then `end`.

    `max_tokens` is the limit of the caller; `limited` is true if the context has room for less.
    """

    def __init__(self, max_tokens: int, *, limited: bool) -> None:
        self._max_tokens = max_tokens
        self._limited = limited
        self._line = Line()
        self._finish: str | None = None
        self._counted: int | None = None
        self._reported = 0
        self._refused = False
        self.done = False

    def feed(self, frame: Frame) -> list[EngineEvent]:
        """Return the events of the next frame."""
        if frame.data == DONE:
            self.done = True
            return []
        chunk = decode(frame.data, Chunk)
        if chunk.error is not None or chunk.object == "error" or frame.event == "error":
            raise _broken(chunk)
        if chunk.usage is not None and chunk.usage.completion_tokens is not None:
            self._counted = chunk.usage.completion_tokens
        events: list[EngineEvent] = []
        for choice in chunk.choices or ():
            events += self._choice(choice)
        return self._count(events)

    def end(self) -> list[EngineEvent]:
        """Return the remaining events, `Finished` last. Raises for an answer without an end."""
        if self._finish is None:
            raise failed("the answer ended in the middle")
        cut = self._finish == "length"
        events = self._count(self._line.end(cut=cut))
        rest = 0 if self._counted is None else max(0, self._counted - self._reported)
        return [*events, Finished(self._reason(), rest)]

    def _choice(self, choice: Choice) -> list[EngineEvent]:
        if choice.index != 0:
            raise failed("a second answer came, where one was asked for")
        events = [] if choice.delta is None else self._delta(choice.delta)
        if events and self._finish is not None:
            raise failed("the answer went on after its end")
        if choice.finish_reason is not None:
            self._finish = choice.finish_reason
        return events

    def _delta(self, delta: Delta) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        if thought := delta.reasoning_content or delta.reasoning:
            events += self._line.chunk(ThinkingChunk, thought)
        # Models may sample bytes that are no character; they arrive as U+FFFD.
        if text := (delta.content or delta.refusal or "").replace(REPLACEMENT, ""):
            events += self._line.chunk(TextChunk, text)
        self._refused = self._refused or bool(delta.refusal)
        for call in delta.tool_calls or ():
            function = call.function
            events += self._line.call(call.index, call.id, function.name, function.arguments or "")
        return events

    def _count(self, events: list[EngineEvent]) -> list[EngineEvent]:
        self._reported += sum(event.tokens for event in events)
        if self._counted is None or self._reported <= self._counted:
            return events
        # With more pieces than tokens the last pieces count 0, so that the sum stays true.
        return [self._cheaper(event) for event in events]

    def _cheaper(self, event: EngineEvent) -> EngineEvent:
        free = min(event.tokens, self._reported - (self._counted or 0))
        self._reported -= free
        return replace(event, tokens=event.tokens - free) if free else event

    def _reason(self) -> FinishReason:
        match self._finish:
            case "content_filter":
                return FinishReason.REFUSAL
            case "stop" if self._refused:
                return FinishReason.REFUSAL
            case "stop" | "tool_calls" | "function_call":
                return FinishReason.END_TURN
            case "length":
                early = self._counted is not None and self._counted < self._max_tokens
                full = self._limited or early
                return FinishReason.CONTEXT_WINDOW if full else FinishReason.MAX_TOKENS
            case reason:
                raise failed(f"the answer stopped for an unknown reason: {str(reason)[:50]!r}")


def _broken(chunk: Chunk) -> EngineError:
    """Return the error of a chunk in the middle of an answer, which may carry a status."""
    error = chunk.error if isinstance(chunk.error, dict) else {"code": chunk.code}
    code = error.get("code")
    message = chunk.message if chunk.error is None else sentence({"error": chunk.error})
    if isinstance(code, int) and 400 <= code < 600:  # noqa: PLR2004 - HTTP's errors
        return refusal(code, message)
    # The message may quote the prompt, and this error goes to the log.
    return failed("it gave up in the middle of its answer")
