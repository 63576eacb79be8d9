import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.schemas.check import first_error, fits
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.json_grammar import DEPTH, JsonGrammar
from antiphon.schemas.spelling import Spelling
from antiphon.schemas.well_formed import DEEPEST, check_well_formed
from support.examples import examples
from support.gbnf import Grammar
from support.odd_schemas import IMPOSSIBLE, ODD
from support.schemas import hostile_schemas, schemas, wild_schemas

ENFORCED: list[tuple[Any, Any]] = [
    ({"type": "integer", "minimum": -5, "maximum": 12345}, [-5, 0, 12345, 999]),
    ({"type": "number", "minimum": 0, "maximum": 1}, [0, 1, 0.5, 0.25]),
    ({"type": "number", "exclusiveMinimum": 0}, [0.1, 17, 3.75]),
    ({"type": "number", "multipleOf": 0.05, "maximum": 2}, [0.35, -0.05]),
    ({"type": "string", "pattern": "^[a-z]+$", "maxLength": 4}, ["a", "abcd"]),
    ({"type": "array", "uniqueItems": True, "items": {"enum": [1, 2, 3]}}, [[3, 1], [], [2, 3, 1]]),
    ({"type": "array", "uniqueItems": True, "items": {"enum": list(range(9))}}, [[1, 4, 8]]),
    ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object",
      "properties": {"a": {}, "b": {}}}, [{"a": 1}, {"b": None}]),
    ({"type": "object", "patternProperties": {"^x-": {"type": "null"}},
      "additionalProperties": {"type": "integer"}}, [{"x-a": None, "y": 1}]),
    ({"type": "string", "not": {"enum": ["a", "b"]}}, ["c", "ab", ""]),
]  # fmt: skip


def grammar(schema: Any, *, tight: bool = False) -> tuple[Grammar | None, set[str]]:
    """Return the grammar of a schema, and its unenforced keywords."""
    rules = Rules()
    json_grammar = JsonGrammar(rules, schema, tight=tight)
    rule = json_grammar.rule()
    return (None if rule is None else Grammar(rules.text(rule))), json_grammar.unenforced


def text_of(schema: Any) -> str:
    rules = Rules()
    return rules.text(JsonGrammar(rules, schema).rule() or "")


@given(schemas())
def test_grammar_is_the_same_for_the_same_schema(schema: Any) -> None:
    assert text_of(schema) == text_of(schema)


@given(schemas(), st.integers(0, 99))
def test_all_that_a_grammar_allows_fits_its_schema(schema: Any, seed: int) -> None:
    found, unenforced = grammar(schema)
    assert found is not None
    assert not unenforced
    value = json.loads(found.draw(seed))
    assert first_error(value, schema) is None


LEAF = {"$defs": {"leaf": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/leaf"}}}


@example(
    schema={"type": "object", "minProperties": 2, "maxProperties": 2, **LEAF}, seed=0, tight=False
)
@given(wild_schemas(), st.integers(0, 99), st.booleans())
def test_output_fits_unless_the_grammar_names_unenforced_keywords(
    schema: Any, seed: int, tight: Any
) -> None:
    found, unenforced = grammar(schema, tight=tight)
    if found is not None:
        value = json.loads(found.draw(seed))
        assert unenforced or first_error(value, schema) is None


@pytest.mark.parametrize(("schema", "values"), ENFORCED, ids=lambda one: json.dumps(one)[:40])
def test_grammar_allows_values_that_fit(schema: Any, values: list[Any]) -> None:
    found, unenforced = grammar(schema)
    assert found is not None
    assert not unenforced
    for value in values:
        assert fits(value, schema)
        assert found.allows(json.dumps(value)), value


@pytest.mark.parametrize("schema", IMPOSSIBLE, ids=lambda schema: json.dumps(schema)[:40])
def test_schema_without_values_has_no_grammar(schema: Any) -> None:
    assert grammar(schema) == (None, set())


@pytest.mark.parametrize("schema", ODD, ids=lambda schema: json.dumps(schema)[:40])
def test_odd_schema_is_enforced_or_its_keywords_are_named(schema: Any) -> None:
    found, unenforced = grammar(schema)
    assert found is not None
    values = [json.loads(found.draw(seed)) for seed in range(20)]
    assert unenforced or all(fits(value, schema) for value in values)


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "array", "uniqueItems": True, "items": {"type": "string"}}, "uniqueItems"),
        ({"type": "string", "maxLength": 100_000}, "maxLength"),
        ({"type": "array", "minItems": 9999}, "minItems"),
        ({"type": "integer", "multipleOf": 101}, "multipleOf"),
        ({"type": "integer", "maximum": 10**40}, "maximum"),
        ({"type": "string", "pattern": "(a)\\1"}, "pattern"),
        ({"type": "string", "pattern": "a.{30}$"}, "pattern"),
        ({"type": "array", "contains": {"const": 1}, "maxContains": 1}, "contains"),
        ({"not": {"properties": {"a": {"const": 1}}}}, "not"),
    ],
)
def test_unenforced_keyword_is_named(schema: Any, keyword: str) -> None:
    found, unenforced = grammar(schema)
    assert found is not None
    assert keyword in unenforced


