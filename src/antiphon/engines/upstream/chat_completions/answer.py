"""Turns the chunks of a chat completion into engine events.

    chunk* finish_reason chunk* (the usage) [DONE]

Either of `finish_reason` and `[DONE]` makes an answer complete. A chunk counts as one token until
the server sends a usage. The last usage is the true count, and the end of the answer corrects what
was told before: its own tokens, and those of the prompt. An answer that a filter stops is a
refusal, and so is a `refusal` in words, which becomes the answer's text.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from antiphon.engines.base import (
    EngineError,
    EngineErrorKind,
    EngineEvent,
    Finished,
    FinishReason,
    Started,
    TextChunk,
    ThinkingChunk,
)
from antiphon.engines.upstream.chat_completions.chunks import (
    CallFunction,
    Choice,
    Chunk,
    ChunkReader,
    ChunkUsage,
    Delta,
    chunks_of,
    only_text,
)
from antiphon.engines.upstream.http import failed
from antiphon.engines.upstream.loose import whole
from antiphon.engines.upstream.parts import Line
from antiphon.engines.upstream.reasons import CUT, finish_reason
from antiphon.engines.upstream.refusals import refusal, sentence
from antiphon.engines.upstream.too_long import too_long
from antiphon.wire.sse import Frame

DONE: Final = "[DONE]"
PINGS: Final = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
"""The names of events that only keep a connection open, whatever they say."""


class ChatAnswer:
    """One answer. Call `feed_all` with frames until `done`, then `end`.

    `max_tokens` is the limit of the caller; `limited` is true if the context has room for less.
    """

    def __init__(self, max_tokens: int, reader: ChunkReader, *, limited: bool) -> None:
        self._max_tokens = max_tokens
        self._limited = limited
        self._reader = reader
        self._line = Line()
        self._index: int | None = None
        self._finish: str | None = None
        self._counted: int | None = None
        self._prompt: Started | None = None
        self._reported = 0
        self._said = False
        self._refused = False
        self.done = False

    def feed(self, frame: Frame) -> list[EngineEvent]:
        """Return the events of the next frame."""
        data = "" if frame.event in PINGS else frame.data.strip()
        if data == DONE:
            self.done = True
            return []
        events: list[EngineEvent] = []
        for chunk in chunks_of(data) if data else ():
            if frame.event == "error":
                raise _broken(chunk)
            events += self._read(chunk)
        return self._count(events)

    def feed_all(self, frames: Sequence[Frame]) -> Iterator[EngineEvent]:
        """Yield the events of the next frames, up to the end of the answer."""
        texts = [frame.data for frame in frames if frame.event == "message"]
        plain = len(texts) == len(frames)
        done = plain and texts[-1:] == [DONE]
        if done:
            texts.pop()
        chunks = self._reader.read_all(texts) if plain else None
        if chunks is None:
            for frame in frames:
                yield from self.feed(frame)
                if self.done:
                    return
            return
        line = self._line
        for chunk in chunks:
            if line.text_flows and self._counted is None and (text := self._only_text(chunk)):
                # Nearly every chunk of a stream is one of these.
                self._reported += 1
                yield TextChunk(text, 1)
                continue
            events = self._read(chunk)
            yield from self._count(events) if events else ()
        self.done = done

    def _only_text(self, chunk: Chunk) -> str | None:
        """Return the text of a chunk that is nothing else, and has no halves of characters."""
        if chunk.error is not None or chunk.object == "error" or chunk.usage is not None:
            return None
        choices = chunk.choices
        if choices is None or len(choices) != 1:
            return None
        choice = choices[0]
        if choice.finish_reason or choice.usage is not None or (choice.index or 0) != self._index:
            return None
        delta = choice.delta
        return None if delta is None else only_text(delta)

    def _read(self, chunk: Chunk) -> list[EngineEvent]:
        """Return the events of a chunk, whose tokens have not been counted."""
        if chunk.is_error:
            raise _broken(chunk)
        if chunk.usage is not None:
            self._usage(chunk.usage)
        events: list[EngineEvent] = []
        for choice in chunk.choices or ():
            said = self._choice(choice)
            events = events + said if events else said
        return events

    @property
    def begun(self) -> bool:
        """Whether a part of the answer has come."""
        return self._line.begun

    def end(self) -> list[EngineEvent]:
        """Return the remaining events, `Finished` last. Raises for an answer without an end."""
        seen = self._said or self._counted is not None
        if self._finish is None and not (self.done and seen):
            raise failed("the answer ended in the middle")
        reason = finish_reason(self._finish, self._counted, self._max_tokens, limited=self._limited)
        if self._refused and reason is FinishReason.END_TURN:
            reason = FinishReason.REFUSAL
        events = self._count(self._line.end(cut=reason in CUT))
        rest = 0 if self._counted is None else self._counted - self._reported
        return [*events, Finished(reason, rest, prompt=self._prompt)]

    def _usage(self, usage: ChunkUsage) -> None:
        """Take over what the server counted; 0 stands for what it has not counted yet."""
        self._counted = usage.completion_tokens or self._counted
        if usage.prompt_tokens:
            read = min(usage.cached or 0, usage.prompt_tokens)
            self._prompt = Started(input_tokens=usage.prompt_tokens, cache_read_tokens=read)

    def _choice(self, choice: Choice) -> list[EngineEvent]:
        index = choice.index or 0
        self._index = index if self._index is None else self._index
        if index != self._index:
            raise failed("a second answer came, where one was asked for")
        if choice.usage is not None:
            self._usage(choice.usage)
        delta = choice.delta
        if delta is None and not self._said:
            # A whole message at the end of a stream repeats what has come.
            delta = choice.message
        self._finish = choice.finish_reason or self._finish
        return [] if delta is None else self._delta(delta)

    def _delta(self, delta: Delta) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        thought = delta.reasoning_content or delta.reasoning
        text = delta.content or delta.refusal
        if thought:
            events += self._line.chunk(ThinkingChunk, thought)
        if text:
            events += self._line.chunk(TextChunk, text)
        self._refused = self._refused or bool(delta.refusal)
        self._said = self._said or bool(thought or text)
        for call in delta.tool_calls or ():
            function = call.function or CallFunction(call.name, call.arguments)
            events += self._call(call.index, call.id, function)
        if delta.function_call is not None:
            events += self._call(None, None, delta.function_call)
        return events

    def _call(
        self, index: int | None, call_id: str | None, function: CallFunction
    ) -> list[EngineEvent]:
        self._said = self._said or bool(function.name or function.arguments)
        return self._line.call(index, call_id, function.name, function.arguments or "")

    def _count(self, events: list[EngineEvent]) -> list[EngineEvent]:
        self._reported += sum(event.tokens for event in events)
        if self._counted is None or self._reported <= self._counted:
            return events
        # With more pieces than tokens the last pieces count 0, so that the sum stays true.
        return [self._cheaper(event) for event in events]

    def _cheaper(self, event: EngineEvent) -> EngineEvent:
        free = max(0, min(event.tokens, self._reported - (self._counted or 0)))
        self._reported -= free
        return replace(event, tokens=event.tokens - free) if free else event


def _broken(chunk: Chunk) -> EngineError:
    """Return the error of a chunk in the middle of an answer, which may carry a status."""
    error = chunk.error if isinstance(chunk.error, dict) else {"code": chunk.code}
    code = whole(error.get("code"))
    message = chunk.message if chunk.error is None else sentence({"error": chunk.error})
    if code is not None and 400 <= code < 600:  # noqa: PLR2004 - HTTP's errors
        return refusal(code, message, body=error)
    if long := too_long(message, error):
        return EngineError(EngineErrorKind.UNSUPPORTED, long)
    # The message may quote the prompt, and this error goes to the log.
    return failed("it gave up in the middle of its answer")
