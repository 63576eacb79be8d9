"""Turns to prompt, by the model's own chat template, in which callers' text stays plain text.

The text of every turn is replaced by a sentinel, the template is rendered, and the result is cut
at the sentinels: what lies between them is the template's and may hold control tokens; what the
sentinels stand for is the caller's and never does. Because each sentinel has to come out once and
in order, a template that drops, hoists or reorders a turn is noticed instead of obeyed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from antiphon.core.prompt import Thinking, Tool, Turn
from antiphon.engines.token.prompt.call_syntax import BARE, TAGGED, CallSyntax
from antiphon.engines.token.prompt.chat_messages import ChatMessage, chat_messages, expressions
from antiphon.engines.token.prompt.placeholders import Placeholders, Segment, json_of_hidden
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags, reasoning_format_of
from antiphon.engines.token.prompt.tool_prompt import described
from antiphon.wire.content import TextParam, ToolResultParam, ToolUseParam

# What a template written for something else may stumble over, beside Jinja's own errors.
_TEMPLATE_ERRORS: Final = (
    jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError,
)  # fmt: skip


NO_THINKING: Final = Thinking()


class TemplateUnusableError(Exception):
    """A template is not valid, or cannot express a conversation."""


class ChatTemplate:
    """A model's template, compiled. `now` is for templates that write the date.

    `syntax` is how calls are written, `native` whether the template itself tells the model so;
    `reasoning` is what it knows of thinking, with other `tags` if they are given.
    """

    def __init__(
        self,
        source: str,
        *,
        bos: str,
        eos: str,
        tags: ReasoningTags | bool = True,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._source = source
        self._empty = Placeholders.beside(source)
        environment = _environment(now)
        try:
            self._template = environment.from_string(source)
            self.reasoning = reasoning_format_of(source, environment.parse(source), tags=tags)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateUnusableError(f"line {error.lineno}: {error.message}") from error
        native = self._native_syntax()
        self.native = native is not None
        self.syntax = native or TAGGED

    def render(
        self,
        turns: Sequence[Turn],
        *,
        tools: Sequence[Tool] = (),
        preface: Sequence[str] = (),
        thinking: Thinking = NO_THINKING,
        effort: str | None = None,
    ) -> list[Segment]:
        """Render the conversation and what makes the model answer it, or go on with its prefill.

        What a template cannot express as it stands is tried with later system turns, then with
        all of them, spoken by the user at the same place. Of earlier thoughts it shows what it
        likes to.
        """
        variables = self.reasoning.variables(thinking, effort)
        thinks = thinking.mode != "disabled"
        complaint = "it drops or reorders turns"
        spoken = chat_messages(turns, preface, native=self.native)
        for expression in expressions(spoken):
            try:
                rendered = self._render(expression, tools, variables)
            except _TEMPLATE_ERRORS as error:
                complaint = str(error) or type(error).__name__
                continue
            if rendered is not None:
                return self._settled(rendered, expression, thinks=thinks)
        raise TemplateUnusableError(complaint)

    def _settled(
        self, rendered: list[Segment], spoken: Sequence[ChatMessage], *, thinks: bool
    ) -> list[Segment]:
        """Begin a thought where the model shall think, and end it where it shall not.

        A prefill is gone on with as it is. A template that asks whether to think is trusted to
        have seen to it that the model does not.
        """
        tags = self.reasoning.tags
        if tags is None or spoken[-1].role == "assistant":
            return rendered
        opened = _ends_with(rendered, tags.opening)
        if thinks:
            more = "" if opened else tags.begin
        elif opened:
            more = tags.end
        else:
            told = self.reasoning.switch is not None or _ends_with(rendered, tags.closing)
            more = "" if told else tags.nothing
        return [*rendered, Segment(more, control=True)] if more else rendered

    def _render(
        self, spoken: Sequence[ChatMessage], tools: Sequence[Tool], variables: Mapping[str, Any]
    ) -> list[Segment] | None:
        prefilled = spoken[-1].role == "assistant"
        caller = self._empty.fresh()
        native = tools if self.native else ()
        known = [{"type": "function", "function": caller.loose(described(t))} for t in native]
        last = spoken[-1] if prefilled else None
        text = self._template.render(
            messages=[self._message(voice, caller, last=voice is last) for voice in spoken],
            add_generation_prompt=not prefilled,
            tools=known or None,
            documents=None,
            **variables,
            **self._tokens,
        )
        if prefilled:
            text = caller.cut_after_last(text)
        return caller.segments(text)

    def _message(self, voice: ChatMessage, caller: Placeholders, *, last: bool) -> dict[str, Any]:
        """Write a message; a template without a field for thoughts finds them in the content."""
        message: dict[str, Any] = {"role": voice.role}
        before = ""
        tags = self.reasoning.tags
        if voice.thought and tags is not None:
            thought = caller.thought(voice.thought)
            if self.reasoning.field is not None:
                message[self.reasoning.field] = thought
            else:
                before = tags.begin + thought + tags.end
        message["content"] = before + caller.content(voice.texts, last=last)
        if voice.calls:
            message["tool_calls"] = [_call(call, caller) for call in voice.calls]
        return message

    def _native_syntax(self) -> CallSyntax | None:
        """Have a conversation with a call rendered, and look how the template writes it."""
        if "tools" not in self._source:
            return None
        self.native = True
        try:
            rendered = self._render(chat_messages(PROBE, (), native=True), [PROBE_TOOL], {})
        except _TEMPLATE_ERRORS:
            return None
        text = "".join(segment.text for segment in rendered or ())
        if TAGGED.call("probe", PROBE_INPUT) in text:
            return TAGGED
        return BARE if BARE.call("probe", PROBE_INPUT) in text else None


PROBE_INPUT: Final = {"of": "a & b"}
PROBE_TOOL: Final = Tool(name="probe", input_schema={"type": "object"}, description="Does this.")
PROBE: Final = (
    Turn("user", (TextParam(text="Call it."),)),
    Turn("assistant", (ToolUseParam(id="toolu_1", name="probe", input=PROBE_INPUT),)),
    Turn("user", (ToolResultParam(tool_use_id="toolu_1", content="It did."),)),
)


def read_template(path: Path) -> str:
    """Read a template from a file; what goes wrong is the template's fault."""
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise TemplateUnusableError(f"{path} cannot be read: {reason}") from error


def _ends_with(rendered: Sequence[Segment], mark: str) -> bool:
    return rendered[-1].control and rendered[-1].text.rstrip().endswith(mark)


def _call(call: ToolUseParam, caller: Placeholders) -> dict[str, Any]:
    function = {"name": caller.loose(call.name), "arguments": caller.loose(call.input)}
    return {"type": "function", "id": call.id, "function": function}


def _environment(now: Callable[[], datetime]) -> ImmutableSandboxedEnvironment:
    """Build the environment that templates are written for, which is that of transformers."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: now().strftime(form)
    return environment


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what to train on; at inference it is transparent."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    # Jinja's own filter escapes HTML, which models have not been trained on.
    return json_of_hidden(json.dumps(value, ensure_ascii=False, indent=indent, **options))
