"""What was learned of a chat template, found by rendering conversations with it.

The facts are those of prompts as this server makes them: what a template cannot express is said in
another form, so a model without a system role has a system prompt all the same.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import jinja2.meta
import msgspec

from antiphon.core.prompt import Breakpoint, Prompt, Thinking, Tool, Turn
from antiphon.engines.token.engine import capabilities_of
from antiphon.engines.token.notation.lab import common_end
from antiphon.engines.token.notation.notation import Call, Notation
from antiphon.engines.token.prompt.jinja_environment import environment
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.template_writer import TemplateUnusableError
from antiphon.wire.content import TextParam, ThinkingParam, ToolResultParam, ToolUseParam

QUESTION: Final = "How warm is it in Paris?"
ANSWER: Final = "It is mild."
MORE: Final = "And tomorrow?"
RESULT: Final = "18 degrees"
THOUGHT: Final = "I have to ask for it."
INPUT: Final = {"city": "Paris", "days": 3}
TOOL: Final = Tool(
    name="get_weather",
    description="Gets the weather.",
    input_schema={
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where."},
            "days": {"type": "integer", "description": "How many."},
        },
        "required": ["city", "days"],
    },
)
NOON: Final = datetime(2026, 1, 15, 12, 0)  # noqa: DTZ001 - a local date, as templates write it
THINKS: Final = Thinking(mode="enabled", budget=1024)


class CallFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is asked to call tools.

    The call `format` is `native` if it is that of the template; if not, `reason` says why.
    `has_tools`: the template has a place for tools or calls. A tool with the name `name_of_texts`
    is called only if a request demands a call: the mark of texts is the same. `example` is a call
    as the model writes it, and `result_example` what the template writes behind it, up to the end
    of the result.
    """

    native: bool
    format: Literal["native", "general"]
    reason: str | None
    has_tools: bool
    described_by: Literal["template", "antiphon"]
    parallel: bool
    name_of_texts: str | None
    example: str
    results_role: Literal["tool", "user"]
    result_example: str


class ThoughtFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a model thinks.

    `opened_by` is who writes the `opening` at the end of a prompt. Thoughts may be kept while tools
    are called (`kept_in_loop`), and when the user has said more (`kept_later`). `efforts` are the
    levels that the template tells apart; `switch` is its variable for thinking or not, and
    `takes_budget` whether it has one for tokens.
    """

    opening: str
    closing: str
    opened_by: Literal["template", "antiphon"]
    kept_in_loop: bool
    kept_later: bool
    switch: str | None
    efforts: tuple[str, ...]
    takes_budget: bool


class RoleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The roles of a template; what it does not have becomes a message of the user.

    `later_system`: a system message may follow others. `consecutive_users`: two messages of the
    user may follow one another.
    """

    system: bool
    later_system: bool
    tool: bool
    consecutive_users: bool


class PrefixFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Which prompts stay as they are when the conversation goes on: they are not read again.

    `in_chat`: those without thoughts and calls. `in_loop`: those with them, while tools are called.
    `at_question`: the same, when the user has said more. `dated`: prompts, or those without a
    system prompt, begin with the date, and change at midnight.
    """

    in_chat: bool
    in_loop: bool
    at_question: bool
    dated: bool


class Guarantees(msgspec.Struct, frozen=True, kw_only=True):
    """What this server guarantees with this template, whatever the model writes.

    `forced_tools`: `tool_choice` of `any` and `tool`, and inputs that hold to their schemas.
    """

    forced_tools: bool
    structured_outputs: bool
    counts_exactly: bool


class TemplateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned of a template; `thoughts` is `None` for a model that does not think."""

    calls: CallFacts
    thoughts: ThoughtFacts | None
    roles: RoleFacts
    prefix: PrefixFacts
    guarantees: Guarantees


def template_facts(source: str, *, bos: str = "<s>", eos: str = "</s>") -> TemplateFacts:
    """Learn a template. Raises `TemplateUnusableError` for one that cannot express a question."""
    clock = _Clock()
    chat = ChatTemplate(source, bos=bos, eos=eos, now=clock)
    chat.render(Prompt(_chat(), 1))
    return TemplateFacts(
        calls=_calls(chat, has_tools=has_tools(source)),
        thoughts=_thoughts(chat),
        roles=_roles(chat),
        prefix=_prefix(chat, clock),
        guarantees=_guarantees(chat),
    )


def has_tools(source: str) -> bool:
    """Return whether a template has a place for tools or calls. Raises `jinja2.TemplateError`."""
    tree = environment(datetime.now).parse(source)
    return "tools" in jinja2.meta.find_undeclared_variables(tree) or "tool_calls" in source


