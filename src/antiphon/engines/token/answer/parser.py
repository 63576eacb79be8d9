"""What a model writes, read as it comes: text, thoughts and calls, in whatever pieces.

No piece of call syntax is ever text, and nothing is a call before it is sure to be one. Tokens
are neither lost nor made: an event carries those of all that was read since the one before.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from msgspec.structs import replace

from antiphon.core.prompt import (
    EngineEvent,
    Finished,
    FinishReason,
    TextChunk,
    ThinkingChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.engines.token.prompt.call_syntax import CallSyntax, to_json
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags
from antiphon.schemas.check import first_error

FRAGMENT: Final = 48
"""Characters of an input that was checked whole and is sent in pieces."""

_SPACE: Final = " \t\r\n"
HEAD: Final = 1000
"""Characters within which a call has named its tool."""


class _State(Enum):
    START = auto()  # nothing but space so far
    THINKING = auto()
    TEXT = auto()
    CALL = auto()  # behind an opening, before arguments that are streamed
    ARGUMENTS = auto()  # of a call that is streamed
    CLOSING = auto()  # behind the arguments of such a call
    REJECTED = auto()  # behind a call that does not fit


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """How to read an answer: which calls there can be, and how thoughts are marked, if at all.

    `sure` says that a grammar has seen to it that calls are calls: one whose input does not fit
    is then rejected, to be sampled again, and otherwise it is text. The inputs of `held` tools
    are not streamed before they are whole, whatever was asked: they must fit, and the grammar
    alone does not see to that. `forced` says that there is nothing but calls.
    `thought` says that a thought was before it.
    """

    syntax: CallSyntax
    tools: tuple[Tool, ...] = ()
    marks: ReasoningTags | None = None
    thought: bool = False
    sure: bool = False
    forced: bool = False
    must_fit: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A call whose input does not fit: where its text began, and what it cost for nothing."""

    at: int
    name: str
    why: str
    tokens: int


