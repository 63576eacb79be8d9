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
UNREAD = {"properties": {"a": {"type": "string", "pattern": r"(a)\1"}}}
LONG = "x" * 500
LARGE = {"properties": {"a": {"enum": [f"{LONG}{n}" for n in range(1000)]}}}
COMPLEX = {
    "oneOf": [{"required": [f"p{n}"]} for n in range(600)],
    "properties": {"a": {"type": "null"}},
}
FORCED = ToolChoice(mode="any", parallel=False)
WHERE = "tools.0.custom.input_schema"


def asked(schema: dict[str, Any], choice: ToolChoice = FORCED, **more: Any) -> ConstraintRequest:
    return ConstraintRequest((Tool(name="t", input_schema=schema, **more),), choice, None, TAGGED)


def call(arguments: str) -> str:
    return f'<tool_call>\n{{"name": "t", "arguments": {arguments}}}\n</tool_call>'


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        (ENDLESS, f"{WHERE}: no input fits this schema"),
        (UNREAD, f"{WHERE}: 'pattern' '(a)\\\\1' is not supported: '\\1' is not supported"),
        (LARGE, f"{WHERE}: Schema is too complex for compilation."),
        (COMPLEX, f"{WHERE}: Schema is too complex for compilation."),
    ],
)
def test_what_must_be_kept_and_cannot_is_refused(schema: dict[str, Any], fault: str) -> None:
    for question in (asked(schema), asked(schema, ToolChoice(), strict=True)):
        with pytest.raises(SchemaUnsupportedError) as error:
            constrain(question)
        assert str(error.value) == fault


@pytest.mark.parametrize("schema", [ENDLESS, LARGE, COMPLEX])
def test_what_need_not_be_kept_is_an_object(schema: dict[str, Any]) -> None:
    made = constrain(asked(schema, ToolChoice()))
    assert made.unenforced == {"t"}
    assert Grammar(made.grammar or "").allows(call('{"b": 1}'))
    assert len(made.grammar or "") < 5000


def test_what_is_not_kept_is_known() -> None:
    assert constrain(asked(UNIQUE)).unenforced == {"t"}
    assert constrain(asked({})).unenforced == set()


def test_many_large_tools_are_too_large_together() -> None:
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


def test_tools_that_need_not_be_kept_take_nothing_from_those_that_must() -> None:
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
def test_answer_of_a_schema_is_kept_or_refused(schema: dict[str, Any], fault: str) -> None:
    with pytest.raises(SchemaUnsupportedError, match="output_config") as error:
        constrain(ConstraintRequest((), ToolChoice(), schema, TAGGED))
    assert str(error.value) == f"output_config.format.schema: {fault}"


def test_call_in_the_place_of_a_rejected_one_is_a_call() -> None:
    question = ConstraintRequest(
        (Tool(name="t", input_schema={}),), ToolChoice(), None, TAGGED, again=True
    )
    grammar = Grammar(constrain(question).grammar or "")
    assert grammar.allows(call("{}"))
    assert grammar.allows(call("{}") + "\n" + call("{}"))
    assert not grammar.allows("Hi")


def test_no_tools_and_no_schema_leave_all_free() -> None:
    assert constrain(ConstraintRequest((), ToolChoice(), None, TAGGED)) == Constraint()
    none = ConstraintRequest(
        (Tool(name="t", input_schema={}),), ToolChoice(mode="none"), None, BARE
    )
    assert constrain(none) == Constraint()


def test_key_is_of_what_the_grammar_depends_on() -> None:
    one = asked(UNIQUE, description="This")
    assert one.key == asked(UNIQUE, description="That").key
    assert one.key != asked(ENDLESS).key
    assert one.key != asked(UNIQUE, ToolChoice()).key
    assert one.key != asked(UNIQUE, strict=True).key
