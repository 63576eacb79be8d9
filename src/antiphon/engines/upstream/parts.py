"""Puts the pieces of an answer, which may arrive interleaved, into one order.

Text, thinking and calls stand in a queue. The first part is passed on as it comes; the others wait
for their turn: text ends when another part begins, a call when its input is whole. A call may get
its id, its name and its input in any order; it waits for its name. Each piece is looked at a fixed
number of times.
"""

import re
from collections import deque
from typing import Final, TypeAlias

import msgspec

from antiphon.engines.base import EngineEvent, TextChunk, ThinkingChunk, ToolCallJson, ToolCallStart
from antiphon.engines.upstream.halves import REPLACEMENT, JsonHalves, TextHalves
from antiphon.engines.upstream.http import failed
from antiphon.wire.partial_json import completed

ChunkType: TypeAlias = type[TextChunk] | type[ThinkingChunk]

EMPTY: Final = "{}"
_SIGN: Final = re.compile(r'\\.|["{}\[\]]', re.DOTALL)


class _Part:
    """A part of the answer: its events that have not been passed on yet.

    `flows` is true if they may be passed on, once it is the first part.
    """

    __slots__ = ("events", "flows")

    def __init__(self) -> None:
        self.events: list[EngineEvent] = []
        self.flows = True

    @property
    def done(self) -> bool:
        """Whether the part behind it may be passed on."""
        return True


class _Chunks(_Part):
    """Text or thinking without a break."""

    __slots__ = ("halves", "kind")

    def __init__(self, kind: ChunkType) -> None:
        super().__init__()
        self.kind = kind
        self.halves = TextHalves()

    def add(self, text: str) -> None:
        if self.halves.half or not text.isascii():
            text = self.halves.feed(text)
            if self.kind is TextChunk:
                # Models may sample bytes that are no character; they arrive as U+FFFD.
                text = text.replace(REPLACEMENT, "")
        if text:
            self.events.append(self.kind(text, 1))


class _Call(_Part):
    """A call of a tool, and its input so far."""

    __slots__ = (
        "_depth",
        "_empty",
        "_halves",
        "_pieces",
        "_quoted",
        "_shut",
        "_whole",
        "call_id",
        "closed",
        "gone",
        "name",
    )

    def __init__(self) -> None:
        super().__init__()
        self.flows = False
        self.call_id: str | None = None
        self.name = ""
        self.closed = False
        self.gone = False
        self._pieces: list[str] = []
        self._halves = JsonHalves()
        self._empty = False
        self._depth = 0
        self._quoted = False
        self._shut = False
        # `None` while it is not known; a text is looked at once, when its first bracket has ended.
        self._whole: bool | None = None

    @property
    def done(self) -> bool:
        # A call whose input has not arrived yet looks like a call without input.
        return self.flows and (self.closed or self.whole)

    @property
    def begun(self) -> bool:
        """Whether a part of its input has come."""
        return bool(self._pieces)

    @property
    def bare(self) -> bool:
        """Whether nothing but an id has come."""
        return not self.name and not self._pieces and not self._empty

    @property
    def whole(self) -> bool:
        """Whether its input is there, a JSON object."""
        if self._whole is None:
            self._whole = self._empty if not self._pieces else self._is_object()
        return self._whole

    def rename(self, name: str) -> None:
        self.name = name
        self.flows = True
        self.events.insert(0, ToolCallStart(name, 1))

    def add(self, text: str) -> None:
        """Take the next piece of the input; a text that repeats all of it is dropped."""
        if self.whole and (not text.strip() or self._repeats(text)):
            return
        if self.gone:
            raise failed("more input for a call that has ended")
        if not self._pieces and text.strip() == EMPTY:
            # Some servers begin with an empty object, which the true input then replaces.
            self._empty, self._whole = True, None
            return
        text = self._halves.feed(text)
        self._pieces.append(text)
        self.events.append(ToolCallJson(text, 1))
        self._whole = None if self._closes(text) else False

    def end(self) -> None:
        """Add what was held back."""
        if self._empty and not self._pieces:
            rest, tokens = EMPTY, 1
        else:
            rest, tokens = self._halves.end(), 0
        if rest:
            self._pieces.append(rest)
            self.events.append(ToolCallJson(rest, tokens))

    def check(self, *, cut: bool) -> None:
        """Refuse an input that is no JSON object; one that was `cut` may end anywhere."""
        if not self.name:
            raise failed("a call without the name of a tool")
        text = "".join(self._pieces)
        if text.strip() and not _is_object(completed(text) if cut else text):
            raise failed("the input of a call is no JSON object")

    def _closes(self, text: str) -> bool:
        """Follow the brackets of the input, and return whether the first ends in this piece."""
        before = self._shut
        for sign in _SIGN.findall(text):
            if sign == '"':
                self._quoted = not self._quoted
            elif not self._quoted and sign in "{[":
                self._depth += 1
            elif not self._quoted and sign in "}]":
                self._depth -= 1
                self._shut = self._shut or self._depth <= 0
        return self._shut and not before

    def _is_object(self) -> bool:
        return _is_object("".join(self._pieces))

    def _repeats(self, text: str) -> bool:
        return text.strip() == ("".join(self._pieces).strip() or EMPTY)