class AnswerParser:
    """Reads one answer. `feed` it pieces, then `finish`.

    When there is something `rejected`, what has been fed from there on is forgotten: go on with
    another text `again`. Who is not `demanding` gets calls that do not fit, but for those that
    must.
    """

    def __init__(self, reading: AnswerFormat) -> None:
        self._syntax = reading.syntax
        self._tools = {tool.name: tool for tool in reading.tools}
        self._marks = reading.marks
        self._sure = reading.sure
        self._forced = reading.forced
        self._must_fit = reading.must_fit
        self._streamed = {
            tool.name
            for tool in reading.tools
            if tool.eager_input_streaming and tool.name not in reading.held
        }
        self.demanding = reading.sure
        self.rejected: Rejected | None = None
        self._fed = 0
        self._call_at = 0
        self._trims = reading.thought
        self._called = False
        self._state = _State.START
        self._held = ""
        self._tokens = 0
        self._json = JsonEnd()
        self._scanned = 0
        self._ends: int | None = None
        self._head = _head_pattern(reading.syntax)

    def feed(self, text: str, tokens: int) -> list[EngineEvent]:
        self._held += text
        self._fed += len(text)
        self._tokens += tokens
        return self._priced(self._read(last=False))

    def again(self) -> None:
        """Forget the call that was rejected; the text that is fed next takes its place."""
        self._fed = self._call_at
        self._held = ""
        self._tokens = 0
        self.rejected = None
        self._state = _State.TEXT if self._syntax.opening else _State.START

    def finish(self, reason: FinishReason, tokens: int) -> list[EngineEvent]:
        """Say what was held back, and the end. An answer cut in a call shows what came of it."""
        self._tokens += tokens
        cut = reason is not FinishReason.END_TURN
        if cut:
            self._drop_opening()
        rest = [*self._priced(self._read(last=True)), *self._priced(self._rest(cut=cut))]
        return [*rest, Finished(reason, self._tokens)]

    def _drop_opening(self) -> None:
        """Forget an opening that was cut in the middle; one character of it may be text."""
        begun = overlap(self._held, self._syntax.opening) if self._tools else 0
        if self._state in (_State.START, _State.TEXT) and begun > (0 if self._forced else 1):
            self._held = self._held[:-begun].rstrip(_SPACE)

    def _priced(self, events: Iterable[EngineEvent]) -> list[EngineEvent]:
        """Give the tokens read so far to the first event."""
        priced: list[EngineEvent] = []
        for event in events:
            priced.append(_with_tokens(event, self._tokens))
            self._tokens = 0
        return priced

    def _read(self, *, last: bool) -> Iterator[EngineEvent]:
        before = None
        while before != (self._state, self._held):
            before = (self._state, self._held)
            match self._state:
                case _State.START:
                    yield from self._start(last=last)
                case _State.THINKING:
                    yield from self._thought(last=last)
                case _State.TEXT:
                    yield from self._text(last=last)
                case _State.CALL:
                    yield from self._call()
                case _State.ARGUMENTS:
                    yield from self._arguments()
                case _State.CLOSING:
                    self._closing(last=last)
                case _State.REJECTED:
                    return

    def _start(self, *, last: bool) -> Iterator[EngineEvent]:
        """Look whether the answer begins with a thought, or as a call that has no opening."""
        begun = self._held.lstrip(_SPACE)
        bare = bool(self._tools) and not self._syntax.opening
        opening = self._marks.opening if self._marks is not None else ""
        if opening and begun.startswith(opening):
            self._held = begun.removeprefix(opening)
            self._state = _State.THINKING
        elif not last and self._undecided(begun, opening, bare=bare):
            return
        elif bare and begun.startswith("{"):
            self._begin_call()
        else:
            self._held = begun.removeprefix(self._gap).lstrip(_SPACE) if self._trims else self._held
            self._state = _State.TEXT
        yield from ()

    @property
    def _gap(self) -> str:
        """What stands between a thought and its answer, but for space."""
        return self._marks.gap.strip() if self._marks is not None and self._trims else ""

    def _undecided(self, begun: str, opening: str, *, bare: bool) -> bool:
        if not begun:
            return bool(opening) or self._trims or bare
        return any(mark.startswith(begun) for mark in (opening, self._gap) if mark)

    def _thought(self, *, last: bool) -> Iterator[EngineEvent]:
        closing = self._marks.closing if self._marks is not None else ""
        thought, found, rest = self._upto(closing, last=last)
        if thought:
            yield ThinkingChunk(thought, 0)
        self._held = rest
        if found:
            self._trims = True
            self._state = _State.START

    def _text(self, *, last: bool) -> Iterator[EngineEvent]:
        opening = self._syntax.opening if self._tools else ""
        text, found, rest = self._upto(opening, last=last)
        if opening:
            # The space around calls belongs to them, so it waits for what comes.
            solid = text.rstrip(_SPACE) if found or not last or self._called else text
            rest = rest if found else text[len(solid) :] + rest
            text = solid
        self._held = rest
        if text:
            yield TextChunk(text, 0)
        if found:
            self._begin_call()

    def _upto(self, mark: str, *, last: bool) -> tuple[str, bool, str]:
        """Split what is held at `mark`, keeping back what may be the beginning of one."""
        if not mark:
            return self._held, False, ""
        before, found, rest = self._held.partition(mark)
        if found:
            return before, True, rest
        keep = len(self._held) - (0 if last else overlap(self._held, mark))
        return self._held[:keep], False, self._held[keep:]

    def _begin_call(self) -> None:
        self._state = _State.CALL
        self._call_at = self._fed - len(self._held) - len(self._syntax.opening)
        self._json = JsonEnd()
        self._scanned = 0
        self._ends = None

    def _call(self) -> Iterator[EngineEvent]:
        tool, head = self._eager()
        if tool is not None:
            yield ToolCallStart(tool.name, 0)
            self._called = True
            self._held = self._held[head:]
            self._json = JsonEnd()
            self._state = _State.ARGUMENTS
            return
        length = self._length()
        if length is None:
            return
        whole, self._held = self._held[:length], self._held[length:]
        self._state = _State.TEXT
        yield from self._checked(whole)

    def _eager(self) -> tuple[Tool | None, int]:
        """Find the tool that is called and where its input begins, if it is to be streamed."""
        if not self._streamed or len(self._held) > HEAD:
            return None, 0
        head = self._head.match(self._held)
        tool = self._tools.get(_name(head) or "")
        eager = head is not None and tool is not None and tool.name in self._streamed
        return (tool, head.end()) if head is not None and eager else (None, 0)

    def _length(self) -> int | None:
        """Measure the call that is held, once it is all there or can be none."""
        start = len(self._held) - len(self._held.lstrip(_SPACE))
        if start == len(self._held):
            return None
        if self._held[start] != "{":
            return start
        if self._ends is None:
            found = self._json.find(self._held[self._scanned :])
            self._ends = None if found is None else self._scanned + found
            self._scanned = len(self._held)
        return None if self._ends is None else self._closed(self._ends)

    def _closed(self, end: int) -> int | None:
        tail = self._held[end:].lstrip(_SPACE)
        closing = self._syntax.closing
        if tail.startswith(closing):
            return len(self._held) - len(tail) + len(closing)
        return None if closing.startswith(tail) else end

    def _checked(self, whole: str) -> Iterator[EngineEvent]:
        syntax = self._syntax
        body = whole.removesuffix(syntax.closing) if whole.endswith(syntax.closing) else ""
        call = _decoded(body, syntax.arguments)
        tool = None if call is None else self._tools.get(call[0])
        if call is None or tool is None:
            yield TextChunk(syntax.opening + whole, 0)
            return
        why = first_error(call[1], tool.input_schema)
        if why is not None and not self._sure:
            yield TextChunk(syntax.opening + whole, 0)
            return
        if why is not None and (self.demanding or tool.name in self._must_fit):
            self.rejected = Rejected(self._call_at, tool.name, why, self._tokens)
            self._state = _State.REJECTED
            return
        self._called = True
        yield ToolCallStart(call[0], 0)
        yield from _fragments(to_json(call[1]))

    def _arguments(self) -> Iterator[EngineEvent]:
        end = self._json.find(self._held)
        piece = self._held[:end]
        self._held = "" if end is None else self._held[end:]
        if piece:
            yield ToolCallJson(piece, 0)
        if end is not None:
            self._state = _State.CLOSING

    def _closing(self, *, last: bool) -> None:
        after = "}" + self._syntax.closing
        squeezed = "".join(self._held.split())
        if squeezed.startswith(after):
            self._held = self._held.partition(after[-1:] if len(after) == 1 else after[1:])[2]
            self._state = _State.TEXT
        elif last or not after.startswith(squeezed):
            self._held = "" if last else self._held
            self._state = _State.TEXT

    def _rest(self, *, cut: bool) -> Iterator[EngineEvent]:
        """Say what is to be said of a call that is not whole at the end."""
        if self._state is not _State.CALL:
            return
        head = self._head.match(self._held)
        name = _name(head)
        if cut and head is not None and name in self._tools:
            yield ToolCallStart(name or "", 0)
            yield from _fragments(self._held[head.end() :])
        elif not cut:
            yield TextChunk(self._syntax.opening + self._held, 0)


