"""Parses an answer while it is generated, in any pieces, into reasoning, text and calls.

Call syntax is never reported as text, and a call is reported only once it is certain. The states,
their transitions and the reasons for both are documented in `states`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final, NamedTuple

import msgspec
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
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.lexing import (
    SPACE,
    find_first,
    find_tag,
    fragments,
    overlap,
)
from antiphon.engines.token.answer.states import TRANSITIONS, Sign, State
from antiphon.engines.token.answer.unmarked import Unmarked
from antiphon.engines.token.notation.calls import CallHead, FoundCall
from antiphon.engines.token.prompt.call_syntax import to_json
from antiphon.schemas.check import first_error
from antiphon.schemas.steps import TooComplexError

HEAD: Final = 1000
"""The maximum length of the head of a call whose input is streamed."""


class Rejected(msgspec.Struct, frozen=True):
    """A call whose input does not fit, or that a limit has cut.

    `at` is the position in the answer at which the call began, `why` names the path and the
    keyword, or is empty for a call that is cut, and `tokens` counts the tokens that no event
    carries yet. `within`: another call of the same section stands before it. `unmarked`: it stands
    without its mark, and only its head was read.
    """

    at: int
    name: str
    why: str
    tokens: int
    within: bool = False
    unmarked: bool = False

    @property
    def is_cut(self) -> bool:
        return not self.why and not self.unmarked


class _Step(NamedTuple):
    """The result of a reader: the number of characters read, their events, the sign found."""

    length: int
    found: Sign | None = None
    events: tuple[EngineEvent, ...] = ()


class AnswerParser:
    """Parses one answer: `feed` takes its pieces, `finish` its end.

    After a call is `rejected`, `retry` drops it, and the next text takes its place. If not
    `demanding`, the parser rejects only calls that must fit. An `unfinished_call` is rejected on
    request, instead of `finish`.
    """

    def __init__(self, answer_format: AnswerFormat) -> None:
        self.demanding = answer_format.constrained
        self.rejected: Rejected | None = None
        self.state = State.AFTER_REASONING if answer_format.reasoned else State.START
        self._format = answer_format
        self._held = ""
        self._skimmed: list[str] = []  # what follows it of a call that has not come to its end
        self._skimmed_length = 0
        self._skims = False
        self._position = 0  # in the answer, of the first character that is held
        self._tokens = 0  # of what was read, and that no event carries yet
        self._call_at = 0
        self._within = False
        self._opened = answer_format.syntax.opening
        self._scan = answer_format.calls.scan()
        self._input = answer_format.calls.reader("")
        self._name = ""
        self._identifier = ""  # of the next call of a section, which stands before it
        self._calls: set[tuple[str, str]] = set()
        self._streamed = False
        self._finishing = False

    @property
    def ended(self) -> bool:
        """Whether an answer has come to its end, although the model goes on."""
        return self.state is State.ENDED

    @property
    def held(self) -> int:
        """The number of characters that are held until more of the answer is there."""
        return len(self._held) + self._skimmed_length

    @property
    def unfinished_call(self) -> int | None:
        """The tokens of the first call of a forced answer, while its input is incomplete and held.

        Before its input begins there is none: what has no room for a head has none for a call.
        """
        self._gather()
        first = self._format.forced and not self._calls and not self._streamed
        if not first or self.state is not State.CALL or self._named() is None:
            return None
        return self._tokens

    def reject_unfinished(self) -> None:
        """Reject the unfinished call."""
        head = self._named()
        self.rejected = self._rejection(head.name if head else "", "")
        self._enter(Sign.REJECTED_CALL)

    def feed(self, text: str, tokens: int) -> list[EngineEvent]:
        """Parse the next piece of the answer, which cost `tokens`."""
        self._tokens += tokens
        if not self._skims:
            self._held += text
        else:
            # A long call comes in many pieces, which are put together once.
            self._skimmed.append(text)
            self._skimmed_length += len(text)
            if not self._scan.skim(text):
                return []
        return self._read(None)

    def finish(self, reason: FinishReason, tokens: int) -> list[EngineEvent]:
        """Parse the held text as the end of the answer. `tokens` belong to pieces without text."""
        self._tokens += tokens
        if reason is not FinishReason.END_TURN:
            self._drop_opening()
        self._finishing = True
        return [*self._read(reason), Finished(reason, self._tokens)]

    def retry(self) -> None:
        """Drop the rejected call; the next text takes its place."""
        self._position = self._call_at
        self._gather()
        self._held = ""
        self._tokens = 0
        self.rejected = None
        if self._within:
            self._enter(Sign.RETRY_WITHIN)
        else:
            opened = self._format.call_opening and self._opened
            self._enter(Sign.RETRY if opened else Sign.RETRY_FROM_START)

    def _rejection(self, name: str, why: str) -> Rejected:
        return Rejected(self._call_at, name, why, self._tokens, self._within)

    def _read(self, end: FinishReason | None) -> list[EngineEvent]:
        """Take steps until one finds no sign. `end` is the reason if there is no more text."""
        self._gather()
        events: list[EngineEvent] = []
        while True:
            at, ends = self._turn_end(end)
            hidden, self._held = self._held[at:], self._held[:at]
            step = self._READERS[self.state](self, FinishReason.END_TURN if ends else end)
            self._held = self._held[step.length :] + hidden
            self._position += step.length
            for event in step.events:
                events.append(replace(event, tokens=self._tokens))
                self._tokens = 0
            if step.found is None and not ends:
                return events
            self._enter(step.found or Sign.TURN_END)

    def _gather(self) -> None:
        """Put what was skimmed behind what is held."""
        if self._skimmed:
            self._held += "".join(self._skimmed)
            self._skimmed, self._skimmed_length = [], 0
        self._skims = False

    def _turn_end(self, end: FinishReason | None) -> tuple[int, bool]:
        """Return where the turn may end in the held text, and whether it does.

        A text, a thought or a call may end before.
        """
        if not self._format.turn_ends or Sign.TURN_END not in TRANSITIONS[self.state]:
            return len(self._held), False
        return find_first(self._held, self._format.turn_ends, ended=end is not None)

    def _enter(self, sign: Sign) -> None:
        self.state = TRANSITIONS[self.state][sign]
        if self.state is State.CALL:
            self._within = sign in (Sign.NEXT_CALL, Sign.RETRY_WITHIN)
            self._call_at = self._position - len(self._opening)
            self._scan = self._format.calls.scan(within=self._within)

    @property
    def _opening(self) -> str:
        """The opening before the text of the call, which has been read."""
        return "" if self._within else self._opened

    def _drop_opening(self) -> None:
        """Drop a partial opening at the end; a single character of it may be text.

        A forced answer has none, and the space that an opening begins with is a part of it.
        """
        at_start = self.state in (State.START, State.AFTER_REASONING)
        start = self._held.lstrip(SPACE)
        if self._format.forced and at_start and (not start or self._is_undecided(start)):
            self._held = ""
            return
        if self._format.start_of_text and self._is_undecided(start):
            self._held = "" if at_start else self._held
            return
        marks = (self._format.call_opening, *self._format.turn_ends)
        begun = max(overlap(self._held, mark) for mark in marks)
        in_text = at_start or self.state in (State.TEXT, State.AFTER_CALL)
        if in_text and begun > (0 if self._format.forced else 1):
            self._held = self._held[:-begun].rstrip(SPACE)

    def _read_start(self, end: FinishReason | None) -> _Step:
        begun = self._held.lstrip(SPACE)
        space = len(self._held) - len(begun)
        opening = self._format.reasoning_opening
        if opening and begun.startswith(opening):
            return _Step(space + len(opening), Sign.REASONING_OPENING)
        unmarked = self._unmarked(begun, end, at_start=True)
        if unmarked.before == 0 or (end is None and self._is_undecided(begun)):
            is_head = unmarked.before == 0 and unmarked.whole
            return _Step(space, Sign.UNMARKED_HEAD) if is_head else _Step(0)
        start_of_text = self._format.start_of_text
        marks = (start_of_text, *self._format.first_openings)
        mark = next((one for one in marks if one and begun.startswith(one)), None)
        if mark is not None:
            self._opened = self._held[: space + len(mark)]
            sign = Sign.OTHER_TEXT if mark == start_of_text else Sign.CALL_OPENING
            return _Step(space + len(mark), sign)
        if self._is_unopened_call(begun):
            self._opened = ""
            return _Step(0, Sign.CALL_OPENING)
        text_mark = self._format.text_mark
        if self.state is State.START and not (text_mark and begun.startswith(text_mark)):
            return _Step(0, Sign.OTHER_TEXT)
        text = begun.removeprefix(self._format.gap).lstrip(SPACE).removeprefix(text_mark)
        return _Step(len(self._held) - len(text), Sign.OTHER_TEXT)

    def _is_unopened_call(self, begun: str) -> bool:
        """Whether the beginning of an answer is a call without an opening."""
        if self._format.bare_calls:
            return bool(begun) and self._format.calls.may_begin(begun)
        return bool(begun) and self._format.is_begun

    def _is_undecided(self, begun: str) -> bool:
        """Whether the beginning of an answer may still become a tag, a gap or a call."""
        dropping = self.state is State.AFTER_REASONING
        opening, gap = self._format.reasoning_opening, self._format.gap if dropping else ""
        if not begun:
            calls = self._format.bare_calls or bool(self._format.first_openings)
            return bool(opening) or dropping or calls or self._format.unmarked is not None
        text_mark = self._format.text_mark
        texts = (self._format.start_of_text, text_mark, gap + text_mark)
        tags = (opening, gap, *texts, *self._format.first_openings)
        return any(tag.startswith(begun) for tag in tags if tag)

    def _read_reasoning(self, end: FinishReason | None) -> _Step:
        closing = self._format.reasoning_closing
        length, found = find_tag(self._held, closing, ended=end is not None)
        chunks = (ThinkingChunk(self._held[:length], 0),) if length else ()
        if found:
            return _Step(length + len(closing), Sign.REASONING_CLOSING, chunks)
        return _Step(length, None, chunks)

    def _read_text(self, end: FinishReason | None) -> _Step:
        opening = self._format.call_opening
        length, found = find_tag(self._held, opening, ended=end is not None)
        unmarked = self._unmarked(self._held, end)
        if unmarked.before < length:
            length, found = unmarked.before, False
        is_call = found or unmarked.whole
        text = self._held[:length]
        after_call = self.state is State.AFTER_CALL
        # The space around a call belongs to it, so space is held until the next character.
        if after_call or (opening and (is_call or end is None)):
            text = text.rstrip(SPACE)
        chunks = (TextChunk(text, 0),) if text else ()
        if is_call and not found:
            return _Step(length, Sign.UNMARKED_HEAD, chunks)
        if found:
            self._opened = opening
            return _Step(length + len(opening), Sign.CALL_OPENING, chunks)
        return _Step(len(text), None, chunks)

    def _unmarked(self, text: str, end: FinishReason | None, *, at_start: bool = False) -> Unmarked:
        """Find the head of a call without its mark, or what may become one, in the held text."""
        nothing = Unmarked(len(text) + 1, whole=False)
        calls = self._format.unmarked
        if calls is None or self._finishing:
            return nothing
        found = calls.first(text, at_start=at_start)
        return found if found.whole or (found.before < len(text) and end is None) else nothing

    def _read_unmarked(self, _: FinishReason | None) -> _Step:
        self._call_at, self._within = self._position, False
        self._opened = self._format.call_opening
        self.rejected = Rejected(self._call_at, "", "", self._tokens, unmarked=True)
        return _Step(0, Sign.REJECTED_CALL)

    def _read_after_call(self, end: FinishReason | None) -> _Step:
        if not self._format.forced:
            return self._read_text(end)
        text = self._held.lstrip(SPACE)
        space = len(self._held) - len(text)
        opening = self._format.call_opening
        if opening and text.startswith(opening):
            self._opened = opening
            return _Step(space + len(opening), Sign.CALL_OPENING)
        if end is None and opening.startswith(text):
            return _Step(0)
        return _Step(len(self._held), Sign.ANSWER_END)

    def _read_call(self, end: FinishReason | None) -> _Step:
        if self._format.closes_text and not self._within:
            calls = self._format.calls
            if not self._format.tools or not calls.may_begin(self._held):
                return _Step(len(self._held), Sign.ANSWER_END)
            if end is FinishReason.END_TURN and calls.head(self._held) is None:
                return _Step(len(self._held), Sign.ANSWER_END)
        if self._format.streamed:
            head = self._format.calls.head(self._held, HEAD, within=self._within)
            if head is not None and head.name in self._format.streamed:
                self._streamed, self._name = True, head.name
                self._input = self._format.calls.reader(head.name)
                start = ToolCallStart(head.name, 0, self._identifier or head.identifier)
                return _Step(head.length, Sign.STREAMED_HEAD, (start,))
        if self._format.bare_calls and not self._within and not self._may_be_call:
            return _Step(0, Sign.OTHER_TEXT)
        found = self._scan.find(self._held, ended=end is not None)
        if found is not None:
            return self._checked(found)
        if end is None:
            self._skims = self._may_skim()
        return _Step(0) if end is None else self._unfinished(end)

    def _may_skim(self) -> bool:
        """Whether only the end of the held call matters from here on.

        A head may yet come, and decide whether the input is streamed.
        """
        if not self._scan.begun:
            return False
        if not self._format.streamed or len(self._held) > HEAD:
            return True
        return self._format.calls.head(self._held, within=self._within) is not None

    @property
    def _may_be_call(self) -> bool:
        return self._format.calls.may_begin(self._held.lstrip(SPACE))

    def _checked(self, found: FoundCall) -> _Step:
        """Decide whether a whole call is reported, rejected, or text."""
        answer_format = self._format
        length, call, within = found.length, found.call, found.within
        tool = None if call is None else answer_format.tools_by_name.get(call[0])
        why = None if call is None or tool is None else self._error_in(call[1], tool)
        if call is None or tool is None or (why is not None and not answer_format.constrained):
            return _Step(
                length, Sign.OTHER_TEXT, (TextChunk(self._opening + self._held[:length], 0),)
            )
        if why is not None and (self.demanding or tool.name in answer_format.must_fit):
            self.rejected = self._rejection(tool.name, why)
            return _Step(length, Sign.REJECTED_CALL)
        whole = (tool.name, to_json(call[1]))
        if answer_format.forced and whole in self._calls:
            return _Step(length, Sign.REPEATED_CALL)
        self._calls.add(whole)
        sign = Sign.NEXT_CALL if within else Sign.WHOLE_CALL
        own, self._identifier = self._identifier or found.identifier, found.following
        return _Step(length, sign, (*_call_events(*whole, own),))

    def _error_in(self, given: object, tool: Tool) -> str | None:
        """Return the error of an input; one too complex to check is an error if it must fit."""
        try:
            return first_error(given, tool.input_schema)
        except TooComplexError:
            return ": too complex to be checked" if tool.name in self._format.must_fit else None

    def _unfinished(self, end: FinishReason) -> _Step:
        """Parse a call that is incomplete when the answer ends."""
        length = len(self._held)
        if end is FinishReason.END_TURN:
            return _Step(length, None, (TextChunk(self._opening + self._held, 0),))
        head = self._named()
        if head is None:
            return _Step(length)
        given = self._format.calls.reader(head.name).read(self._held[head.length :])
        return _Step(length, None, (*_call_events(head.name, given.json),))

    def _named(self) -> CallHead | None:
        """Return the head of the held call, if it is whole and names a tool."""
        head = self._format.calls.head(self._held, within=self._within)
        return head if head is not None and head.name in self._format.tools_by_name else None

    def _read_arguments(self, _: FinishReason | None) -> _Step:
        read = self._input.read(self._held)
        chunks = (ToolCallJson(read.json, 0),) if read.json else ()
        return _Step(read.length, Sign.INPUT_END if read.ended else None, chunks)

    def _read_closing(self, end: FinishReason | None) -> _Step:
        closing = self._format.calls.closing(self._held, self._name)
        if closing.open and not (closing.found and end is not None):
            return _Step(0) if end is None else _Step(len(self._held))
        if closing.found:
            self._identifier = closing.following
            return _Step(closing.length, Sign.NEXT_CALL if closing.within else Sign.CALL_CLOSING)
        return _Step(0, Sign.OTHER_TEXT)

    def _read_nothing(self, _: FinishReason | None) -> _Step:
        return _Step(0)

    _READERS: ClassVar[Mapping[State, Callable[["AnswerParser", FinishReason | None], _Step]]] = {
        State.START: _read_start,
        State.REASONING: _read_reasoning,
        State.AFTER_REASONING: _read_start,
        State.TEXT: _read_text,
        State.CALL: _read_call,
        State.ARGUMENTS: _read_arguments,
        State.CLOSING: _read_closing,
        State.AFTER_CALL: _read_after_call,
        State.UNMARKED: _read_unmarked,
        State.REJECTED: _read_nothing,
        State.ENDED: _read_nothing,
    }


def _call_events(
    name: str, given: str, identifier: str = ""
) -> Iterator[ToolCallStart | ToolCallJson]:
    yield ToolCallStart(name, 0, identifier)
    for fragment in fragments(given):
        yield ToolCallJson(fragment, 0)
