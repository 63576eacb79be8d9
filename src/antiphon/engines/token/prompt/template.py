"""Renders conversations by the model's own chat template; callers' text stays plain text.

Each text of the caller is replaced by a sentinel, the template is rendered, and the result is cut
at the sentinels. The text between two sentinels is the template's and may hold control tokens; the
text behind a sentinel is the caller's and never does. Each sentinel has to come out once and in
order, so a template that drops, hoists or reorders a turn is detected.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import datetime
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, Final

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.meta import find_undeclared_variables
from msgspec.structs import replace

from antiphon.core.ids import identifier_in
from antiphon.core.late_tools import description_of
from antiphon.core.prompt import Breakpoint, Prompt, Thinking, Tool, Turn
from antiphon.engines.token.notation.lab import (
    TOOL,
    Message,
    RefusedError,
    UnknownNotationError,
)
from antiphon.engines.token.notation.learning import learn
from antiphon.engines.token.notation.notation import Call, Notation
from antiphon.engines.token.notation.proof import PROBE as PROVED_TOOL
from antiphon.engines.token.notation.proof import flaw
from antiphon.engines.token.prompt.budget import (
    TRIAL_SECONDS,
    TRIAL_STEPS,
    VALUE_SECONDS,
    VALUE_STEPS,
    Budget,
    TooLongError,
    budget_for,
)
from antiphon.engines.token.prompt.call_syntax import BARE, TAGGED, CallSyntax
from antiphon.engines.token.prompt.chat_messages import ChatMessage, PlacedCall, chat_messages
from antiphon.engines.token.prompt.content_form import ContentForm, content_form_for
from antiphon.engines.token.prompt.jinja_environment import bounded, environment, to_json
from antiphon.engines.token.prompt.message_forms import MessageForm, expressions, form_for
from antiphon.engines.token.prompt.placeholders import (
    Placeholders,
    Rendered,
    Segment,
)
from antiphon.engines.token.prompt.prompt_end import PromptEnd
from antiphon.engines.token.prompt.reasoning_format import ReasoningFormat, ReasoningTags
from antiphon.engines.token.prompt.template_tools import described, function_of, tool_message
from antiphon.engines.token.prompt.tool_prompt import call_instructions, tool_prompt
from antiphon.engines.token.prompt.trial import (
    PROBE,
    PROBE_INPUT,
    PROBE_TOOL,
    SAID,
    TOOLS_OF,
    plain_messages,
    turns_of,
)
from antiphon.engines.token.reasoning.learning import learn_reasoning
from antiphon.engines.token.reasoning.trials import Reads, reads_of

MOST_SOURCE: Final = 250_000
"""Characters of a template; the longest published ones have 20,000."""

# Errors of a template that does not fit a conversation, besides those of Jinja.
TEMPLATE_ERRORS: Final = (
    jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip


class TemplateUnusableError(Exception):
    """A template is not valid, or cannot express a conversation."""


class TemplateTooLongError(TemplateUnusableError):
    """A template takes more work than it may."""


class ChatTemplate:
    """A model's template, compiled. `now` is for templates that write the date.

    `syntax` is how calls are written. `native`: the template writes them itself; if it does not,
    `unlearned` says why. `describes`: it describes tools, too. `reasoning` is the template's
    reasoning format, with other `tags` if they are given.
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
        self._now = now
        self._empty = Placeholders.beside(source)
        self._jinja = environment(now)
        self._trials = Budget(TRIAL_STEPS, TRIAL_SECONDS)
        try:
            reads = self._compile(source)
            self._try(reads, tags=tags)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateUnusableError(f"line {error.lineno}: {error.message}") from error
        except TooLongError as error:
            raise TemplateTooLongError(str(error)) from error

    def _compile(self, source: str) -> Reads:
        """Compile a template; return what it reads."""
        if len(source) > MOST_SOURCE:
            raise TemplateUnusableError(f"it has more than {MOST_SOURCE:,} characters")
        try:
            tree = self._jinja.parse(source)
            reads = reads_of(tree)
            self._reads_functions = "functions" in find_undeclared_variables(tree)
            self._template = self._jinja.from_string(tree)
        except (RecursionError, MemoryError) as error:
            raise TemplateUnusableError("it nests too deeply") from error
        except (ValueError, SyntaxError) as error:
            raise TemplateUnusableError(f"it cannot be compiled: {error}") from error
        return reads

    def _try(self, reads: Reads, *, tags: ReasoningTags | bool) -> None:
        """Find out by trial what the template can express, and how."""
        self.reasoning = ReasoningFormat()
        self._notation: Notation | None = None
        # transformers gives `None`, but templates that are made for tools only take a list.
        for self._takes_no_tools in (True, False):
            self._content = content_form_for(self._expresses)
            if self._expresses("user", self._content):
                break
        self.reasoning = learn_reasoning(self._written_with, reads, tags=tags)
        self.unlearned: str | None = None
        native = self._native_syntax() or self._learned_notation()
        self.native = native is not None
        self.describes = native is not None and (self._notation is None or self._notation.describes)
        self.syntax: CallSyntax | Notation = native or TAGGED
        reasons = self.reasoning.kept != "never"
        self._form, self._form_with_system = (
            form_for(
                self._tried,
                system=system,
                native=self.native,
                reasons=reasons,
                at_calls=self.reasoning.at_calls,
            )
            for system in (False, True)
        )
        if self._notation is not None and self._form.question_before_calls:
            self.syntax = self._notation = replace(self._notation, alone=True)

    def of(self, prompt: Prompt) -> "ChatTemplate":
        """Return the template of a prompt: this one, of a model that has no other."""
        del prompt
        return self

    def render(self, prompt: Prompt, *, brief: bool = False) -> Rendered:
        """Render the conversation, ready for the model to answer it or to continue its prefill.

        What the template cannot express is said in another form, the same in all conversations:
        system turns become user turns, for example. The template decides which earlier reasoning
        it shows. Raises `TemplateUnusableError`; with `brief` it may be a `TemplateTooLongError` of
        a template that is only slow.
        """
        try:
            return self._render_in_form(prompt, budget_for(size_of(prompt), brief=brief))
        except TooLongError as error:
            raise TemplateTooLongError(str(error)) from error

    def _render_in_form(self, prompt: Prompt, budget: Budget) -> Rendered:
        variables = self.reasoning.variables(prompt.thinking, prompt.effort)
        reasons = prompt.thinking.mode != "disabled"
        complaint = "it drops or reorders turns"
        calls = None if self.describes else call_instructions(self.syntax)
        first = tool_prompt(prompt, calls)
        messages = chat_messages(prompt.turns, first, native=self.native)
        tools = prompt.tools if self.describes else ()
        form = self._form_with_system if messages[0].role == "system" else self._form
        for described_tools, expression in product(described(tools), expressions(messages, form)):
            try:
                rendered = self._render(
                    expression,
                    described_tools,
                    variables,
                    prompt.breakpoints,
                    budget=budget,
                )
            except TEMPLATE_ERRORS as error:
                complaint = str(error) or type(error).__name__
                continue
            if rendered is not None:
                end = self._end(prompt)
                if end is None:
                    return self._begun(rendered, prompt)
                if expression[-1].reasoning:
                    return rendered
                if expression[-1].role != "assistant":
                    return end.opened(rendered) if reasons else end.closed(rendered)
                asked = self._render(expression[:-1], described_tools, variables, budget=budget)
                return rendered if asked is None else end.closed_before_prefill(rendered, asked)
        raise TemplateUnusableError(complaint)

    def _end(self, prompt: Prompt) -> PromptEnd | None:
        tags = self.tags(prompt)
        if tags is None:
            return None
        is_off = prompt.thinking.mode == "disabled" and self.reasoning.switch is not None
        return PromptEnd(tags, switched_off=is_off)

    def tags(self, prompt: Prompt) -> ReasoningTags | None:
        """Return the tags of reasoning for the answer to `prompt`.

        Where a text begins with a mark and a call with another one, the model writes it itself;
        but calls may begin where a text ends.
        """
        tags, notation = self.reasoning.tags, self._notation
        if tags is None or notation is None or notation.closes_text or not chooses(prompt):
            return tags
        return tags.choosing()

    def _begun(self, rendered: Rendered, prompt: Prompt) -> Rendered:
        """Add what a text begins with if an answer cannot be anything else."""
        notation = self._notation
        if notation is None or chooses(prompt) or prompt.turns[-1].role == "assistant":
            return rendered
        last = rendered.segments[-1]
        begun = last.control and last.text.rstrip().endswith(notation.text_opening.rstrip())
        if not notation.text_opening or begun:
            return rendered
        opening = Segment(notation.text_opening, control=True)
        return Rendered([*rendered.segments, opening], rendered.edges)

    def _render(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        variables: Mapping[str, Any],
        breakpoints: Sequence[Breakpoint] = (),
        *,
        budget: Budget,
    ) -> Rendered | None:
        prefilled = messages[-1].role == "assistant"
        hidden = self._empty.fresh()
        hidden.ends.tools_move = self._notation is not None and self._notation.tools_move
        offered = enumerate(tools)
        native = [tool_message(one, index, hidden) for index, one in offered if not one.deferred]
        text = self._run(
            budget,
            messages=[
                self._message(message, hidden, last=prefilled and message is messages[-1])
                for message in messages
            ],
            add_generation_prompt=not prefilled,
            tools=native or (None if self._takes_no_tools else []),
            documents=None,
            **variables,
            **self._tokens,
        )
        return hidden.cut(hidden.cut_after_last(text) if prefilled else text, breakpoints)

    def _run(self, budget: Budget, *, messages: Sequence[Message], **variables: Any) -> str:
        given = {"messages": self._content.of(messages), **variables}
        if self._reads_functions:
            # The names that were used before templates had tools: a text of JSON, and a date.
            functions = [tool["function"] for tool in variables["tools"] or ()]
            date = f"{self._now():%Y-%m-%d}"
            given |= {"functions": to_json(functions, indent=4), "datetime": date}
        return bounded(self._jinja, self._template, given, budget)

    def _message(self, message: ChatMessage, hidden: Placeholders, *, last: bool) -> dict[str, Any]:
        """Return a message for the template; reasoning without a field is part of the content."""
        if message.role != "system":
            hidden.begin_turns()
        if message.role == "user":
            hidden.begin_question()
        fields: dict[str, Any] = {"role": message.role}
        tags = self.reasoning.tags
        thought = ""
        if message.reasoning and tags is not None and self.reasoning.kept != "never":
            # What the model wrote before the closing tag is the template's to write.
            tail = tags.margin if tags.tail is None else tags.tail
            thought = hidden.reasoning(message.reasoning.removesuffix(tail))
        content = hidden.content(message.parts, last=last)
        if thought and tags is not None:
            fields |= self.reasoning.placed(thought, content, tags)
        else:
            fields["content"] = content
        if message.calls:
            if self._notation is not None and fields.get("content") == "":
                fields["content"] = self._notation.empty
            fields["tool_calls"] = [self._call(placed, hidden) for placed in message.calls]
        if message.role == "tool":
            fields["tool_call_id"] = self._identifier(message.call_id)
            if message.tool:
                fields["name"] = message.tool
        return fields

    def _call(self, placed: PlacedCall, hidden: Placeholders) -> dict[str, Any]:
        call = placed.call
        arguments = hidden.loose(call.input)
        if self._notation is not None and self._notation.arguments_as_text:
            arguments = to_json(arguments)
        function = {"name": hidden.loose(call.name), "arguments": arguments}
        hidden.complete(placed.position)
        return {"type": "function", "id": self._identifier(call.id), "function": function}

    def _identifier(self, of: str) -> str:
        """Return the identifier of a call, as long as the template takes it."""
        length = 0 if self._notation is None else self._notation.identifier_length
        if length in (0, len(of)):
            return of
        return identifier_in(of, length) or sha256(of.encode()).hexdigest()[:length]

    def _tried(
        self, turns: Sequence[Turn], form: MessageForm, breakpoints: Sequence[Breakpoint] = ()
    ) -> Rendered | None:
        """Render a conversation in a form; `None` if the template cannot express it."""
        messages = form.of(chat_messages(turns, native=self.native))
        # Tools that move to the last question would hide what else moves.
        moves = self._notation is not None and self._notation.tools_move
        tools = [PROBE_TOOL] if self.describes and not moves else []
        variables = self.reasoning.variables(Thinking(), None)
        try:
            return self._render(messages, tools, variables, breakpoints, budget=self._trials)
        except TEMPLATE_ERRORS:
            return None

    def _expresses(self, role: str, form: ContentForm) -> bool:
        """Try the template on a message of this role, whose content is in this form."""
        self._content = form
        messages = chat_messages(SAID[role], native=True)
        try:
            tools = TOOLS_OF.get(role, ())
            return self._render(messages, tools, {}, budget=self._trials) is not None
        except TEMPLATE_ERRORS:
            return False

    def _native_syntax(self) -> CallSyntax | None:
        """Return the syntax in which the template writes calls; `None` if it is unknown."""
        if "tools" not in self._source:
            return None
        try:
            messages = chat_messages(PROBE, native=True)
            rendered = self._render(messages, [PROBE_TOOL], {}, budget=self._trials)
        except TEMPLATE_ERRORS:
            return None
        segments = [] if rendered is None else rendered.segments
        text = "".join(segment.text for segment in segments)
        if TAGGED.call("probe", PROBE_INPUT) in text:
            return TAGGED
        return BARE if BARE.call("probe", PROBE_INPUT) in text else None

    def _learned_notation(self) -> Notation | None:
        """Return the notation in which the template writes calls, if it is proven."""
        if "tool_calls" not in self._source:
            self.unlearned = "it has no calls"
            return None
        try:
            tags = self.reasoning.tags
            thoughts = None if tags is None else (tags.opening, tags.closing)
            self._notation = learn(
                self._written, self._tokens["eos_token"], self._flaw_of, thoughts
            )
        except UnknownNotationError as error:
            self.unlearned = str(error)
            self._notation = None
        return self._notation

    def _flaw_of(self, notation: Notation) -> str | None:
        self._notation = notation
        # What a template decides by a text shows only where the text is not hidden.
        return flaw(notation, self._hidden_calls, self._plain_calls)

    def _written(self, messages: Sequence[Message], tool: Tool | None = None) -> str:
        """Render messages as they are, which hold no text of a caller."""
        given = deepcopy([*messages])
        described_tool = TOOL if tool is None else function_of(description_of(tool))
        try:
            return self._run(
                self._trials,
                messages=given,
                add_generation_prompt=given[-1]["role"] != "assistant",
                tools=[deepcopy(described_tool)],
                documents=None,
                **self.reasoning.variables(Thinking(), None),
                **self._tokens,
            )
        except TEMPLATE_ERRORS as error:
            raise RefusedError from error

    def _written_with(self, messages: Sequence[Message], variables: Mapping[str, Any]) -> str:
        """Render messages with variables, which hold no text of a caller."""
        with_calls = any("tool_calls" in message for message in messages)
        # A value that nobody gives may be one with which a template does not end.
        budget = Budget(VALUE_STEPS, VALUE_SECONDS)
        try:
            return self._run(
                budget,
                messages=deepcopy([*messages]),
                add_generation_prompt=messages[-1]["role"] != "assistant",
                tools=[deepcopy(TOOL)] if with_calls else None if self._takes_no_tools else [],
                documents=None,
                **{**self._tokens, **variables},
            )
        except (*TEMPLATE_ERRORS, TooLongError) as error:
            raise RefusedError from error
        finally:
            self._trials.take(budget.taken)

    def _plain_calls(self, answers: Sequence[Sequence[Call]]) -> str | None:
        """Render calls with their results, as they are."""
        notation = self._notation
        given = [
            [replace(one, identifier=self._identifier(one.identifier)) for one in calls]
            for calls in answers
        ]
        if notation is None:
            return None
        for tools in described([PROVED_TOOL]):
            with suppress(RefusedError):
                return self._written(plain_messages(given, notation), tools[0])
        return None

    def _hidden_calls(self, answers: Sequence[Sequence[Call]]) -> str | None:
        """Render calls with their results, by the way that those of callers take."""
        variables = self.reasoning.variables(Thinking(), None)
        messages = chat_messages(turns_of(answers), native=True)
        for tools in described([PROVED_TOOL]):
            with suppress(*TEMPLATE_ERRORS):
                rendered = self._render(messages, tools, variables, budget=self._trials)
                if rendered is not None:
                    return "".join(one.text for one in rendered.segments)
        return None


def chooses(prompt: Prompt) -> bool:
    """Whether the model itself begins its answer, with a text or with a call."""
    if prompt.turns[-1].role == "assistant":
        return False
    return bool(prompt.callable_tools) and prompt.tool_choice.mode != "none"


def size_of(prompt: Prompt) -> int:
    """Return the number of tools, turns and blocks of a prompt."""
    return len(prompt.tools) + sum(1 + len(turn.content) for turn in prompt.turns)


def read_template(path: Path) -> str:
    """Read a template from a file. Raises `TemplateUnusableError`."""
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise TemplateUnusableError(f"{path} cannot be read: {reason}") from error