def _head_pattern(syntax: CallSyntax) -> re.Pattern[str]:
    return re.compile(
        r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"' + syntax.arguments + r'"\s*:\s*(?=\{)'
    )


def _name(head: re.Match[str] | None) -> str | None:
    if head is None:
        return None
    try:
        return str(json.loads(head[1]))
    except ValueError:
        return None


def _decoded(body: str, arguments: str) -> tuple[str, dict[str, Any]] | None:
    try:
        call: Any = json.loads(body)
    except ValueError:
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    given = call.get(arguments, {})
    return (call["name"], given) if isinstance(given, dict) else None


def _fragments(text: str) -> Iterator[ToolCallJson]:
    for start in range(0, len(text), FRAGMENT):
        yield ToolCallJson(text[start : start + FRAGMENT], 0)


def _with_tokens(event: EngineEvent, tokens: int) -> EngineEvent:
    return replace(event, tokens=tokens)


class JsonEnd:
    """Finds where a JSON object or array ends, in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def find(self, text: str) -> int | None:
        """Return how much of `text` belongs to the value, or nothing if all of it does."""
        for place, character in enumerate(text):
            if self._quoted:
                self._in_string(character)
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return place + 1
        return None

    def _in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._quoted = False


def overlap(text: str, mark: str) -> int:
    """Count the characters at the end of `text` that `mark` begins with."""
    longest = min(len(text), len(mark) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(mark[:n])), 0)
