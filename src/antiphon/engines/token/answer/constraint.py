"""The grammar of an answer: text, calls, or the JSON of a schema.

llama.cpp also has lazy grammars, which start at a trigger. These grammars start at the first token:
they define free text as text in which no call begins. So only calls of the request's tools can
begin, and it does not matter where tokens are cut.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from antiphon.core.prompt import Prompt, Tool, ToolChoice
from antiphon.engines.step_runner import BRIEF
from antiphon.engines.token.answer.call_grammar import (
    CallGrammar,
    NotationGrammar,
    TaggedGrammar,
)
from antiphon.engines.token.notation.notation import Notation, pieces
from antiphon.engines.token.prompt.call_syntax import CallSyntax
from antiphon.schemas.elements import Elements
from antiphon.schemas.grammars.element_grammar import ElementGrammar
from antiphon.schemas.grammars.gbnf import Rules, either, literal
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from antiphon.schemas.grammars.nested_grammar import NestedGrammar
from antiphon.schemas.patterns import PatternUnsupportedError, language
from antiphon.schemas.spelling import JSON, Spelling
from antiphon.schemas.steps import Steps, TooComplexError, Work

SCHEMA: Final = "output_config.format.schema"
ANYTHING: Final = r"[^\x00]*"
PLAIN: Final[Mapping[str, Any]] = {"type": "object"}
"""Replaces the schema of an input that is too complex to be enforced."""


class SchemaUnsupportedError(Exception):
    """A schema that must be enforced and cannot be. The message is for the caller of the API."""


class ConstraintRequest(msgspec.Struct, frozen=True):
    """Everything that the grammar of an answer depends on.

    `again`: a call has been rejected, and the next output is a call in its place, `within` the
    section of another one, or at the `start` of the answer. `tight`: that call is limited to what
    the grammar can enforce. `paths` are those of the tools in the request of the caller, for
    errors; without them they are as they stand here. `withdrawn`: the prompt describes tools, and
    all of them have been removed. `prefilled`: the answer goes on with a text.
    """

    tools: tuple[Tool, ...]
    choice: ToolChoice
    schema: dict[str, Any] | None
    syntax: CallSyntax | Notation
    again: bool = False
    within: bool = False
    start: bool = True
    tight: bool = False
    paths: tuple[str, ...] = ()
    withdrawn: bool = False
    prefilled: bool = False

    @property
    def key(self) -> bytes:
        """Return a key of all that the grammar depends on, including the order of properties."""
        tools = [(tool.name, tool.strict, tool.input_schema) for tool in self.tools]
        return msgspec.json.encode((tools, *msgspec.structs.astuple(self)[1:]))

    @property
    def must_fit(self) -> frozenset[str]:
        """The tools whose inputs are guaranteed."""
        forced = self.choice.mode in ("any", "tool")
        return frozenset(tool.name for tool in self.tools if forced or tool.strict)


class Constraint(msgspec.Struct, frozen=True):
    """What an answer may be; without a grammar, anything.

    `unenforced` names the tools whose input schemas the grammar does not fully enforce. `slow`: the
    check of an input may take longer than the event loop should wait.
    """

    grammar: str | None = None
    unenforced: frozenset[str] = frozenset()
    slow: bool = False


def constraint_request(
    prompt: Prompt, syntax: CallSyntax | Notation, **more: bool
) -> ConstraintRequest:
    """Return the request for the grammar of the answer to `prompt`."""
    tools = prompt.callable_tools
    paths = prompt.tool_paths(tools)
    withdrawn = prompt.offered is not None and not tools
    return ConstraintRequest(
        tools,
        prompt.tool_choice,
        prompt.output_schema,
        syntax,
        paths=paths,
        withdrawn=withdrawn,
        prefilled=prompt.turns[-1].role == "assistant",
        **more,
    )


def constrain(request: ConstraintRequest, work: Work | None = None) -> Constraint:
    """Return the constraint of an answer; raises `SchemaUnsupportedError`."""
    work = work or Work()
    try:
        return _constrained(request, work)
    except TooComplexError as error:
        # Inputs that need not fit are then only required to be objects.
        if len(request.must_fit) < len(request.tools):
            with suppress(TooComplexError):
                return _constrained(request, work, plain=True)
        raise SchemaUnsupportedError("tools: Schema is too complex for compilation.") from error


def _constrained(request: ConstraintRequest, work: Work, *, plain: bool = False) -> Constraint:
    rules = Rules(work)
    writer = _ConstraintWriter(rules, request, plain=plain)
    rule = writer.rule()
    if rule is None:
        return Constraint()
    return Constraint(rules.text(rule), frozenset(writer.unenforced), slow=work.taken > BRIEF)


def _call_grammar(
    rules: Rules, syntax: CallSyntax | Notation, given: Callable[[Tool], str]
) -> CallGrammar:
    if isinstance(syntax, Notation):
        return NotationGrammar(rules, syntax, given)
    return TaggedGrammar(rules, syntax, given)


class _ConstraintWriter:
    """Writes the rules of an answer, without its reasoning.

    With `plain`, inputs that are not guaranteed are only required to be objects.
    """

    def __init__(self, rules: Rules, request: ConstraintRequest, *, plain: bool) -> None:
        self.unenforced: set[str] = set()
        self._rules = rules
        self._request = request
        self._plain = plain
        self._calls_of = _call_grammar(rules, request.syntax, self._input)
        names = [tool.name for tool in request.tools]
        there = (f"tools.{index}.custom" for index in count())
        self._paths = dict(zip(names, request.paths or there, strict=False))

    def rule(self) -> str | None:
        choice, tools = self._request.choice, self._request.tools
        if not tools or choice.mode == "none":
            if self._request.schema is not None:
                return self._output(self._request.schema)
            return self._no_calls() if tools or self._request.withdrawn else None
        if choice.mode in ("any", "tool"):
            return self._calls([tool for tool in tools if choice.name in (None, tool.name)])
        if self._request.again:
            return self._calls(tools)
        return self._text_or_calls(tools)

    def _text_or_calls(self, tools: Sequence[Tool]) -> str:
        syntax, schema = self._request.syntax, self._request.schema
        text = None if schema is None else self._output(schema)
        if isinstance(syntax, Notation) and syntax.text_opening:
            tools = [tool for tool in tools if not syntax.is_text(tool.name)]
            text = text or self._free_text(tools, syntax)
            if self._request.prefilled:
                return text
            text = f"{literal(syntax.text_opening)} {text}"
            if not tools:
                return self._rules.add(text)
        elif isinstance(syntax, Notation) and syntax.alone:
            text = text or self._no_calls()
        if text is None:
            return self._text_and_calls(tools)
        return self._rules.add(either([text, self._calls(tools)]))

    def _free_text(self, tools: Sequence[Tool], notation: Notation) -> str:
        """Return the rule for a text that begins with a mark, and for calls that may follow it."""
        if not notation.begun or not tools:
            return self._rules.add(ANYTHING)
        calls = self._rules.add(self._calls_of.rest(tools, more=self._may_call_again))
        return self._rules.until(notation.opening, calls, may_end=True)

    def _output(self, schema: Mapping[str, Any]) -> str:
        """Return the rule for a structured output; its schema must be fully enforced."""
        rule, unenforced = self._json(schema, SCHEMA, strict=True)
        if rule is None:
            raise SchemaUnsupportedError(f"{SCHEMA}: no value fits this schema")
        if unenforced:
            raise SchemaUnsupportedError(f"{SCHEMA}: '{min(unenforced)}' is too complex to be kept")
        return rule

    def _json(self, schema: Any, where: str, *, strict: bool) -> tuple[str | None, set[str]]:
        return self._compiled(
            lambda: self._grammar(schema, JSON, None), schema, where, strict=strict
        )

    def _given(self, schema: Any, where: str, *, strict: bool) -> tuple[str | None, set[str]]:
        """Return the rule of an input, in the notation of calls."""
        syntax = self._request.syntax
        spelling, elements = JSON, None
        if isinstance(syntax, Notation):
            spelling, elements = syntax.spelling, syntax.elements
        return self._compiled(
            lambda: self._grammar(schema, spelling, elements), schema, where, strict=strict
        )

    def _grammar(
        self, schema: Any, spelling: Spelling, elements: Elements | None
    ) -> tuple[str | None, set[str]]:
        grammar: JsonGrammar
        if elements is not None:
            written = ElementGrammar if elements.item is None else NestedGrammar
            grammar = written(self._rules, schema, elements, tight=self._request.tight)
        else:
            grammar = JsonGrammar(self._rules, schema, tight=self._request.tight)
        with self._rules.spelled(spelling):
            return grammar.rule(), grammar.unenforced

    def _compiled(
        self,
        compile_: Callable[[], tuple[str | None, set[str]]],
        schema: Any,
        where: str,
        *,
        strict: bool,
    ) -> tuple[str | None, set[str]]:
        """Return the rule of a schema, and the keywords that it does not enforce.

        Where the schema is a promise (`strict`), each of its patterns must be supported. Elsewhere
        an unsupported one is left out: a tool with such a pattern must not take the others down.
        """
        try:
            with self._rules.share():
                if strict:
                    check_patterns(schema, where, self._rules.steps)
                return compile_()
        except TooComplexError as error:
            if self._rules.is_spent:  # perhaps by schemas that need not be enforced
                raise
            raise SchemaUnsupportedError(
                f"{where}: Schema is too complex for compilation."
            ) from error

    def _no_calls(self) -> str | None:
        opening, syntax = self._calls_of.opening, self._request.syntax
        if isinstance(syntax, Notation) and syntax.closes_text:
            # The model ends its text so; the answer has ended then.
            return self._rules.until(opening, self._rules.add(ANYTHING), may_end=True)
        return self._rules.until(opening, may_end=True) if opening else None

    def _text_and_calls(self, tools: Sequence[Tool]) -> str:
        opening = self._calls_of.opening
        if opening:
            calls = self._calls_of.rest(tools, more=self._may_call_again)
            syntax = self._request.syntax
            if isinstance(syntax, Notation) and syntax.closes_text:
                calls = self._calls_or_end(syntax, tools)
            return self._rules.until(opening, self._rules.add(calls), may_end=True)
        syntax = self._request.syntax
        if isinstance(syntax, Notation):
            return self._rules.add(self._calls_or_end(syntax, tools))
        text = self._rules.add(r'"" | [^{ \t\r\n] [^\x00]*')
        return self._rules.add(either([text, self._calls(tools)]))

    def _calls_or_end(self, notation: Notation, tools: Sequence[Tool]) -> str:
        """Return the body for a call without its opening, or for what does not begin so.

        The answer ends there, or is a text, if calls have no opening.
        """
        lead = next(pieces(notation.lead))
        shorter = replace(notation, lead=notation.lead.removeprefix(lead))
        calls = NotationGrammar(self._rules, shorter, self._input)
        rest = self._rules.add(calls.rest(tools, more=self._may_call_again))
        return self._rules.unless(lead, rest, self._rules.add(ANYTHING))

    def _calls(self, tools: Sequence[Tool]) -> str:
        """Return the rule for calls and nothing before them.

        Text may follow: a model that may only call or end goes on to call, also when it wants to
        say something. The generation ends a forced answer there.
        """
        more = self._may_call_again
        text = self._no_calls() if more else None
        if self._request.within:
            calls = self._calls_of.within(tools, more=more)
            return self._rules.add(f"{calls} {text or ''}".rstrip())
        syntax, request = self._request.syntax, self._request
        begun = isinstance(syntax, Notation) and syntax.begun
        if begun and request.start and not request.prefilled:
            calls = self._calls_of.rest(tools, more=more)
        else:
            calls = self._calls_of.whole(tools, more=more)
        return self._rules.add(f"{calls} {text or ''}".rstrip())

    @property
    def _may_call_again(self) -> bool:
        choice = self._request.choice
        return choice.parallel and choice.mode != "tool" and self._calls_of.parallel

    def _input(self, tool: Tool) -> str:
        schema = {**tool.input_schema, "type": "object"}
        where = f"{self._paths[tool.name]}.input_schema"
        guaranteed = tool.name in self._request.must_fit
        rule, unenforced = None, set[str]()
        try:
            if guaranteed or not self._plain:
                rule, unenforced = self._given(schema, where, strict=tool.strict)
        except SchemaUnsupportedError:
            if guaranteed:
                raise
        if rule is not None:
            self.unenforced.update({tool.name} if unenforced else ())
            return rule
        if guaranteed:
            raise SchemaUnsupportedError(f"{where}: no input fits this schema")
        self.unenforced.add(tool.name)
        return self._given(PLAIN, where, strict=False)[0] or ""


def check_patterns(schema: Any, where: str, steps: Steps) -> None:
    """Raise `SchemaUnsupportedError` for a pattern that could be neither enforced nor checked."""
    for pattern in _patterns(schema):
        try:
            language(pattern, steps)
        except PatternUnsupportedError as error:
            raise SchemaUnsupportedError(
                f"{where}: 'pattern' {pattern!r} is not supported: {error}"
            ) from error


def _patterns(schema: Any) -> Iterator[str]:
    """Yield the patterns of a schema, also from positions that only look like schemas."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, Mapping):
            if isinstance(node.get("pattern"), str):
                yield node["pattern"]
            if isinstance(node.get("patternProperties"), Mapping):
                yield from node["patternProperties"]
            waiting.extend(node[key] for key in node if key not in ("const", "enum", "default"))
