"""Finds out by trial what a chat template can express, and how."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any

from msgspec.structs import replace

from antiphon.core.late_tools import description_of
from antiphon.core.prompt import Breakpoint, Thinking, Tool, Turn
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
)
from antiphon.engines.token.prompt.call_syntax import BARE, TAGGED, CallSyntax
from antiphon.engines.token.prompt.chat_messages import chat_messages
from antiphon.engines.token.prompt.content_form import ContentForm, content_form_for
from antiphon.engines.token.prompt.message_forms import MessageForm, form_for
from antiphon.engines.token.prompt.placeholders import Rendered
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags
from antiphon.engines.token.prompt.template_tools import described, function_of
from antiphon.engines.token.prompt.template_writer import TEMPLATE_ERRORS, TemplateWriter
from antiphon.engines.token.prompt.trial import (
    PROBE,
    PROBE_INPUT,
    PROBE_TOOL,
    SAID,
    TOOLS_OF,
    plain_messages,
    turns_of,
)
from antiphon.engines.token.prompt.turn_marks import learn_turn_marks
from antiphon.engines.token.reasoning.learning import learn_reasoning


class TemplateTrials:
    """Tries a template, and tells its writer what it learns. All of it has one budget.

    `syntax` is how calls are written. `native`: the template writes them itself; if it does not,
    `unlearned` says why. `describes`: it describes tools, too. `form` is that of conversations,
    `form_with_system` that of those with a system prompt. `turn_marks` are the first marks behind
    every answer, if they are in none.
    """

    def __init__(self, writer: TemplateWriter, *, tags: ReasoningTags | bool) -> None:
        """Try it. Raises `TooLongError`."""
        self._writer = writer
        self._budget = Budget(TRIAL_STEPS, TRIAL_SECONDS)
        for writer.takes_no_tools in (True, False):
            writer.content = content_form_for(self._expresses)
            if self._expresses("user", writer.content):
                break
        writer.reasoning = learn_reasoning(self._written_with, writer.reads, tags=tags)
        self.unlearned: str | None = None
        native = self._native_syntax() or self._learned_notation()
        notation = writer.notation
        self.native = native is not None
        self.describes = native is not None and (notation is None or notation.describes)
        self.syntax: CallSyntax | Notation = native or TAGGED
        self.form, self.form_with_system = (
            form_for(
                self._tried,
                system=system,
                native=self.native,
                reasons=writer.reasoning.kept != "never",
                at_calls=writer.reasoning.at_calls,
            )
            for system in (False, True)
        )
        if notation is not None and self.form.question_before_calls:
            self.syntax = writer.notation = replace(notation, alone=True)
        self.turn_marks = self._learned_turn_marks()

    def _tried(
        self, turns: Sequence[Turn], form: MessageForm, breakpoints: Sequence[Breakpoint] = ()
    ) -> Rendered | None:
        """Render a conversation in a form; `None` if the template cannot express it."""
        messages = form.of(chat_messages(turns, native=self.native))
        # Tools that move to the last question would hide what else moves.
        moves = self._writer.notation is not None and self._writer.notation.tools_move
        tools = [PROBE_TOOL] if self.describes and not moves else []
        variables = self._writer.reasoning.variables(Thinking(), None)
        try:
            return self._writer.render(messages, tools, variables, breakpoints, budget=self._budget)
        except TEMPLATE_ERRORS:
            return None

    def _expresses(self, role: str, form: ContentForm) -> bool:
        """Try the template on a message of this role, whose content is in this form."""
        self._writer.content = form
        messages = chat_messages(SAID[role], native=True)
        try:
            tools = TOOLS_OF.get(role, ())
            return self._writer.render(messages, tools, {}, budget=self._budget) is not None
        except TEMPLATE_ERRORS:
            return False

    def _native_syntax(self) -> CallSyntax | None:
        """Return the syntax in which the template writes calls; `None` if it is unknown."""
        if "tools" not in self._writer.source:
            return None
        try:
            messages = chat_messages(PROBE, native=True)
            rendered = self._writer.render(messages, [PROBE_TOOL], {}, budget=self._budget)
        except TEMPLATE_ERRORS:
            return None
        segments = [] if rendered is None else rendered.segments
        text = "".join(segment.text for segment in segments)
        if TAGGED.call("probe", PROBE_INPUT) in text:
            return TAGGED
        return BARE if BARE.call("probe", PROBE_INPUT) in text else None

    def _learned_notation(self) -> Notation | None:
        """Return the notation in which the template writes calls, if it is proven."""
        if "tool_calls" not in self._writer.source:
            self.unlearned = "it has no calls"
            return None
        try:
            tags = self._writer.reasoning.tags
            thoughts = None if tags is None else (tags.opening, tags.closing)
            self._writer.notation = learn(
                self._written, self._writer.tokens["eos_token"], self._flaw_of, thoughts
            )
        except UnknownNotationError as error:
            self.unlearned = str(error)
            self._writer.notation = None
        return self._writer.notation

    def _flaw_of(self, notation: Notation) -> str | None:
        self._writer.notation = notation
        # What a template decides by a text shows only where the text is not hidden.
        return flaw(notation, self._hidden_calls, self._plain_calls)

    def _written(self, messages: Sequence[Message], tool: Tool | None = None) -> str:
        """Render messages as they are, which hold no text of a caller."""
        given = deepcopy([*messages])
        described_tool = TOOL if tool is None else function_of(description_of(tool))
        try:
            return self._writer.run(
                self._budget,
                messages=given,
                add_generation_prompt=given[-1]["role"] != "assistant",
                tools=[deepcopy(described_tool)],
                documents=None,
                **self._writer.reasoning.variables(Thinking(), None),
                **self._writer.tokens,
            )
        except TEMPLATE_ERRORS as error:
            raise RefusedError from error

    def _written_with(self, messages: Sequence[Message], variables: Mapping[str, Any]) -> str:
        """Render messages with variables, which hold no text of a caller."""
        with_calls = any("tool_calls" in message for message in messages)
        # A value that nobody gives may be one with which a template does not end.
        budget = Budget(VALUE_STEPS, VALUE_SECONDS)
        try:
            return self._writer.run(
                budget,
                messages=deepcopy([*messages]),
                add_generation_prompt=messages[-1]["role"] != "assistant",
                tools=[deepcopy(TOOL)]
                if with_calls
                else None
                if self._writer.takes_no_tools
                else [],
                documents=None,
                **{**self._writer.tokens, **variables},
            )
        except (*TEMPLATE_ERRORS, TooLongError) as error:
            raise RefusedError from error
        finally:
            self._budget.take(budget.taken)

    def _learned_turn_marks(self) -> tuple[str, ...]:
        reasoning = self._writer.reasoning
        tags = () if reasoning.tags is None else reasoning.tags.tokens
        variables = reasoning.variables(Thinking(), None)
        marks = learn_turn_marks(lambda messages: self._written_with(messages, variables))
        own = (*self.syntax.marks, *tags)
        return () if any(mark in one for mark in marks for one in own) else marks

    def _plain_calls(self, answers: Sequence[Sequence[Call]]) -> str | None:
        """Render calls with their results, as they are."""
        notation = self._writer.notation
        given = [
            [replace(one, identifier=self._writer.identifier(one.identifier)) for one in calls]
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
        variables = self._writer.reasoning.variables(Thinking(), None)
        messages = chat_messages(turns_of(answers), native=True)
        for tools in described([PROVED_TOOL]):
            with suppress(*TEMPLATE_ERRORS):
                rendered = self._writer.render(messages, tools, variables, budget=self._budget)
                if rendered is not None:
                    return "".join(one.text for one in rendered.segments)
        return None
