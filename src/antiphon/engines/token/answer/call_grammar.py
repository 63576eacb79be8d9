"""The rules of calls: what stands around an input, and how calls follow one another."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from antiphon.core.prompt import Tool
from antiphon.engines.token.notation.notation import (
    COUNT,
    IDENTIFIER,
    NAME_AGAIN,
    NEXT_IDENTIFIER,
    Notation,
    Variant,
    named_again,
    pieces,
)
from antiphon.engines.token.prompt.call_syntax import CallSyntax
from antiphon.schemas.grammars.gbnf import Rules, either, literal, times

GAP: Final = r'"\n"{0,2}'

Input = Callable[[Tool], str]
"""Returns the rule for the input of a tool."""


class CallGrammar(Protocol):
    """Writes the rules of calls. The bodies of rules that it returns may be alternated.

    `more`: other calls may follow the first one, which they never do unless `parallel`.
    """

    opening: str
    parallel: bool

    def rest(self, tools: Sequence[Tool], *, more: bool) -> str:
        """Return the body for calls without the first opening."""
        ...

    def whole(self, tools: Sequence[Tool], *, more: bool) -> str:
        """Return the body for calls."""
        ...

    def within(self, tools: Sequence[Tool], *, more: bool) -> str:
        """Return the body for calls behind another one in its section."""
        ...


class TaggedGrammar:
    """The calls of the general format."""

    def __init__(self, rules: Rules, syntax: CallSyntax, given: Input) -> None:
        self.opening = syntax.opening
        self.parallel = bool(syntax.opening)
        self._rules = rules
        self._syntax = syntax
        self._input = given

    def rest(self, tools: Sequence[Tool], *, more: bool) -> str:
        bodies = self._rules.add(either(map(self._body, tools)))
        if not more:
            return bodies
        again = self._rules.add(rf"{GAP} {literal(self.opening)} {bodies}")
        return f"{bodies} {again}*"

    def whole(self, tools: Sequence[Tool], *, more: bool) -> str:
        return f"{literal(self.opening)} {self.rest(tools, more=more)}"

    def within(self, tools: Sequence[Tool], *, more: bool) -> str:
        return self.rest(tools, more=more)

    def _body(self, tool: Tool) -> str:
        before = self._syntax.before(tool.name).removeprefix(self._syntax.opening)
        return f"{literal(before)} {self._input(tool)} {literal(self._syntax.after)}"


class NotationGrammar:
    """The calls of a notation, to the character."""

    def __init__(self, rules: Rules, notation: Notation, given: Input) -> None:
        self.opening = notation.opening
        self.parallel = notation.parallel
        self._rules = rules
        self._notation = notation
        self._input = given

    def rest(self, tools: Sequence[Tool], *, more: bool) -> str:
        return f"{self._piece(self._notation.lead)} {self.within(tools, more=more)}".lstrip()

    def whole(self, tools: Sequence[Tool], *, more: bool) -> str:
        whole = f"{literal(self.opening)} {self.rest(tools, more=more)}"
        variant = self._notation.variant
        if variant is None:
            return whole
        bodies = self._rules.add(either(self._varied(tool, variant) for tool in tools))
        return either([whole, f"{literal(variant.opening)} {bodies}"])

    def _varied(self, tool: Tool, variant: Variant) -> str:
        # The model may have a mark for what the template names by a word.
        space = variant.middle[: len(variant.middle) - len(variant.middle.lstrip())]
        marked = f'{literal(space)} ("<|" [a-z]+ "|>")?' if space else ""
        middle = self._piece(variant.middle[len(space) :], tool)
        closing = self._piece(self._notation.closing, tool)
        parts = (literal(tool.name), marked, middle, self._input(tool), closing)
        return " ".join(filter(None, parts))

    def within(self, tools: Sequence[Tool], *, more: bool) -> str:
        notation, rules = self._notation, self._rules
        if NAME_AGAIN in notation.closing:
            return self._named(tools, more=more)
        body = rules.add(either(map(self._body, tools)))
        closing = self._piece(notation.closing)
        if not more:
            return f"{body} {closing}".rstrip()
        if notation.separator is not None:
            again = rules.add(f"{self._piece(notation.separator)} {body}")
            return f"{body} {again}* {closing}".rstrip()
        before = self._piece(notation.gap + notation.opening + notation.lead)
        again = rules.add(f"{before} {body} {closing}".rstrip())
        return f"{body} {closing} {again}*"

    def _named(self, tools: Sequence[Tool], *, more: bool) -> str:
        """Return the body for calls that end with the names of their tools."""
        notation, rules = self._notation, self._rules
        again, separator = "", notation.separator
        if more:
            again = rules.reserve()
            if separator is None:
                separator = notation.closing + notation.gap + notation.opening + notation.lead
        alternatives = []
        for tool in tools:
            ends = [self._piece(notation.closing, tool)]
            if separator is not None and more:
                ends.append(f"{self._piece(separator, tool)} {again}")
            alternatives.append(f"{self._body(tool)} {either(ends)}")
        body = either(alternatives)
        return rules.define(again, body) if more else body

    def _body(self, tool: Tool) -> str:
        middle = self._piece(self._notation.middle, tool)
        return " ".join(filter(None, (literal(tool.name), middle, self._input(tool))))

    def _piece(self, text: str, tool: Tool | None = None) -> str:
        named = text if tool is None else named_again(text, tool.name)
        return " ".join(map(self._terminal, pieces(named)))

    def _terminal(self, piece: str) -> str:
        length = self._notation.identifier_length
        if piece == COUNT:
            return self._rules.add('"0" | [1-9] [0-9]{0,3}')
        if piece in (IDENTIFIER, NEXT_IDENTIFIER):
            return times("[a-zA-Z0-9]", length or 1, length or 40)
        return literal(piece)
