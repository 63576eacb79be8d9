from typing import Any

import pytest

from antiphon.core.prompt import Tool, ToolChoice
from antiphon.engines.token.answer.constraint import (
    Constraint,
    ConstraintRequest,
    SchemaUnsupportedError,
    constrain,
)
from antiphon.engines.token.prompt.call_syntax import BARE, TAGGED
from antiphon.schemas.grammars.gbnf import LARGEST
from support.gbnf import Grammar

UNIQUE = {"properties": {"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}}}
ENDLESS = {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}
UNSUPPORTED = {"properties": {"a": {"type": "string", "pattern": r"(a)\1"}}}
LONG = "x" * 500
LARGE = {"properties": {"a": {"enum": [f"{LONG}{n}" for n in range(1000)]}}}
COMPLEX = {
    "oneOf": [{"required": [f"p{n}"]} for n in range(600)],
    "properties": {"a": {"type": "null"}},
}
FORCED = ToolChoice(mode="any", parallel=False)
WHERE = "tools.0.custom.input_schema"


def request_for(
    schema: dict[str, Any], choice: ToolChoice = FORCED, **more: Any
) -> ConstraintRequest:
    return ConstraintRequest((Tool(name="t", input_schema=schema, **more),), choice, None, TAGGED)


def call(arguments: str) -> str:
    return f'<tool_call>\n{{"name": "t", "arguments": {arguments}}}\n</tool_call>'


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        (ENDLESS, f"{WHERE}: no input fits this schema"),
        (LARGE, f"{WHERE}: Schema is too complex for compilation."),
        (COMPLEX, f"{WHERE}: Schema is too complex for compilation."),
    ],
)
def test_guaranteed_schema_that_cannot_be_enforced_is_refused(
    schema: dict[str, Any], fault: str
) -> None:
    for request in (request_for(schema), request_for(schema, ToolChoice(), strict=True)):
        with pytest.raises(SchemaUnsupportedError) as error:
            constrain(request)
        assert str(error.value) == fault


ARTIFACT = r'^(?!__.*__$)[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}"\\./[\]]{1,200}$'


@pytest.mark.parametrize("pattern", [r"(a)\1", ARTIFACT, "(", r"(?<=a)b", "a{1001}"])
@pytest.mark.parametrize(
    "choice",
    [ToolChoice(), FORCED, ToolChoice(mode="any"), ToolChoice(mode="tool", name="t")],
    ids=lambda choice: choice.mode,
)
def test_unsupported_pattern_of_a_tool_that_is_not_strict_is_left_out(
    pattern: str, choice: ToolChoice
) -> None:
    schema = {
        "properties": {"a": {"type": "string", "pattern": pattern}, "b": {"type": "null"}},
        "required": ["a", "b"],
    }
    made = constrain(request_for(schema, choice))
    assert made.unenforced == {"t"}
    grammar = Grammar(made.grammar or "")
    assert grammar.allows(call('{"a": "anything", "b": null}'))
    assert not grammar.allows(call('{"a": "anything", "b": 1}'))


@pytest.mark.parametrize("choice", [ToolChoice(), FORCED], ids=lambda choice: choice.mode)
def test_unsupported_pattern_of_a_strict_tool_is_refused(choice: ToolChoice) -> None:
    with pytest.raises(SchemaUnsupportedError) as error:
        constrain(request_for(UNSUPPORTED, choice, strict=True))
    assert str(error.value) == (
        f"{WHERE}: 'pattern' '(a)\\\\1' is not supported: '\\1' is not supported"
    )


def test_strict_tool_does_not_make_other_tools_strict() -> None:
    tools = (
        Tool(name="s", input_schema={"properties": {"a": {"type": "null"}}}, strict=True),
        Tool(name="t", input_schema=UNSUPPORTED),
    )
    for choice in (ToolChoice(), FORCED):
        assert constrain(ConstraintRequest(tools, choice, None, TAGGED)).unenforced == {"t"}


