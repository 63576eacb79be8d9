"""Puts the pieces of an answer, which may arrive interleaved, into one order.

Text, thinking and calls stand in a queue. The first part is passed on as it comes; the others wait
for their turn: text ends when another part begins, a call when its input is whole.
"""

from collections import deque
from typing import TypeAlias

import msgspec

from antiphon.engines.base import EngineEvent, TextChunk, ThinkingChunk, ToolCallJson, ToolCallStart
from antiphon.engines.upstream.http import failed
from antiphon.wire.partial_json import completed

ChunkType: TypeAlias = type[TextChunk] | type[ThinkingChunk]


class _Part:
    """A part of the answer: its events that have not been passed on yet."""

    __slots__ = ("events",)

    def __init__(self) -> None:
        self.events: list[EngineEvent] = []


class _Chunks(_Part):
    """Text or thinking without a break."""

    __slots__ = ("kind",)

    def __init__(self, kind: ChunkType) -> None:
        super().__init__()
        self.kind = kind


class _Call(_Part):
    """A call of a tool, and its input so far."""

    __slots__ = ("call_id", "pieces")

    def __init__(self, call_id: str | None, name: str) -> None:
        super().__init__()
        self.call_id = call_id
        self.pieces: list[str] = []
        self.events.append(ToolCallStart(name, 1))

    def is_whole(self) -> bool:
        """Return whether the input is a JSON object, or nothing at all."""
        text = "".join(self.pieces)
        return not text.strip() or _is_object(text)

    def check(self, *, cut: bool) -> None:
        """Refuse an input that is no JSON object; one that was `cut` may end anywhere."""
        text = "".join(self.pieces)
        if not self.is_whole() and not (cut and _is_object(completed(text))):
            raise failed("the input of a call is no JSON object")


class Line:
    """The queue of the parts of an answer. Each method returns the events that may be passed on."""

    def __init__(self) -> None:
        self._line: deque[_Part] = deque()
        self._calls: dict[int, _Call] = {}
        self._last: _Call | None = None

    def chunk(self, kind: ChunkType, text: str) -> list[EngineEvent]:
        """Take a piece of text or of thinking."""
        last = self._line[-1] if self._line else None
        if not isinstance(last, _Chunks) or last.kind is not kind:
            last = _Chunks(kind)
            self._line.append(last)
        last.events.append(kind(text, 1))
        return self._pass_on()

    def call(
        self, index: int | None, call_id: str | None, name: str | None, text: str
    ) -> list[EngineEvent]:
        """Take a piece of a call: the first one names it."""
        call = self._last if index is None else self._calls.get(index)
        other = call is not None and call_id and call.call_id and call_id != call.call_id
        if call is None or other or (index is None and name):
            call = self._begin(index, call_id, name)
        if text:
            if call not in self._line:
                raise failed("more input for a call that has ended")
            call.pieces.append(text)
            call.events.append(ToolCallJson(text, 1))
        return self._pass_on()

    def end(self, *, cut: bool) -> list[EngineEvent]:
        """Return all remaining events. Only the last call may have been `cut`."""
        for part in self._line:
            if isinstance(part, _Call):
                part.check(cut=cut)
        events = [event for part in self._line for event in part.events]
        self._line.clear()
        return events

    def _begin(self, index: int | None, call_id: str | None, name: str | None) -> _Call:
        if not name:
            raise failed("a call without the name of a tool")
        call = self._last = _Call(call_id, name)
        self._calls[len(self._calls) if index is None else index] = call
        self._line.append(call)
        return call

    def _pass_on(self) -> list[EngineEvent]:
        line = self._line
        while len(line) > 1 and self._is_done(line[0]):
            done = line.popleft()
            line[0].events[:0] = done.events
        if not line:
            return []
        events, line[0].events = line[0].events, []
        return events

    def _is_done(self, part: _Part) -> bool:
        # A call whose input has not arrived yet looks like a call without input.
        return not isinstance(part, _Call) or (bool(part.pieces) and part.is_whole())


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
