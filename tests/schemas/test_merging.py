from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.check import fits
from antiphon.schemas.example import example
from support.schemas import schemas

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=3), parts),
)
TREE = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 1.0, -3], [1.5, True, "1", None]),
        ({"type": ["string", "null"]}, ["", None], [1, []]),
        ({"type": "number", "minimum": 1, "exclusiveMaximum": 2}, [1, 1.9], [2, 0]),
        ({"const": 1}, [1], [True, 2]),
        ({"enum": ["a", None]}, ["a", None], ["b", False]),
        ({"type": "array", "items": {"type": "null"}, "minItems": 1}, [[None]], [[], [1]]),
        ({"prefixItems": [{"type": "null"}], "items": False}, [[None]], [[None, 1], [1]]),
        ({"uniqueItems": True}, [[1, 2]], [[1, 1]]),
        ({"type": "string", "minLength": 1, "maxLength": 2}, ["a"], ["", "abc"]),
        ({"pattern": "^a"}, ["ab", 1], ["b"]),
        ({"pattern": "("}, ["anything"], []),
        ({"format": "date"}, ["2024-02-03", 7], ["2024-13-01", "today"]),
        ({"format": "unknown"}, ["anything"], []),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, [None, "a"], [1]),
        ({"oneOf": [{"type": "null"}]}, [None], [1]),
        ({"allOf": [{"required": ["a"]}, {"required": ["b"]}]}, [{"a": 1, "b": 1}], [{"a": 1}]),
        ({"properties": {"a": {"type": "null"}}, "additionalProperties": False}, [{}], [{"b": 1}]),
        ({"additionalProperties": {"type": "null"}}, [{"a": None}], [{"a": 1}]),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, [None], [1]),
        ({"$ref": "#/nowhere"}, [1], []),
        ({"$ref": "https://example.com"}, [1], []),
        (TREE, [{"kids": [{"kids": []}]}], [{"kids": [{"kids": [1]}]}]),
        (True, [1], []),
        (False, [], [1]),
    ],
)
def test_values_fit_or_do_not(schema: Any, good: list[Any], bad: list[Any]) -> None:
    assert all(fits(value, schema) for value in good)
    assert not any(fits(value, schema) for value in bad)


@given(JSON)
def test_everything_fits_an_empty_schema(value: Any) -> None:
    assert fits(value, {})


@given(schemas())
def test_example_fits_its_schema(schema: dict[str, Any]) -> None:
    assert fits(example(schema), schema)
    assert example(schema) == example(schema)


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
    ],
)
def test_example_is_the_smallest(schema: Any, value: Any) -> None:
    assert example(schema) == value
