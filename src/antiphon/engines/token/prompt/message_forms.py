"""The form in which a template takes messages, found by conversations that it is tried on.

A template may refuse a system prompt, a system turn in the middle, several calls in one message,
text beside calls, or reasoning; the same is then said in another form. The form belongs to the
template, not to the conversation: if a later turn could change the form of earlier ones, their
tokens would change, and nothing of them could be reused.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from antiphon.core.prompt import Breakpoint, Turn
from antiphon.engines.token.prompt.chat_messages import NOTHING, ChatMessage
from antiphon.engines.token.prompt.placeholders import Rendered
from antiphon.engines.token.prompt.text_parts import appended
from antiphon.wire.content import TextParam, ThinkingParam, ToolResultParam, ToolUseParam

Option = TypeVar("Option")


Systems: TypeAlias = Literal["all", "first", "none"]
SYSTEMS: Final[tuple[Systems, ...]] = ("all", "first", "none")


class MessageForm(msgspec.Struct, frozen=True):
    """The form of messages for one template; the default is the most faithful one.

    - `system`: the system turns that keep their role; the others become turns of the user.
    - `calls_together`: a message may have several calls, else each call has one of its own.
    - `text_beside_calls`: a message may have text and calls, else the text has one of its own.
    - `question_before_calls`: such calls are those of an empty question: an answer has one message.
    - `text_behind_results`: the user may speak behind a result, else the text joins the result.
    - `reasoning`: messages have their reasoning, else it is left out.
    - `reasoning_at_calls`: where a text has a message of its own, the reasoning stays with the
      calls, because the template shows it only there.
    """

    system: Systems = "all"
    calls_together: bool = True
    text_beside_calls: bool = True
    question_before_calls: bool = False
    text_behind_results: bool = True
    reasoning: bool = True
    reasoning_at_calls: bool = False

    def of(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """Return the messages in this form. What follows a message does not change it.

        A turn with a changed role joins its neighbours, and so do the parts of a turn that only
        their reasoning separated: some templates want roles to alternate.
        """
        kept = {"all": len(messages), "first": 1, "none": 0}[self.system]
        formed: list[ChatMessage] = []
        joins = False
        for index, message in enumerate(messages):
            joined = joins
            role = "user" if message.role == "system" and index >= kept else message.role
            reasoning = message.reasoning if self.reasoning else ""
            joins = role != message.role or reasoning != message.reasoning
            for part in self._parts(replace(message, role=role, reasoning=reasoning)):
                if formed and (
                    ((joins or joined) and _alike(formed[-1], part))
                    or (not self.text_behind_results and _is_behind_result(formed[-1], part))
                ):
                    parts = appended(formed[-1].parts, part.parts)
                    formed[-1] = replace(formed[-1], parts=parts)
                else:
                    formed.append(part)
        return formed

    def _parts(self, message: ChatMessage) -> Iterator[ChatMessage]:
        """Yield a message, or its text and its calls as messages; the first has the reasoning."""
        role, parts, calls, reasoning = (
            message.role, message.parts, message.calls, message.reasoning
        )  # fmt: skip
        if not calls:
            yield message
            return
        if not self.text_beside_calls and any(part.text for part in parts):
            yield ChatMessage(role, parts, (), "" if self.reasoning_at_calls else reasoning)
            if self.question_before_calls:
                yield ChatMessage("user", NOTHING)
            parts, reasoning = NOTHING, reasoning if self.reasoning_at_calls else ""
        for together in (calls,) if self.calls_together else zip(calls):
            yield ChatMessage(role, parts, together, reasoning)
            parts, reasoning = NOTHING, ""


def _alike(one: ChatMessage, other: ChatMessage) -> bool:
    """Whether two messages in a row can be one."""
    plain = not (one.calls or other.calls or other.reasoning)
    return plain and one.role == other.role != "tool"


def _is_behind_result(one: ChatMessage, other: ChatMessage) -> bool:
    return one.role == "tool" and other.role == "user"


FAITHFUL: Final = MessageForm()
OTHERS: Final = (
    FAITHFUL,
    MessageForm(calls_together=False, text_beside_calls=False),
    MessageForm(calls_together=False, text_beside_calls=False, text_behind_results=False),
    MessageForm(
        calls_together=False,
        text_beside_calls=False,
        question_before_calls=True,
        text_behind_results=False,
    ),
    MessageForm(reasoning=False),
)


def expressions(messages: Sequence[ChatMessage], form: MessageForm) -> Iterator[list[ChatMessage]]:
    """Yield messages in the form of a template, then in others, none twice.

    The others are for what a template refuses only in some conversations.
    """
    seen: list[list[ChatMessage]] = []
    others = (
        replace(other, system=system, reasoning_at_calls=form.reasoning_at_calls)
        for other in OTHERS
        for system in SYSTEMS
    )
    for one in (form, *others):
        expression = one.of(messages)
        if expression not in seen:
            seen.append(expression)
            yield expression


class Render(Protocol):
    """Renders a conversation in a form; `None` if the template cannot express it."""

    def __call__(
        self, turns: Sequence[Turn], form: MessageForm, breakpoints: Sequence[Breakpoint] = ()
    ) -> Rendered | None: ...


def form_for(
    render: Render, *, system: bool, native: bool, reasons: bool, at_calls: bool = False
) -> MessageForm:
    """Return the most faithful form in which a template expresses the conversations below.

    The form is for conversations that begin with a system prompt, or for those that do not: some
    templates have a prompt of their own for these. With `native` the template writes calls, with
    `reasons` it has a place for reasoning, `at_calls` only before calls.
    """
    opening = (SYSTEM,) if system else ()

    def expresses(form: MessageForm, *conversations: Sequence[Turn]) -> bool:
        return all(render((*opening, *turns), form) is not None for turns in conversations)

    def grows(form: MessageForm) -> bool:
        return _grows(render, (*opening, *DIRECTED), form)

    shape = replace(FAITHFUL, reasoning=reasons, reasoning_at_calls=at_calls)
    systems = [replace(shape, system=one) for one in SYSTEMS]
    form = _first(systems, grows, lambda one: expresses(one, DIRECTED))
    if native:
        calls = [
            replace(form, calls_together=together, text_beside_calls=beside)
            for beside in (True, False)
            for together in (True, False)
        ]
        in_order = [one for one in calls if _calls_in_order(render((*opening, *CALLED), one))]
        with_reasoning = CALLED_WITH_REASONING if reasons else CALLED
        form = _first(in_order or calls, lambda one: expresses(one, with_reasoning))
        alternating = replace(form, question_before_calls=True, text_beside_calls=False)
        behind = [
            replace(one, text_behind_results=text)
            for one in (form, alternating)
            for text in (True, False)
        ]
        form = _first(behind, lambda one: expresses(one, FOLLOWED, ANSWERED))
    if reasons:
        called = (CALLED_WITH_REASONING, CALLED_AFTER_REASONING) if native else ()
        reasoned = (REASONED, *called)
        both = [form, replace(form, reasoning=False)]
        form = _first(both, lambda one: expresses(one, *reasoned))
    return form


def _calls_in_order(rendered: Rendered | None) -> bool:
    """Whether the text before the calls of `CALLED` stands before them; some templates move it."""
    if rendered is None:
        return False
    text = "".join(segment.text for segment in rendered.segments)
    given = _CALLS[0].input["of"]
    return text.find(given) == -1 or text.index("I do.") < text.index(given)


def _first(options: Sequence[Option], *tests: Callable[[Option], bool]) -> Option:
    """Return the first option that passes a test, the first test first; else the first option."""
    passed = (option for test in tests for option in options if test(option))
    return next(passed, options[0])


def _grows(render: Render, turns: Sequence[Turn], form: MessageForm) -> bool:
    """Whether each beginning of a conversation is written as it is in the whole."""
    whole = render(turns, form)
    for end, after in enumerate(turns[1:]):
        if after.role == "assistant":
            last = Breakpoint(end, (len(turns[end].content) - 1,))
            begun = render(turns[: end + 1], form, (last,))
            if whole is None or begun is None or not begun.edges:
                return False
            at = begun.edges[0].at
            if begun.segments[:at] != whole.segments[:at]:
                return False
    return True


def _said(text: str) -> TextParam:
    return TextParam(text=text)


SYSTEM: Final = Turn("system", (_said("Be exact."),))
DIRECTED: Final = (
    Turn("user", (_said("One?"),)),
    Turn("assistant", (_said("One."),)),
    Turn("user", (_said("Two?"),)),
    Turn("system", (_said("Be brief."),)),
    Turn("assistant", (_said("Two."),)),
    Turn("user", (_said("Three?"),)),
)
"""A conversation with a system turn in its middle."""

_CALLS: Final = tuple(
    ToolUseParam(id=f"toolu_{number}", name="probe", input={"of": "a & b"}) for number in (1, 2)
)
_RESULTS: Final = Turn(
    "user", tuple(ToolResultParam(tool_use_id=call.id, content="It did.") for call in _CALLS)
)
CALLED: Final = (
    Turn("user", (_said("Call it."),)),
    Turn("assistant", (_said("I do."), *_CALLS)),
    _RESULTS,
)
FOLLOWED: Final = (
    *CALLED[:2],
    replace(_RESULTS, content=(*_RESULTS.content, _said("Go on."))),
    Turn("assistant", (_said("So."),)),
    Turn("user", (_said("Well."),)),
)
"""Calls, of which the user says more behind their results."""

ANSWERED: Final = (*CALLED, *FOLLOWED[3:])
"""Calls with a text before them, and another text behind their results."""

REASONED: Final = (
    Turn("user", (_said("Why?"),)),
    Turn("assistant", (ThinkingParam(thinking="Hm.", signature=""), _said("Because."))),
    Turn("user", (_said("Oh."),)),
)
CALLED_WITH_REASONING: Final = (
    CALLED[0],
    replace(CALLED[1], content=(REASONED[1].content[0], *CALLED[1].content)),
    _RESULTS,
)

CALLED_AFTER_REASONING: Final = (
    CALLED[0],
    replace(CALLED[1], content=(REASONED[1].content[0], *_CALLS)),
    _RESULTS,
)
"""The same without a text: reasoning without a field of its own is the only content then."""
