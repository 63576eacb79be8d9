from typing import Any

import pytest
from hypothesis import assume, given

from antiphon.schemas.check import first_error, fits
from antiphon.schemas.example import example
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from antiphon.schemas.steps import Steps, TooComplexError
from support.odd_schemas import ODD
from support.schemas import schemas, wild_schemas


@given(schemas())
def test_example_fits_its_schema(schema: dict[str, Any]) -> None:
    assert first_error(example(schema), schema) is None
    assert example(schema) == example(schema)


@given(wild_schemas())
def test_schema_with_an_enforced_grammar_has_an_example(schema: dict[str, Any]) -> None:
    grammar = JsonGrammar(Rules(), schema)
    assume(grammar.rule() is not None and not grammar.unenforced)
    assert first_error(example(schema), schema) is None


@pytest.mark.parametrize("schema", ODD, ids=lambda schema: str(schema)[:40])
def test_odd_schema_has_an_example(schema: Any) -> None:
    assert fits(example(schema), schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -5}, -5),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [None, None]),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": "boolean"}, False),
        ({"anyOf": [{"const": 3}]}, 3),
        (True, None),
        ({}, None),
        (False, None),
        ({"const": 1, "type": "string"}, None),
        ({"type": "integer", "minimum": 5, "not": {"const": 5}}, 6),
        ({"type": "integer", "maximum": -5, "not": {"const": -5}}, -6),
        ({"type": "string", "format": "ipv4", "maxLength": 7}, "0." * 3 + "0"),
        ({"type": "string", "format": "date", "minLength": 11}, None),
        ({"type": "string", "pattern": "^[a-z]{30}$"}, "a" * 30),
        ({"type": "integer", "minimum": 5, "not": {"enum": [5, 6]}}, 7),
        (
            {
                "type": "object",
                "required": ["a"],
                "minProperties": 2,
                "properties": {"a": {}, "b": {}},
            },
            {"a": None, "b": None},
        ),
        ({"type": "number", "minimum": 0.25, "maximum": 0.5}, 0.375),
        ({"type": "number", "minimum": 0.1, "multipleOf": 0.25}, 0.25),
        ({"type": "integer", "multipleOf": 7, "maximum": -1}, -7),
        ({"type": "integer", "not": {"enum": [0, 1]}}, -1),
        ({"type": "string", "pattern": "^[b-d]{2}$"}, "bb"),
        ({"type": "string", "not": {"const": "text"}}, "textx"),
        ({"type": "string", "format": "date"}, "2000-01-01"),
        ({"type": "string", "format": "date", "pattern": "^1987-12"}, "1987-12-01"),
        ({"type": "string", "maxLength": 2}, "te"),
        (
            {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": True},
            [False, True],
        ),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
            [0, 1, -1],
        ),
        ({"type": "array", "prefixItems": [{"const": 1}, False]}, [1]),
        ({"type": "array", "prefixItems": [{"const": 1}], "maxItems": 0}, []),
        ({"type": "array", "contains": {"const": 7}, "minContains": 2}, [7, 7]),
        ({"type": "object", "minProperties": 1, "properties": {"a": {"const": 1}}}, {"a": 1}),
        (
            {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"const": 1},
                "patternProperties": {"^x": {"const": 2}},
                "propertyNames": {"pattern": "^x"},
            },
            {"x": 2},
        ),
        ({"type": "object", "minProperties": 1, "additionalProperties": False}, None),
        (
            {
                "type": "object",
                "required": ["a"],
                "dependentRequired": {"a": ["b"], "b": ["a"]},
                "additionalProperties": {"const": 1},
            },
            {"a": 1, "b": 1},
        ),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, None),
        ({"not": {"type": "null"}}, False),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 0.5),
        (
            {
                "anyOf": [{"$ref": "#/$defs/loop"}, {"const": 3}],
                "$defs": {
                    "loop": {"type": "array", "items": {"$ref": "#/$defs/loop"}, "minItems": 1}
                },
            },
            3,
        ),
        (
            {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
                "required": ["next"],
            },
            {"next": None},
        ),
    ],
)
def test_example_is_a_small_value(schema: Any, value: Any) -> None:
    assert example(schema) == value


def tables(levels: int) -> dict[str, Any]:
    """Return a schema of arrays of 100 arrays of 100, and so on."""
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema, "minItems": 100}
    return schema


def fan(levels: int) -> dict[str, Any]:
    parts = {
        f"d{level}": {
            "type": "object",
            "properties": {side: {"$ref": f"#/$defs/d{level + 1}"} for side in "ab"},
            "required": ["a", "b"],
        }
        for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**parts, f"d{levels}": {"type": "null"}}}


def test_example_with_repeated_definitions_takes_steps_for_its_size() -> None:
    steps = Steps()
    assert fits(example(fan(6), steps), fan(6))
    assert steps.taken < 10_000


@pytest.mark.parametrize(
    "schema",
    [
        fan(30),
        {"type": "array", "items": {"const": 1}, "minItems": 10**9},
        {"type": "array", "contains": {"const": 1}, "minContains": 10**9},
        {"type": "array", "minItems": 1e308},
        {"type": "array", "items": {"const": 1}, "minItems": 10**9, "uniqueItems": True},
        tables(5),
        {"type": "string", "minLength": 10**9},
        {"type": "object", "minProperties": 10**9},
        {"$ref": "#/$defs/d0", "$defs": {
            **{f"d{n}": {"type": "array", "items": {"$ref": f"#/$defs/d{n + 1}"}, "minItems": 1}
               for n in range(99)},
            "d99": {"type": "null"}}},
    ],
    ids=["fan", "items", "contained", "endless", "different", "tables", "text", "names", "depth"],
)  # fmt: skip
def test_example_beyond_the_steps_raises_too_complex(schema: Any) -> None:
    steps = Steps()
    with pytest.raises(TooComplexError):
        example(schema, steps)


def test_example_between_integers_beyond_the_floats_is_an_integer() -> None:
    schema = {"exclusiveMinimum": 10**309, "exclusiveMaximum": 10**309 + 2, "type": "number"}
    assert example(schema) == 10**309 + 1
