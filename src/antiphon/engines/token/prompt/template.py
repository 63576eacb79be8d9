"""Renders conversations by the model's own chat template; callers' text stays plain text.

Each text of the caller is replaced by a sentinel, the template is rendered, and the result is cut
at the sentinels. The text between two sentinels is the template's and may hold control tokens; the
text behind a sentinel is the caller's and never does. Each sentinel has to come out once and in
order, so a template that drops, hoists or reorders a turn is detected.
"""

from collections.abc import Callable
from datetime import datetime
from itertools import product
from pathlib import Path

from antiphon.core.prompt import Prompt
from antiphon.engines.token.prompt.budget import (
    Budget,
    TooLongError,
    budget_for,
)
from antiphon.engines.token.prompt.chat_messages import chat_messages
from antiphon.engines.token.prompt.message_forms import expressions
from antiphon.engines.token.prompt.placeholders import (
    Rendered,
    Segment,
)
from antiphon.engines.token.prompt.prompt_end import PromptEnd
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags
from antiphon.engines.token.prompt.template_tools import described
from antiphon.engines.token.prompt.template_trials import TemplateTrials
from antiphon.engines.token.prompt.template_writer import (
    TEMPLATE_ERRORS,
    TemplateTooLongError,
    TemplateUnusableError,
    TemplateWriter,
)
from antiphon.engines.token.prompt.tool_prompt import call_instructions, tool_prompt


class ChatTemplate:
    """A model's template, compiled. `now` is for templates that write the date.

    `syntax` is how calls are written. `native`: the template writes them itself; if it does not,
    `unlearned` says why. `describes`: it describes tools, too. `reasoning` is the template's
    reasoning format, with other `tags` if they are given. `turn_marks` are the first marks behind
    every answer, if they are in none.
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
        try:
            self._writer = TemplateWriter(source, bos=bos, eos=eos, now=now)
            learned = TemplateTrials(self._writer, tags=tags)
        except TooLongError as error:
            raise TemplateTooLongError(str(error)) from error
        self.reasoning = self._writer.reasoning
        self.syntax = learned.syntax
        self.native = learned.native
        self.unlearned = learned.unlearned
        self.describes = learned.describes
        self.turn_marks = learned.turn_marks
        self._notation = self._writer.notation
        self._form, self._form_with_system = learned.form, learned.form_with_system

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
                rendered = self._writer.render(
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
                asked = self._writer.render(
                    expression[:-1], described_tools, variables, budget=budget
                )
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