class Line:
    """The queue of the parts of an answer. Each method returns the events that may be passed on.

    While `text_flows`, text without halves of characters passes as it is, also without `chunk`.
    """

    def __init__(self) -> None:
        self._line: deque[_Part] = deque()
        self._calls: dict[int, _Call] = {}
        self._ids: dict[str, _Call] = {}
        self._last: _Call | None = None
        self.text_flows = False

    @property
    def begun(self) -> bool:
        """Whether a part has come."""
        return bool(self._line)

    def chunk(self, kind: ChunkType, text: str) -> list[EngineEvent]:
        """Take a piece of text or of thinking."""
        line = self._line
        last = line[-1] if line else None
        if not isinstance(last, _Chunks) or last.kind is not kind:
            last = _Chunks(kind)
            line.append(last)
        last.add(text)
        if len(line) > 1:
            self.text_flows = False
            return self._pass_on()
        self.text_flows = kind is TextChunk and not last.halves.half
        passed, last.events = last.events, []
        return passed

    def event(self, event: EngineEvent) -> list[EngineEvent]:
        """Take an event that is a part of its own."""
        self.text_flows = False
        part = _Part()
        part.events.append(event)
        self._line.append(part)
        return self._pass_on()

    def call(
        self, index: int | None, call_id: str | None, name: str | None, text: str
    ) -> list[EngineEvent]:
        """Take a piece of a call, which is found by its index or, without one, by its id."""
        call = self._find(index, call_id)
        if call is None or _is_other(call, call_id, name):
            call = self._begin(index)
        if call_id:
            call.call_id = call.call_id or call_id
            self._ids[call_id] = call
        if name and not call.name:
            call.rename(name)
        if text:
            call.add(text)
        return self._pass_on()

    def close(self, index: int) -> list[EngineEvent]:
        """Take the end of a call: nothing of it comes any more."""
        if call := self._calls.get(index):
            call.closed = True
        return self._pass_on()

    def end(self, *, cut: bool) -> list[EngineEvent]:
        """Return all remaining events. Only the last call may have been `cut`."""
        for part in self._line:
            if isinstance(part, _Call) and not part.bare:
                part.end()
                part.check(cut=cut)
        events = [event for part in self._line for event in part.events]
        self.text_flows = False
        self._line.clear()
        return events

    def _find(self, index: int | None, call_id: str | None) -> _Call | None:
        if index is not None:
            return self._calls.get(index)
        return self._ids.get(call_id or "", self._last)

    def _begin(self, index: int | None) -> _Call:
        self.text_flows = False
        call = self._last = _Call()
        self._calls[len(self._calls) if index is None else index] = call
        self._line.append(call)
        return call

    def _pass_on(self) -> list[EngineEvent]:
        line, events = self._line, list[EngineEvent]()
        while line and line[0].flows:
            first = line[0]
            passed, first.events = first.events, []
            events = events + passed if events else passed
            if len(line) == 1 or not first.done:
                break
            if isinstance(first, _Call):
                first.end()
                if not first.whole:
                    # It was closed before; only the last call may be cut.
                    first.check(cut=False)
                first.gone = True
                events += first.events
            line.popleft()
        return events


def _is_other(call: _Call, call_id: str | None, name: str | None) -> bool:
    """Return whether a piece begins another call than the one that it seems to belong to.

    An index may be missing or always 0, and some servers make a new id for each piece, or repeat
    the name. What has begun goes on until its input is whole.
    """
    known = bool(call_id) and call_id == call.call_id
    different = bool(call_id and call.call_id) and not known
    if not name:
        return different and call.whole
    if not call.name or known:
        return False
    return call.whole or name != call.name or (different and not call.begun)


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
