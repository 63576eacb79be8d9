"""The format of an answer: the calls and the tags that the parser recognises."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from antiphon.core.prompt import Tool
from antiphon.engines.token.answer.calls import TaggedCalls
from antiphon.engines.token.answer.unmarked import UnmarkedCalls
from antiphon.engines.token.notation.calls import Calls, NotedCalls
from antiphon.engines.token.notation.notation import Notation
from antiphon.engines.token.prompt.call_syntax import CallSyntax
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags


@dataclass(frozen=True)
class AnswerFormat:
    """How to parse an answer: the possible calls, and the tags of reasoning, if any.

    `constrained`: a grammar enforces this format, so a call whose input does not fit is rejected
    and generated again; without a grammar it is text. The inputs of the tools in `must_fit` are
    guaranteed. The inputs of the tools in `buffered` are never streamed, whatever the request says:
    they must fit, and the grammar alone does not ensure it. `forced`: the answer consists of calls
    only. `reasoned`: the reasoning was a completion of its own, before the answer. `prefilled`: the
    answer goes on with a text. `with_schema`: a text of the answer is the JSON of a schema. Outside
    of calls, any of the texts `turn_ends` ends the answer.
    """

    syntax: CallSyntax | Notation
    tools: tuple[Tool, ...] = ()
    tags: ReasoningTags | None = None
    reasoned: bool = False
    prefilled: bool = False
    with_schema: bool = False
    constrained: bool = False
    forced: bool = False
    turn_ends: tuple[str, ...] = ()
    must_fit: frozenset[str] = frozenset()
    buffered: frozenset[str] = frozenset()

    @cached_property
    def tools_by_name(self) -> Mapping[str, Tool]:
        return {tool.name: tool for tool in self.tools}

    @cached_property
    def streamed(self) -> frozenset[str]:
        """The tools whose inputs are streamed while they are generated."""
        eager = (tool.name for tool in self.tools if tool.eager_input_streaming)
        return frozenset(eager) - self.buffered

    @cached_property
    def calls(self) -> Calls:
        if isinstance(self.syntax, Notation):
            return NotedCalls(self.syntax, self.tools_by_name)
        return TaggedCalls(self.syntax)

    @cached_property
    def unmarked(self) -> UnmarkedCalls | None:
        """The calls without their mark, which are generated again with it; `None` for none."""
        is_free = self.constrained and not self.forced and not self.prefilled
        opening = "" if self.text_opening or self.closes_text else self.call_opening
        if not is_free or self.with_schema or not opening:
            return None
        return UnmarkedCalls(self.tools_by_name, opening)

    @property
    def call_opening(self) -> str:
        """The tag that opens a call within text, or an empty text."""
        joins = isinstance(self.syntax, Notation) and self.syntax.begun
        if self.closes_text:
            return self.syntax.opening
        if not self.tools or (self.text_opening and not joins):
            return ""
        return self.syntax.opening

    @property
    def closes_text(self) -> bool:
        """Whether the opening of a call ends a text, and an answer without calls."""
        return isinstance(self.syntax, Notation) and self.syntax.closes_text

    @property
    def text_opening(self) -> str:
        """What a text begins with, without space, where that tells it from calls."""
        if not self.tools or not isinstance(self.syntax, Notation):
            return ""
        return self.syntax.text_opening.lstrip()

    @property
    def start_of_text(self) -> str:
        """What tells that an answer begins with a text, which it may be, or an empty text."""
        return "" if self.forced or self.prefilled else self.text_opening

    @cached_property
    def first_openings(self) -> tuple[str, ...]:
        """The openings of a call that begins an answer, without space, where none follows text."""
        if not self.text_opening or not isinstance(self.syntax, Notation):
            return ()
        if self.is_begun or self.prefilled:
            return ()
        variant = self.syntax.variant
        other = () if variant is None else (variant.opening,)
        return tuple(opening.lstrip() for opening in (self.syntax.opening, *other))

    @property
    def is_begun(self) -> bool:
        """Whether the prompt ends with the opening of a call."""
        return isinstance(self.syntax, Notation) and self.syntax.begun and not self.prefilled

    @property
    def bare_calls(self) -> bool:
        """Whether an answer that begins as a call is one."""
        return bool(self.tools) and not self.syntax.opening

    @property
    def reasoning_opening(self) -> str:
        return "" if self.tags is None else self.tags.opening

    @property
    def reasoning_closing(self) -> str:
        return "" if self.tags is None else self.tags.closing

    @property
    def text_mark(self) -> str:
        """What a text may begin with that is not a part of it."""
        return "" if self.tags is None or self.text_opening else self.tags.text_mark

    @property
    def gap(self) -> str:
        """The text between reasoning and the answer, without surrounding space."""
        return "" if self.tags is None else self.tags.gap.strip()
