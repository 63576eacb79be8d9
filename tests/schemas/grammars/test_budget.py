"""How the steps of a grammar grow with its schema; step counts do not depend on the machine."""

from typing import Any

import pytest

from antiphon.schemas.grammars.gbnf import AUTOMATA, SHARE, Rules
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from antiphon.schemas.steps import STEPS, TooComplexError


def conditions(count: int) -> Any:
    """Return a schema in which the value of one property decides which others are required."""
    rules = [
        {
            "if": {"properties": {"f": {"const": f"a{n}"}}},
            "then": {"properties": {f"p{n}": {"type": "string"}}, "required": [f"p{n}"]},
        }
        for n in range(count)
    ]
    return {
        "type": "object",
        "properties": {"f": {"enum": [f"a{n}" for n in range(count)]}},
        "allOf": rules,
    }


def independent_conditions(count: int) -> Any:
    """Return a schema with independent conditions."""
    rules = [
        {"if": {"properties": {f"f{n}": {"const": 1}}}, "then": {"required": [f"p{n}"]}}
        for n in range(count)
    ]
    known = {f"f{n}": {"enum": [1, 2]} for n in range(count)}
    return {"type": "object", "properties": known, "allOf": rules}


def patterns(count: int) -> Any:
    return {
        "type": "object",
        "patternProperties": {f"^x{n}_": {"type": "integer"} for n in range(count)},
    }


def one_of(count: int) -> Any:
    return {"oneOf": [{"type": "string", "pattern": f"^x{n}_"} for n in range(count)]}


def constants(count: int) -> Any:
    return {"oneOf": [{"const": f"c{n}", "title": f"C {n}"} for n in range(count)]}


def all_of(count: int) -> Any:
    return {
        "type": "object",
        "allOf": [{"properties": {f"p{n}": {"type": "null"}}} for n in range(count)],
    }


def tagged(count: int) -> Any:
    branches = [
        {"type": "object", "properties": {"k": {"const": n}}, "required": ["k"]}
        for n in range(count)
    ]
    return {"oneOf": branches}


def forbidden(count: int) -> Any:
    return {"type": "string", "allOf": [{"not": {"const": f"w{n}"}} for n in range(count)]}


def fan(count: int) -> Any:
    """Return definitions that each refer to the next one twice."""
    parts = {
        f"d{n}": {
            "allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}]}]
        }
        for n in range(count)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**parts, f"d{count}": {"type": "null"}}}


def cost(schema: Any) -> tuple[Rules, JsonGrammar]:
    rules = Rules()
    grammar = JsonGrammar(rules, schema)
    with rules.share():
        assert JsonGrammar(rules, schema).rule() is not None
    return rules, grammar


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (patterns, 250),
        (one_of, 250),
        (constants, 1000),
        (all_of, 1000),
        (tagged, 250),
        (forbidden, 500),
    ],
)
def test_steps_grow_linearly_with_the_schema(make: Any, size: int) -> None:
    one, two = (cost(make(count))[0].steps.taken for count in (size, 2 * size))
    assert two < 2.3 * one
    assert two < STEPS / 4


def test_conditions_on_one_property_take_quadratic_steps() -> None:
    one, two = (cost(conditions(count))[0].steps.taken for count in (16, 32))
    assert two < 4.5 * one
    assert two < STEPS / 4


def test_conditions_on_one_property_are_enforced() -> None:
    rules = Rules()
    grammar = JsonGrammar(rules, conditions(20))
    assert rules.text(grammar.rule() or "")
    assert not grammar.unenforced


def test_independent_conditions_are_left_to_the_check() -> None:
    rules = Rules()
    grammar = JsonGrammar(rules, independent_conditions(12))
    assert grammar.rule() is not None
    assert grammar.unenforced == {"if"}
    assert rules.steps.taken < STEPS / 2


@pytest.mark.parametrize(
    "schema",
    [
        conditions(300),
        independent_conditions(100),
        {"type": "object", "oneOf": [{"required": [f"p{n}"]} for n in range(600)]},
        {"allOf": [{"enum": list(range(1000))} for _ in range(400)]},
        {"type": "string", "allOf": [{"pattern": "a" * 1900 + str(n)} for n in range(50)]},
    ],
    ids=["conditions", "independent_conditions", "exclusions", "enums", "patterns"],
)
def test_schema_beyond_its_budget_raises_too_complex(schema: Any) -> None:
    rules = Rules()
    with pytest.raises(TooComplexError), rules.share():
        JsonGrammar(rules, schema).rule()
    assert rules.steps.taken < STEPS * 1.1


def test_automata_beyond_their_own_budget_leave_patterns_unenforced() -> None:
    parts = {f"p{n}": {"type": "string", "pattern": f"a.{{9}}{n}$"} for n in range(60)}
    rules = Rules()
    grammar = JsonGrammar(rules, {"type": "object", "properties": parts})
    with rules.share():
        assert grammar.rule() is not None
    assert grammar.unenforced == {"pattern"}
    assert rules.automata.taken < AUTOMATA * 1.1


def test_definitions_that_fan_out_take_less_than_exponential_steps() -> None:
    one, two = (cost(fan(count))[0].steps.taken for count in (10, 20))
    assert two < 12 * one
    assert two < STEPS / 4


def test_grammar_beyond_its_characters_raises_too_complex() -> None:
    rules = Rules()
    with pytest.raises(TooComplexError), rules.share():
        JsonGrammar(rules, {"enum": ["x" * SHARE]}).rule()
