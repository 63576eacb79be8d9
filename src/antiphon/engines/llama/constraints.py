"""What an answer may look like, as a grammar: text, calls, or the JSON of a schema.

llama.cpp has grammars that wait for a trigger, too. These do without: they say from the first
token on what free text is, namely text in which no call begins. So no call can begin that is not
one of the tools', and nothing has to be guessed about where a token may be cut.
"""

from collections.abc import Sequence
from typing import Final

from antiphon.core.generation import Prompt, Tool
from antiphon.engines.llama.gbnf import Rules, either, literal
from antiphon.engines.llama.grammar import JsonGrammar
from antiphon.engines.llama.syntax import CallSyntax

GAP: Final = r'"\n"{0,2}'


def answer_grammar(prompt: Prompt, syntax: CallSyntax) -> str | None:
    """Write what may be answered to `prompt` after all thinking, or nothing if that is anything."""
    rules = Rules()
    body = _Body(rules, prompt, syntax).rule()
    return None if body is None else rules.text(body)


class _Body:
    """The answer, rule by rule."""

    def __init__(self, rules: Rules, prompt: Prompt, syntax: CallSyntax) -> None:
        self._rules = rules
        self._prompt = prompt
        self._syntax = syntax

    def rule(self) -> str | None:
        choice = self._prompt.tool_choice
        tools = self._prompt.tools
        schema = self._prompt.output_schema
        if not tools or choice.mode == "none":
            if schema is not None:
                return JsonGrammar(self._rules, schema).rule()
            return self._no_calls() if tools else None
        if choice.mode in ("any", "tool"):
            return self._called([tool for tool in tools if choice.name in (None, tool.name)])
        if schema is not None:
            said = JsonGrammar(self._rules, schema).rule()
            return self._rules.add(either([said, self._called(tools)]))
        return self._text_and_calls(tools)

    def _no_calls(self) -> str | None:
        opening = self._syntax.opening
        return self._rules.until(opening, may_end=True) if opening else None

    def _text_and_calls(self, tools: Sequence[Tool]) -> str:
        opening = self._syntax.opening
        if opening:
            calls = self._rules.add(self._more(self._ways(tools)))
            return self._rules.until(opening, calls, may_end=True)
        text = self._rules.add(r'"" | [^{ \t\r\n] [^\x00]*')
        return self._rules.add(either([text, self._called(tools)]))

    def _called(self, tools: Sequence[Tool]) -> str:
        opening = literal(self._syntax.opening)
        return self._rules.add(f"{opening} {self._more(self._ways(tools))}")

    def _more(self, ways: str) -> str:
        """Write the rest of a call, and the calls that may follow it."""
        choice = self._prompt.tool_choice
        if not choice.parallel or choice.mode == "tool" or not self._syntax.opening:
            return ways
        again = self._rules.add(rf"{GAP} {literal(self._syntax.opening)} {ways}")
        return f"{ways} {again}*"

    def _ways(self, tools: Sequence[Tool]) -> str:
        return self._rules.add(either(self._way(tool) for tool in tools))

    def _way(self, tool: Tool) -> str:
        before = self._syntax.before(tool.name).removeprefix(self._syntax.opening)
        schema = {**tool.input_schema, "type": "object"}
        arguments = JsonGrammar(self._rules, schema).rule()
        return f"{literal(before)} {arguments} {literal(self._syntax.after)}"
