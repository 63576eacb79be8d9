"""Turns to prompt, by the model's own chat template, in which callers' text stays plain text.

The text of every turn is replaced by a sentinel, the template is rendered, and the result is cut
at the sentinels: what lies between them is the template's and may hold control tokens; what the
sentinels stand for is the caller's and never does. Because each sentinel has to come out once and
in order, a template that drops, hoists or reorders a turn is noticed instead of obeyed.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from antiphon.core.generation import Tool, Turn
from antiphon.engines.llama.preface import described
from antiphon.engines.llama.sentinels import Caller, Segment, json_of_hidden
from antiphon.engines.llama.syntax import BARE, TAGGED, THINK, THOUGHT, CallSyntax
from antiphon.engines.llama.voices import Voice, expressions, voices
from antiphon.wire.content import TextParam, ToolResultParam, ToolUseParam

# What a template written for something else may stumble over, beside Jinja's own errors.
_TEMPLATE_ERRORS: Final = (
    jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError,
)  # fmt: skip


class TemplateUnusableError(Exception):
    """A template is not valid, or cannot express a conversation."""


class ChatTemplate:
    """A model's template, compiled. `now` is for templates that write the date.

    `syntax` is how calls are written, `native` whether the template itself tells the model so;
    `thinks` says whether the model may think before it answers.
    """

    def __init__(
        self, source: str, *, bos: str, eos: str, now: Callable[[], datetime] = datetime.now
    ) -> None:
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._source = source
        self._empty = Caller.beside(source)
        try:
            self._template = _environment(now).from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateUnusableError(f"line {error.lineno}: {error.message}") from error
        self.thinks = THINK in source
        native = self._native_syntax()
        self.native = native is not None
        self.syntax = native or TAGGED

    def render(
        self,
        turns: Sequence[Turn],
        *,
        tools: Sequence[Tool] = (),
        preface: Sequence[str] = (),
        thinking: bool = False,
    ) -> list[Segment]:
        """Render the conversation and what makes the model answer it, or go on with its prefill.

        What a template cannot express as it stands is tried with later system turns, then with
        all of them, spoken by the user at the same place.
        """
        complaint = "it drops or reorders turns"
        spoken = voices(turns, preface, native=self.native)
        for expression in expressions(spoken):
            try:
                rendered = self._render(expression, tools, thinking=thinking)
            except _TEMPLATE_ERRORS as error:
                complaint = str(error) or type(error).__name__
                continue
            if rendered is not None:
                return self._settled(rendered, expression, thinking=thinking)
        raise TemplateUnusableError(complaint)

    def _settled(
        self, rendered: list[Segment], spoken: Sequence[Voice], *, thinking: bool
    ) -> list[Segment]:
        """Add an empty thought where a model would think, shall not, and was not told by now."""
        if not self.thinks or thinking or spoken[-1].role == "assistant":
            return rendered
        if opens_thought(rendered):
            return [*rendered, Segment(f"\n\n{THOUGHT}\n\n", control=True)]
        if "enable_thinking" in self._source:
            return rendered
        return [*rendered, Segment(f"{THINK}\n\n{THOUGHT}\n\n", control=True)]

    def _render(
        self, spoken: Sequence[Voice], tools: Sequence[Tool], *, thinking: bool
    ) -> list[Segment] | None:
        prefilled = spoken[-1].role == "assistant"
        caller = self._empty.fresh()
        native = tools if self.native else ()
        known = [{"type": "function", "function": caller.loose(described(t))} for t in native]
        last = spoken[-1] if prefilled else None
        text = self._template.render(
            messages=[_message(voice, caller, last=voice is last) for voice in spoken],
            add_generation_prompt=not prefilled,
            tools=known or None,
            documents=None,
            enable_thinking=thinking,
            **self._tokens,
        )
        if prefilled:
            text = caller.cut_after_last(text)
        return caller.segments(text)

    def _native_syntax(self) -> CallSyntax | None:
        """Have a conversation with a call rendered, and look how the template writes it."""
        if "tools" not in self._source:
            return None
        self.native = True
        try:
            rendered = self._render(voices(PROBE, (), native=True), [PROBE_TOOL], thinking=False)
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


def opens_thought(rendered: Sequence[Segment]) -> bool:
    """Say whether the template has begun a thought for the model to go on with."""
    return rendered[-1].control and rendered[-1].text.rstrip().endswith(THINK)


def _call(call: ToolUseParam, caller: Caller) -> dict[str, Any]:
    function = {"name": caller.loose(call.name), "arguments": caller.loose(call.input)}
    return {"type": "function", "id": call.id, "function": function}


def _message(voice: Voice, caller: Caller, *, last: bool) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": voice.role,
        "content": caller.content(voice.texts, last=last),
    }
    if voice.calls:
        message["tool_calls"] = [_call(call, caller) for call in voice.calls]
    return message


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
