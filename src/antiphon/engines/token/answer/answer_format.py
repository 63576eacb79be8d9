"""The format of an answer: the calls and the tags that the parser looks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from antiphon.core.prompt import Tool
from antiphon.engines.token.answer.lexing import HeadPattern
from antiphon.engines.token.prompt.call_syntax import CallSyntax
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags


@dataclass(frozen=True)
class AnswerFormat:
    """How to read an answer: which calls there can be, and how reasoning is tagged, if at all.

    `constrained`: a grammar keeps the answer to this format, so that a call whose input does not
    fit is rejected, to be written again; without a grammar it is text. Tools in `must_fit` have
    guaranteed inputs. Those in `buffered` are not streamed, whatever the request says: their input
    must fit, and the grammar alone does not see to that. `forced`: the answer is nothing but calls.
    `reasoned`: reasoning came before, in a completion of its own.
    """

    syntax: CallSyntax
    tools: tuple[Tool, ...] = ()
    tags: ReasoningTags | None = None
    reasoned: bool = False
    constrained: bool = False
    forced: bool = False
    must_fit: frozenset[str] = frozenset()
    buffered: frozenset[str] = frozenset()

    @cached_property
    def tools_by_name(self) -> Mapping[str, Tool]:
        return {tool.name: tool for tool in self.tools}

    @cached_property
    def streamed(self) -> frozenset[str]:
        """The tools whose inputs leave as they are written."""
        eager = (tool.name for tool in self.tools if tool.eager_input_streaming)
        return frozenset(eager) - self.buffered

    @cached_property
    def head(self) -> HeadPattern:
        return HeadPattern(self.syntax)

    @property
    def call_opening(self) -> str:
        """What opens a call in the middle of text; empty if nothing does."""
        return self.syntax.opening if self.tools else ""

    @property
    def bare_calls(self) -> bool:
        """Whether an answer is a call because it begins as one."""
        return bool(self.tools) and not self.syntax.opening

    @property
    def reasoning_opening(self) -> str:
        return "" if self.tags is None else self.tags.opening

    @property
    def reasoning_closing(self) -> str:
        return "" if self.tags is None else self.tags.closing

    @property
    def gap(self) -> str:
        """What stands between reasoning and the answer, without the space around it."""
        return "" if self.tags is None else self.tags.gap.strip()