class _Clock:
    """The time that a template reads."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def _said(role: str, *texts: str) -> Turn:
    return Turn(role, tuple(TextParam(text=text) for text in texts))  # type: ignore[arg-type]  # a literal


def _chat(*more: Turn) -> tuple[Turn, ...]:
    return (_said("user", QUESTION), *more)


def _round(number: int, *, thinks: bool) -> tuple[Turn, Turn]:
    """Return a call and its result."""
    call = ToolUseParam(id=f"toolu_{number:04}", name=TOOL.name, input=INPUT)
    thought = (ThinkingParam(thinking=f"{THOUGHT} {number}.", signature=""),) if thinks else ()
    result = ToolResultParam(tool_use_id=call.id, content=f"{RESULT} {number}")
    return Turn("assistant", (*thought, call)), Turn("user", (result,))


def _text(chat: ChatTemplate, turns: Sequence[Turn], thinking: Thinking | None = None) -> str:
    """Return a rendered prompt; empty if the template cannot express it."""
    prompt = Prompt(tuple(turns), 1, tools=(TOOL,), thinking=thinking or Thinking())
    try:
        return "".join(segment.text for segment in chat.render(prompt).segments)
    except TemplateUnusableError:
        return ""


def _calls(chat: ChatTemplate, *, has_tools: bool) -> CallFacts:
    syntax = chat.syntax
    if isinstance(syntax, Notation):
        example = syntax.write(Call(TOOL.name, INPUT, "toolu_0001"))
        parallel = syntax.parallel
    else:
        example, parallel = syntax.call(TOOL.name, INPUT), bool(syntax.opening)
    return CallFacts(
        native=chat.native,
        format="native" if chat.native else "general",
        reason=chat.unlearned,
        has_tools=has_tools,
        described_by="template" if chat.describes else "antiphon",
        parallel=parallel,
        name_of_texts=syntax.name_of_texts if isinstance(syntax, Notation) else None,
        example=example,
        results_role="tool" if chat.native else "user",
        result_example=_result_example(chat, example),
    )


def _result_example(chat: ChatTemplate, call: str) -> str:
    """Return what stands behind a call, without what begins every answer."""
    text = _text(chat, _chat(*_round(1, thinks=False)))
    behind = text[text.rfind(call) + len(call) :] if call in text else ""
    question = _text(chat, _chat())
    every = common_end(behind, question[question.rfind(QUESTION) + len(QUESTION) :])
    return behind[: len(behind) - len(every)].strip()


def _thoughts(chat: ChatTemplate) -> ThoughtFacts | None:
    reasoning = chat.reasoning
    tags = reasoning.tags
    if tags is None:
        return None
    loop = _chat(*_round(1, thinks=True), *_round(2, thinks=True))
    later = (*loop, _said("assistant", ANSWER), _said("user", MORE))
    return ThoughtFacts(
        opening=tags.opening,
        closing=tags.closing,
        opened_by="template" if reasoning.opened == "open" else "antiphon",
        kept_in_loop=_text(chat, loop, THINKS).count(THOUGHT) == len(loop) // 2,
        kept_later=_text(chat, later, THINKS).count(THOUGHT) == len(loop) // 2,
        switch=None if reasoning.switch is None else reasoning.switch.variable,
        efforts=reasoning.levels,
        takes_budget=reasoning.budget_variable is not None,
    )


def _roles(chat: ChatTemplate) -> RoleFacts:
    told = (_said("assistant", ANSWER),)
    return RoleFacts(
        system=_differs(chat, (_said("system", MORE), *_chat()), (_said("user", MORE, QUESTION),)),
        later_system=_differs(
            chat,
            _chat(*told, _said("user", QUESTION), _said("system", MORE)),
            _chat(*told, _said("user", QUESTION, MORE)),
        ),
        tool=chat.native,
        consecutive_users=bool(_text(chat, _chat(_said("user", MORE)))),
    )


def _differs(chat: ChatTemplate, turns: Sequence[Turn], by_user: Sequence[Turn]) -> bool:
    """Whether a prompt has other marks than if the user says all of it."""

    def written(given: Sequence[Turn]) -> str:
        segments = chat.render(Prompt(tuple(given), 1)).segments
        # What separates turns is not what separates texts.
        return "".join("".join(segment.text for segment in segments).split())

    return written(turns) != written(by_user)


def _prefix(chat: ChatTemplate, clock: _Clock) -> PrefixFacts:
    thinks = chat.reasoning.tags is not None
    one, two = _round(1, thinks=thinks), _round(2, thinks=thinks)
    told, asked = _said("assistant", ANSWER), _said("user", MORE)
    loop = _chat(*one)
    # Some templates write the date into a system prompt of their own only.
    prompts = [Prompt(_chat(), 1, tools=tools) for tools in ((), (TOOL,))]
    today = [chat.render(prompt).segments for prompt in prompts]
    clock.now += timedelta(days=1)
    dated = [chat.render(prompt).segments for prompt in prompts] != today
    clock.now = NOON
    return PrefixFacts(
        in_chat=_stays(chat, _chat(), (told, asked)),
        in_loop=_stays(chat, loop, two),
        at_question=_stays(chat, loop, (told, asked)),
        dated=dated,
    )


def _guarantees(chat: ChatTemplate) -> Guarantees:
    found = capabilities_of(chat, 0)
    return Guarantees(
        forced_tools=found.forced_tools,
        structured_outputs=found.structured_outputs,
        counts_exactly=found.counts_exactly,
    )


def _stays(chat: ChatTemplate, begun: Sequence[Turn], more: Sequence[Turn]) -> bool:
    """Whether a prompt is the beginning of the prompt when more is said."""
    thinks = chat.reasoning.tags is not None
    thinking = THINKS if thinks else Thinking()
    last = Breakpoint(len(begun) - 1, (0,))
    try:
        short, long = (
            chat.render(
                Prompt(tuple(turns), 1, tools=(TOOL,), thinking=thinking, breakpoints=(last,))
            )
            for turns in (begun, (*begun, *more))
        )
    except TemplateUnusableError:
        return False
    at = short.edges[0].at if short.edges else 0
    return bool(at) and short.segments[:at] == long.segments[:at]
