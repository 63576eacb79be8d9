"""What a model writes, read as it comes: text, thoughts and calls, in whatever pieces.

No piece of call syntax is ever text, and nothing is a call before it is sure to be one. Tokens
are neither lost nor made: an event carries those of all that was read since the one before.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from antiphon.core.generation import (
    EngineEvent,
    Finished,
    FinishReason,
    TextChunk,
    ThinkingChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.engines.llama.constraints import THINK, THOUGHT
from antiphon.engines.llama.syntax import CallSyntax

FRAGMENT: Final = 48
"""Characters of an input that was checked whole and is sent in pieces."""

_SPACE: Final = " \t\r\n"
_INSIDE: Final = re.compile(r'[^"{}\[\]]*')
_STRING_PART: Final = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)


class _State(Enum):
    START = auto()  # nothing but space so far
    THINKING = auto()
    TEXT = auto()
    CALL = auto()  # behind an opening, before arguments that are streamed
    ARGUMENTS = auto()  # of a call that is streamed
    CLOSING = auto()  # behind the arguments of such a call


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read an answer: which calls there can be, and whether it thinks (already)."""

    syntax: CallSyntax
    tools: tuple[Tool, ...] = ()
    thinks: bool = False
    thinking: bool = False


class AnswerReader:
    """Reads one answer. `feed` it pieces, then `finish`."""

    def __init__(self, reading: Reading) -> None:
        self._syntax = reading.syntax
        self._tools = {tool.name: tool for tool in reading.tools}
        self._thinks = reading.thinks
        self._state = _State.THINKING if reading.thinking else _State.START
        self._held = ""
        self._tokens = 0
        self._json = JsonEnd()
        self._head = _head_pattern(reading.syntax)

    @property
    def thinking(self) -> bool:
        """Whether what comes next is thought."""
        return self._state is _State.THINKING

    def feed(self, text: str, tokens: int) -> list[EngineEvent]:
        self._held += text
        self._tokens += tokens
        return self._priced(self._read(last=False))

    def finish(self, reason: FinishReason, tokens: int) -> list[EngineEvent]:
        """Say what was held back, and the end. An answer cut in a call shows what came of it."""
        self._tokens += tokens
        cut = reason is not FinishReason.END_TURN
        rest = [*self._priced(self._read(last=True)), *self._priced(self._rest(cut=cut))]
        return [*rest, Finished(reason, self._tokens)]

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

    def _start(self, *, last: bool) -> Iterator[EngineEvent]:
        """Look whether the answer begins with a thought, or as a call that has no opening."""
        begun = self._held.lstrip(_SPACE)
        if self._thinks and not last and THINK.startswith(begun):
            return
        if self._thinks and begun.startswith(THINK):
            self._held = begun.removeprefix(THINK)
            self._state = _State.THINKING
        elif self._tools and not self._syntax.opening and (not begun or begun[0] == "{"):
            if begun:
                self._state = _State.CALL
        elif begun or last or not self._thinks:
            self._state = _State.TEXT
        yield from ()

    def _thought(self, *, last: bool) -> Iterator[EngineEvent]:
        thought, found, rest = self._upto(THOUGHT, last=last)
        if thought:
            yield ThinkingChunk(thought, 0)
        self._held = rest
        if found:
            self._thinks = False
            self._state = _State.START

    def _text(self, *, last: bool) -> Iterator[EngineEvent]:
        opening = self._syntax.opening if self._tools else ""
        text, found, self._held = self._upto(opening, last=last)
        if text and (text.strip(_SPACE) or not found):
            yield TextChunk(text, 0)
        if found:
            self._state = _State.CALL

    def _upto(self, mark: str, *, last: bool) -> tuple[str, bool, str]:
        """Split what is held at `mark`, keeping back what may be the beginning of one."""
        if not mark:
            return self._held, False, ""
        before, found, rest = self._held.partition(mark)
        if found:
            return before, True, rest
        keep = 0 if last else _overlap(self._held, mark)
        return self._held[: len(self._held) - keep], False, self._held[len(self._held) - keep :]

    def _call(self) -> Iterator[EngineEvent]:
        head = self._head.match(self._held)
        name = _name(head)
        tool = self._tools.get(name) if name is not None else None
        if head is not None and tool is not None and tool.eager_input_streaming:
            yield ToolCallStart(tool.name, 0)
            self._held = self._held[head.end() :]
            self._json = JsonEnd()
            self._state = _State.ARGUMENTS
            return
        body, rest = self._whole()
        if body is None:
            return
        yield from self._checked(body)
        self._held = rest
        self._state = _State.TEXT

    def _whole(self) -> tuple[str | None, str]:
        """Cut the call that is held from what follows it, if it is all there."""
        begun = self._held.lstrip(_SPACE)
        if not begun:
            return None, ""
        end = JsonEnd().find(begun) if begun[0] == "{" else 0
        if end is None:
            return None, ""
        tail = begun[end:].lstrip(_SPACE)
        closing = self._syntax.closing
        if not tail.startswith(closing):
            # Too short to say, or no call.
            return (None, "") if closing.startswith(tail) else (begun[:end] + "\0", tail)
        return begun[:end], tail.removeprefix(closing)

    def _checked(self, body: str) -> Iterator[EngineEvent]:
        call = _decoded(body, self._syntax.arguments)
        if call is None or call[0] not in self._tools:
            yield TextChunk(self._syntax.opening + body.removesuffix("\0"), 0)
            return
        yield ToolCallStart(call[0], 0)
        yield from _fragments(call[1])

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
            closing = self._syntax.closing
            self._held = self._held.partition(closing or "}")[2]
            self._state = _State.TEXT
        elif last or not after.startswith(squeezed):
            self._held = ""
            self._state = _State.TEXT

    def _rest(self, *, cut: bool) -> Iterator[EngineEvent]:
        """Say what is to be said of a call that is not whole at the end."""
        if self._state is not _State.CALL or not (self._held or self._syntax.opening):
            return
        head = self._head.match(self._held)
        name = _name(head)
        if cut and head is not None and name in self._tools:
            yield ToolCallStart(name or "", 0)
            yield from _fragments(self._held[head.end() :])
        elif not cut:
            yield TextChunk(self._syntax.opening + self._held, 0)


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


def _decoded(body: str, arguments: str) -> tuple[str, str] | None:
    """Read a call: its name, and its arguments as they were written."""
    try:
        call: Any = json.loads(body)
    except ValueError:
        return None
    if not isinstance(call, dict) or not isinstance(call.get(arguments, {}), dict):
        return None
    name = call.get("name")
    if not isinstance(name, str):
        return None
    return name, json.dumps(call.get(arguments, {}), ensure_ascii=False)


def _fragments(text: str) -> Iterator[ToolCallJson]:
    for start in range(0, len(text), FRAGMENT):
        yield ToolCallJson(text[start : start + FRAGMENT], 0)


def _overlap(text: str, mark: str) -> int:
    """Count the characters at the end of `text` that `mark` begins with."""
    longest = min(len(text), len(mark) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(mark[:n])), 0)


def _with_tokens(event: EngineEvent, tokens: int) -> EngineEvent:
    match event:
        case TextChunk(text=text):
            return TextChunk(text, tokens)
        case ThinkingChunk(text=text):
            return ThinkingChunk(text, tokens)
        case ToolCallStart(name=name):
            return ToolCallStart(name, tokens)
        case ToolCallJson(text=text):
            return ToolCallJson(text, tokens)
        case Finished(reason=reason):
            return Finished(reason, tokens)