def test_tight_grammar_allows_only_what_it_can_enforce() -> None:
    schema = {"type": "array", "uniqueItems": True, "items": {"type": "string"}}
    found, unenforced = grammar(schema, tight=True)
    assert found is not None
    assert not unenforced
    assert found.allows('["a"]')
    assert not found.allows('["a", "b"]')


def test_recursive_schema_has_a_small_grammar() -> None:
    parts = {name: {"$ref": "#", "title": name, "minProperties": 1} for name in "abcdef"}
    assert len(text_of({"type": "object", "properties": parts})) < 10_000


@settings(max_examples=examples(0.5))
@given(hostile_schemas(), st.booleans())
def test_hostile_schema_has_a_sound_grammar_or_none(schema: Any, tight: Any) -> None:
    check_well_formed(schema, "here")
    found, unenforced = grammar(schema, tight=tight)
    if found is not None:
        value = json.loads(found.draw(0))
        assert unenforced or first_error(value, schema) is None


def test_optional_property_whose_reference_has_no_values_is_left_out() -> None:
    a = {"properties": {"b": {"$ref": "#/$defs/b"}, "bad": False}, "required": ["bad"]}
    b = {"properties": {"a": {"$ref": "#/$defs/a"}}}
    both = {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#/$defs/b"}}
    found, unenforced = grammar({"type": "object", "properties": both, "$defs": {"a": a, "b": b}})
    assert found is not None
    assert not unenforced
    assert found.allows('{"b": {}}')
    assert not found.allows('{"b": {"a": }}')


def test_reference_in_progress_that_gets_no_values_is_left_out() -> None:
    # That `a` has no values is known only after `b` has used its name.
    a = {"type": "object", "properties": {"b": {"$ref": "#/$defs/b"}}, "minProperties": 2,
         "additionalProperties": False}  # fmt: skip
    b = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}
    both = {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#/$defs/b"}}
    found, unenforced = grammar({"type": "object", "properties": both, "$defs": {"a": a, "b": b}})
    assert found is not None
    assert not unenforced
    assert found.allows('{"b": {}}')
    assert not found.allows('{"a": {"b": {}}}')


def test_schema_of_the_maximum_depth_has_a_grammar() -> None:
    schema: Any = {"type": "string"}
    for _ in range(9):
        inner = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
        schema = {"anyOf": [{"allOf": [inner]}, {"type": "array", "items": inner}]}
    assert grammar(schema)[0] is not None
    for _ in range(DEEPEST - 1):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    assert grammar(schema)[0] is not None


def test_definitions_beyond_the_depth_leave_references_unenforced() -> None:
    count = 3 * DEPTH
    parts = {
        f"d{n}": {"type": "object", "properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}}}
        for n in range(count)
    }
    found, unenforced = grammar({"$ref": "#/$defs/d0", "$defs": {**parts, f"d{count}": {}}})
    assert found is not None
    assert unenforced == {"$ref"}


def test_self_requiring_reference_with_siblings_has_no_grammar() -> None:
    part = {"type": "object", "properties": {"c": {"$ref": "#/$defs/b", "required": ["c"]}}}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/b", "required": ["c"]}}}
    assert grammar({**schema, "required": ["a"], "$defs": {"b": part}}) == (None, set())


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"a": {"type": "array", "items": {"type": "integer"}}}}, {"a": [1, 2]}),
        ({"properties": {"a": {"prefixItems": [{"const": 1}]}}}, {"a": [1, "b", {"c": []}]}),
        ({"properties": {"a": {"items": {"type": "boolean"}, "minItems": 1}}}, {"a": [True]}),
        ({"properties": {"a": {"items": {"enum": [1, 2]}, "uniqueItems": True}}}, {"a": [2, 1]}),
        ({}, {"b": {"c": {}, "d": [[1]]}, "e": None}),
    ],
)
def test_indented_value_has_its_lines(schema: Any, value: Any) -> None:
    rules = Rules()
    with rules.spelled(Spelling(indent=2, level=1)):
        rule = JsonGrammar(rules, {"type": "object", **schema}).rule()
    found = Grammar(rules.text(rule or ""))
    written = Spelling(indent=2, level=1).write(value)
    assert found.allows(written)
    assert found.allows("{}")
    assert not found.allows(json.dumps({"a": [1, 2], "b": 1}))
    assert not found.allows(written.replace(": ", ":\n"))
    drawn = found.draw(7)
    assert fits(json.loads(drawn), schema)