def test_pattern_with_a_large_count_is_enforced_without_its_limit() -> None:
    schema = {"properties": {"a": {"pattern": "^[a-z]{1,100000}$", "type": "string"}}}
    for strict in (False, True):
        made = constrain(request_for(schema | {"required": ["a"]}, strict=strict))
        assert made.unenforced == {"t"}
        grammar = Grammar(made.grammar or "")
        assert grammar.allows(call('{"a": "abc"}'))
        assert not grammar.allows(call('{"a": "a{1,100000}"}'))
        assert not grammar.allows(call('{"a": ""}'))


@pytest.mark.parametrize("schema", [ENDLESS, LARGE, COMPLEX])
def test_other_schema_that_cannot_be_enforced_becomes_any_object(schema: dict[str, Any]) -> None:
    made = constrain(request_for(schema, ToolChoice()))
    assert made.unenforced == {"t"}
    assert Grammar(made.grammar or "").allows(call('{"b": 1}'))
    assert len(made.grammar or "") < 5000


def test_tool_with_unenforced_keywords_is_named() -> None:
    assert constrain(request_for(UNIQUE)).unenforced == {"t"}
    assert constrain(request_for({})).unenforced == set()


def test_many_large_tools_exceed_the_grammar_together() -> None:
    tools = tuple(
        Tool(name=f"t{n}", input_schema={"required": [f"{n}{LONG}{m}" for m in range(400)]})
        for n in range(8)
    )
    with pytest.raises(SchemaUnsupportedError, match="tools: Schema is too complex"):
        constrain(ConstraintRequest(tools, FORCED, None, TAGGED))
    made = constrain(ConstraintRequest(tools, ToolChoice(), None, TAGGED))
    assert made.unenforced == {tool.name for tool in tools}
    assert (
        len(constrain(ConstraintRequest(tools[:2], FORCED, None, TAGGED)).grammar or "") < LARGEST
    )


def test_other_tools_do_not_use_up_the_budget_of_guaranteed_ones() -> None:
    loose = tuple(Tool(name=f"t{n}", input_schema=COMPLEX) for n in range(8))
    strict = Tool(name="s", input_schema={"properties": {"a": {"type": "null"}}}, strict=True)
    made = constrain(ConstraintRequest((*loose, strict), ToolChoice(), None, TAGGED))
    assert made.unenforced == {tool.name for tool in loose}
    again = ConstraintRequest((*loose, strict), ToolChoice(mode="tool", name="s"), None, TAGGED)
    grammar = Grammar(constrain(again).grammar or "")
    assert grammar.allows(call('{"a": null}').replace('"t"', '"s"'))


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"enum": [1], "type": "string"}, "no value fits this schema"),
        ({"pattern": "("}, "'pattern' '(' is not supported: a ')' is missing"),
        ({"pattern": "a.{30}$"}, "'pattern' is too complex to be kept"),
        (COMPLEX, "Schema is too complex for compilation."),
        ({"$ref": "#/nowhere"}, "'$ref' is too complex to be kept"),
    ],
)
def test_output_schema_that_cannot_be_enforced_is_refused(
    schema: dict[str, Any], fault: str
) -> None:
    with pytest.raises(SchemaUnsupportedError, match="output_config") as error:
        constrain(ConstraintRequest((), ToolChoice(), schema, TAGGED))
    assert str(error.value) == f"output_config.format.schema: {fault}"


def test_retry_of_a_rejected_call_allows_only_calls() -> None:
    request = ConstraintRequest(
        (Tool(name="t", input_schema={}),), ToolChoice(), None, TAGGED, again=True
    )
    grammar = Grammar(constrain(request).grammar or "")
    assert grammar.allows(call("{}"))
    assert grammar.allows(call("{}") + "\n" + call("{}"))
    assert not grammar.allows("Hi")


def test_request_without_tools_and_schema_has_no_grammar() -> None:
    assert constrain(ConstraintRequest((), ToolChoice(), None, TAGGED)) == Constraint()
    none = ConstraintRequest(
        (Tool(name="t", input_schema={}),), ToolChoice(mode="none"), None, BARE
    )
    assert constrain(none) == Constraint()


def test_key_depends_only_on_what_the_grammar_depends_on() -> None:
    one = request_for(UNIQUE, description="This")
    assert one.key == request_for(UNIQUE, description="That").key
    assert one.key != request_for(ENDLESS).key
    assert one.key != request_for(UNIQUE, ToolChoice()).key
    assert one.key != request_for(UNIQUE, strict=True).key
