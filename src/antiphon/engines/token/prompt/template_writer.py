"""Runs a chat template on messages whose texts of callers are hidden behind sentinels."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.meta import find_undeclared_variables

from antiphon.core.ids import identifier_in
from antiphon.core.prompt import Breakpoint, Tool
from antiphon.engines.token.notation.lab import Message
from antiphon.engines.token.notation.notation import Notation
from antiphon.engines.token.prompt.budget import Budget
from antiphon.engines.token.prompt.chat_messages import ChatMessage, PlacedCall
from antiphon.engines.token.prompt.content_form import ContentForm
from antiphon.engines.token.prompt.jinja_environment import bounded, environment, to_json
from antiphon.engines.token.prompt.placeholders import Placeholders, Rendered
from antiphon.engines.token.prompt.reasoning_format import ReasoningFormat
from antiphon.engines.token.prompt.template_tools import tool_message
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


class TemplateWriter:
    """A compiled template, and what is known of how it wants messages.

    `reads` is what it reads. The rest is learned of it by trial: the form of contents, whether it
    `takes_no_tools` as `None`, its `reasoning` format, and the `notation` in which it writes calls.
    `tokens` are the texts of the vocabulary that it may write.
    """

    def __init__(self, source: str, *, bos: str, eos: str, now: Callable[[], datetime]) -> None:
        """Compile it. Raises `TemplateUnusableError`."""
        self.source = source
        self.tokens = {"bos_token": bos, "eos_token": eos}
        self.content: ContentForm
        # transformers gives `None`, but templates that are made for tools only take a list.
        self.takes_no_tools = True
        self.reasoning = ReasoningFormat()
        self.notation: Notation | None = None
        self._now = now
        self._empty = Placeholders.beside(source)
        self._jinja = environment(now)
        try:
            self.reads = self._compile(source)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateUnusableError(f"line {error.lineno}: {error.message}") from error

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

    def render(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool],
        variables: Mapping[str, Any],
        breakpoints: Sequence[Breakpoint] = (),
        *,
        budget: Budget,
    ) -> Rendered | None:
        """Render a conversation; `None` if a text of a caller does not come out once and in order.

        Raises one of `TEMPLATE_ERRORS`, or `TooLongError` beyond the budget.
        """
        prefilled = messages[-1].role == "assistant"
        hidden = self._empty.fresh()
        hidden.ends.tools_move = self.notation is not None and self.notation.tools_move
        offered = enumerate(tools)
        native = [tool_message(one, index, hidden) for index, one in offered if not one.deferred]
        text = self.run(
            budget,
            messages=[
                self._message(message, hidden, last=prefilled and message is messages[-1])
                for message in messages
            ],
            add_generation_prompt=not prefilled,
            tools=native or (None if self.takes_no_tools else []),
            documents=None,
            **variables,
            **self.tokens,
        )
        return hidden.cut(hidden.cut_after_last(text) if prefilled else text, breakpoints)

    def run(self, budget: Budget, *, messages: Sequence[Message], **variables: Any) -> str:
        """Render messages as they are. Raises as `render` does."""
        given = {"messages": self.content.of(messages), **variables}
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
            if self.notation is not None and fields.get("content") == "":
                fields["content"] = self.notation.empty
            fields["tool_calls"] = [self._call(placed, hidden) for placed in message.calls]
        if message.role == "tool":
            fields["tool_call_id"] = self.identifier(message.call_id)
            if message.tool:
                # The caller's word: only the names of tools that are described were checked.
                fields["name"] = hidden.optional(message.tool)
        return fields

    def _call(self, placed: PlacedCall, hidden: Placeholders) -> dict[str, Any]:
        call = placed.call
        arguments = hidden.loose(call.input)
        if self.notation is not None and self.notation.arguments_as_text:
            arguments = to_json(arguments)
        function = {"name": hidden.loose(call.name), "arguments": arguments}
        hidden.complete(placed.position)
        return {"type": "function", "id": self.identifier(call.id), "function": function}

    def identifier(self, of: str) -> str:
        """Return the identifier of a call, as long as the template takes it."""
        length = 0 if self.notation is None else self.notation.identifier_length
        if length in (0, len(of)):
            return of
        return identifier_in(of, length) or sha256(of.encode()).hexdigest()[:length]
