"""The grammar of an answer: text, calls, or the JSON of a schema.

llama.cpp has grammars that wait for a trigger, too. These do without: they say from the first
token on what free text is, namely text in which no call begins. So no call can begin that is not
one of the tools', and nothing has to be guessed about where a token may be cut.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from antiphon.core.prompt import Prompt, Tool, ToolChoice
from antiphon.engines.token.prompt.call_syntax import CallSyntax
from antiphon.schemas.grammars.gbnf import Rules, either, literal
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from antiphon.schemas.patterns import PatternUnsupportedError, language
from antiphon.schemas.steps import Steps, TooComplexError

GAP: Final = r'"\n"{0,2}'
SCHEMA: Final = "output_config.format.schema"
PLAIN: Final[Mapping[str, Any]] = {"type": "object"}
"""What is asked of an input when its schema is too large to be asked for."""


class SchemaUnsupportedError(Exception):
    """A schema that must be kept and cannot be. The message is for the caller of the API."""


class ConstraintRequest(msgspec.Struct, frozen=True):
    """All that the grammar of an answer depends on.

    `again` says that a call has begun and was rejected: what comes is a call in its place, and
    with `tight`, one from which is left out what could not be kept.
    """

    tools: tuple[Tool, ...]
    choice: ToolChoice
    schema: dict[str, Any] | None
    syntax: CallSyntax
    again: bool = False
    tight: bool = False

    @property
    def key(self) -> bytes:
        """Say in bytes what the grammar depends on; the order of properties does matter."""
        tools = [(tool.name, tool.strict, tool.input_schema) for tool in self.tools]
        return msgspec.json.encode((tools, *msgspec.structs.astuple(self)[1:]))

    @property
    def must_fit(self) -> frozenset[str]:
        """The tools whose inputs are guaranteed."""
        forced = self.choice.mode in ("any", "tool")
        return frozenset(tool.name for tool in self.tools if forced or tool.strict)


class Constraint(msgspec.Struct, frozen=True):
    """What may be answered, or nothing if that is anything.

    `unenforced` names the tools of whose schemas the grammar does not keep all.
    """

    grammar: str | None = None
    unenforced: frozenset[str] = frozenset()


def constraint_request(prompt: Prompt, syntax: CallSyntax, **more: bool) -> ConstraintRequest:
    """Ask for the grammar of the answer to `prompt`."""
    return ConstraintRequest(prompt.tools, prompt.tool_choice, prompt.output_schema, syntax, **more)


def constrain(asked: ConstraintRequest) -> Constraint:
    """Write what may be answered; raises for schemas that must be kept and cannot be."""
    try:
        return _constrained(asked)
    except TooComplexError as error:
        # Of inputs that need not fit, no more is asked than to be objects.
        if len(asked.must_fit) < len(asked.tools):
            with suppress(TooComplexError):
                return _constrained(asked, plain=True)
        raise SchemaUnsupportedError("tools: Schema is too complex for compilation.") from error


def _constrained(asked: ConstraintRequest, *, plain: bool = False) -> Constraint:
    rules = Rules()
    body = _Body(rules, asked, plain=plain)
    rule = body.rule()
    if rule is None:
        return Constraint()
    return Constraint(rules.text(rule), frozenset(body.unenforced))


class _Body:
    """The answer after all thinking, rule by rule.

    With `plain`, of inputs that are not guaranteed no more is asked than to be objects.
    """

    def __init__(self, rules: Rules, asked: ConstraintRequest, *, plain: bool) -> None:
        self.unenforced: set[str] = set()
        self._rules = rules
        self._asked = asked
        self._plain = plain
        self._syntax = asked.syntax
        self._places = {tool.name: place for place, tool in enumerate(asked.tools)}

    def rule(self) -> str | None:
        choice, tools = self._asked.choice, self._asked.tools
        if not tools or choice.mode == "none":
            if self._asked.schema is not None:
                return self._output(self._asked.schema)
            return self._no_calls() if tools else None
        if choice.mode in ("any", "tool"):
            return self._called([tool for tool in tools if choice.name in (None, tool.name)])
        if self._asked.again:
            return self._called(tools)
        if self._asked.schema is not None:
            said = self._output(self._asked.schema)
            return self._rules.add(either([said, self._called(tools)]))
        return self._text_and_calls(tools)

    def _output(self, schema: Mapping[str, Any]) -> str:
        """Name the rule of the JSON that is asked for, of which all is kept or nothing said."""
        rule, unenforced = self._json(schema, SCHEMA, guaranteed=True)
        if rule is None:
            raise SchemaUnsupportedError(f"{SCHEMA}: no value fits this schema")
        if unenforced:
            raise SchemaUnsupportedError(f"{SCHEMA}: '{min(unenforced)}' is too complex to be kept")
        return rule

    def _json(self, schema: Any, where: str, *, guaranteed: bool) -> tuple[str | None, set[str]]:
        try:
            with self._rules.share():
                if guaranteed:
                    check_patterns(schema, where, self._rules.steps)
                grammar = JsonGrammar(self._rules, schema, tight=self._asked.tight)
                return grammar.rule(), grammar.unenforced
        except TooComplexError as error:
            if self._rules.is_spent:  # perhaps by schemas that need not be kept
                raise
            raise SchemaUnsupportedError(
                f"{where}: Schema is too complex for compilation."
            ) from error

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
        choice = self._asked.choice
        if not choice.parallel or choice.mode == "tool" or not self._syntax.opening:
            return ways
        again = self._rules.add(rf"{GAP} {literal(self._syntax.opening)} {ways}")
        return f"{ways} {again}*"

    def _ways(self, tools: Sequence[Tool]) -> str:
        return self._rules.add(either(self._way(tool) for tool in tools))

    def _way(self, tool: Tool) -> str:
        before = self._syntax.before(tool.name).removeprefix(self._syntax.opening)
        return f"{literal(before)} {self._input(tool)} {literal(self._syntax.after)}"

    def _input(self, tool: Tool) -> str:
        schema = {**tool.input_schema, "type": "object"}
        where = f"tools.{self._places[tool.name]}.custom.input_schema"
        guaranteed = tool.name in self._asked.must_fit
        rule, unenforced = None, set[str]()
        try:
            if guaranteed or not self._plain:
                rule, unenforced = self._json(schema, where, guaranteed=guaranteed)
        except SchemaUnsupportedError:
            if guaranteed:
                raise
        if rule is not None:
            self.unenforced.update({tool.name} if unenforced else ())
            return rule
        if guaranteed:
            raise SchemaUnsupportedError(f"{where}: no input fits this schema")
        self.unenforced.add(tool.name)
        return self._json(PLAIN, where, guaranteed=False)[0] or ""


def check_patterns(schema: Any, where: str, steps: Steps) -> None:
    """Refuse a pattern that could neither be written nor checked."""
    for pattern in _patterns(schema):
        try:
            language(pattern, steps)
        except PatternUnsupportedError as error:
            raise SchemaUnsupportedError(
                f"{where}: 'pattern' {pattern!r} is not supported: {error}"
            ) from error


def _patterns(schema: Any) -> Iterator[str]:
    """Yield all that stands where patterns do, without regard to what only looks like a schema."""
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
