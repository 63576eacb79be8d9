import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.check import CHECK, DEPTH, first_error, fits
from antiphon.schemas.steps import Steps, TooComplexError

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
        ({"not": {"type": "null"}}, [1], [None]),
        ({"oneOf": [{"minimum": 1}, {"maximum": 3}]}, [0, 4], [2]),
        ({"if": {"minimum": 1}, "then": {"maximum": 3}, "else": {"const": 0}}, [0, 2], [-1, 4]),
        ({"if": {"minimum": 1}}, [0, 2], []),
        ({"multipleOf": 0.1}, [0.3, 7, "a"], [0.25]),
        ({"maximum": 3, "exclusiveMinimum": 1}, [2, 3], [1, 4]),
        ({"maxItems": 1}, [[], [1], "ab"], [[1, 2]]),
        ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 1}]),
        ({"uniqueItems": False}, [[1, 1]], []),
        ({"uniqueItems": True}, [[1, True, {"a": 1}, {"a": 2}]], [[{"a": 1}, {"a": 1.0}]]),
        ({"contains": {"const": 1}}, [[1], [2, 1, 1], {}], [[], [2]]),
        ({"contains": {"const": 1}, "minContains": 0, "maxContains": 1}, [[], [1]], [[1, 1]]),
        ({"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
        ({"dependentRequired": {"a": ["b"]}}, [{"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, [{"b": 1}, 7], [{"a": 1}]),
        ({"dependentSchemas": {"a": False}}, [{"b": 1}, 7], [{"a": 1}]),
        # Draft 7.
        ({"dependencies": {"a": ["b"]}}, [{"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
        ({"dependencies": {"a": {"required": ["b"]}}}, [{"b": 1}], [{"a": 1}]),
        ({"items": [{"type": "null"}], "additionalItems": False}, [[], [None]], [[1], [None, 1]]),
        # Items behind the prefix.
        ({"items": {"type": "null"}, "prefixItems": [True]}, [[1, None]], [[None, 1]]),
        ({"prefixItems": [{"type": "null"}]}, [[None, 1], {}], [[1]]),
        # No value fits a loop of references alone.
        ({"$ref": "#"}, [], [1]),
        ({"allOf": [{"$ref": "#"}]}, [], [1]),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, [None], [1]),
        ({"if": True, "then": {"$ref": "#"}}, [], [1]),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": True}}, [1], []),
    ],
)
def test_check_accepts_values_that_fit_and_no_others(
    schema: Any, good: list[Any], bad: list[Any]
) -> None:
    assert all(fits(value, schema) for value in good)
    assert not any(fits(value, schema) for value in bad)


@given(JSON)
def test_everything_fits_an_empty_schema(value: Any) -> None:
    assert fits(value, {})


@pytest.mark.parametrize(
    ("schema", "value", "error"),
    [
        (
            {"properties": {"tags": {"items": {"enum": ["a", "b"]}}}},
            {"tags": ["a", "c"]},
            ".tags.1: enum",
        ),
        ({"properties": {"a": {"const": 1}}}, {"a": 2}, ".a: const"),
        ({"required": ["a", "b"]}, {"a": 1}, ".b: required"),
        ({"additionalProperties": False}, {"a": 1}, ".a: false"),
        ({"if": True, "then": {"properties": {"a": {"type": "null"}}}}, {"a": 1}, ".a: type"),
        ({"if": {"const": 1}, "else": {"minLength": 2}}, "a", ": minLength"),
        ({"anyOf": [{"type": "null"}]}, 1, ": anyOf"),
        ({"type": "string", "maxLength": 1, "pattern": "^b"}, "aa", ": maxLength"),
        ({"pattern": "^b"}, "a", ": pattern"),
        ({"format": "uuid"}, "a", ": format"),
    ],
)
def test_first_error_names_the_path_and_the_keyword(schema: Any, value: Any, error: str) -> None:
    assert first_error(value, schema) == error


def nested(levels: int, value: Any = None) -> Any:
    for _ in range(levels):
        value = {"a": value}
    return value


def test_deep_value_is_checked_without_recursion() -> None:
    schema = {"type": ["object", "null"], "properties": {"a": {"$ref": "#"}}}
    assert fits(nested(900), schema)
    assert first_error(nested(900, 1), schema) == ".a" * 900 + ": type"


def test_choices_nested_beyond_the_depth_raise_too_complex() -> None:
    node = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    schema = {"anyOf": [{"type": "null"}, node]}
    assert fits(nested(DEPTH - 2), schema)
    with pytest.raises(TooComplexError):
        fits(nested(2 * DEPTH), schema)


def test_definition_reached_by_many_paths_is_checked_once() -> None:
    names = [f"d{number}" for number in range(60)]
    branches = {
        name: {"oneOf": [{"$ref": f"#/$defs/{after}"}, {"minimum": 9, "$ref": f"#/$defs/{after}"}]}
        for name, after in itertools.pairwise(names)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**branches, names[-1]: {"type": "integer"}}}
    steps = Steps()
    assert fits(1, schema, steps)
    assert steps.taken < 5_000


@pytest.mark.parametrize(
    ("value", "schema", "most"),
    [
        (list(range(10_000)), {"items": {"type": "integer"}}, 25_000),
        ([[number] for number in range(10_000)], {"uniqueItems": True}, 25_000),
        (["v7"] * 5_000, {"items": {"enum": [f"v{n}" for n in range(2_000)]}}, 20_000),
        ("a" * 100_000, {"pattern": "^(a|aa)+$"}, 110_000),
        ({f"k{n}": 1 for n in range(3_000)}, {"additionalProperties": {"minimum": 1}}, 15_000),
    ],
)
def test_check_takes_steps_linear_in_the_value(value: Any, schema: Any, most: int) -> None:
    steps = Steps(CHECK)
    assert fits(value, schema, steps)
    assert steps.taken < most


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("a" * 100_000, {"allOf": [{"pattern": f"^[a-z]*{n}?$"} for n in range(50)]}),
        (
            {f"k{n}": 1 for n in range(5_000)},
            {"patternProperties": {f"^x{n}": False for n in range(500)}},
        ),
        (list(range(CHECK + 1)), {"items": {"type": "integer"}}),
        (
            [{"t": n} for n in range(50_000)],
            {"items": {"anyOf": [{"required": [f"{n}"]} for n in range(50)] + [True]}},
        ),
    ],
)
def test_check_beyond_its_steps_raises_too_complex(value: Any, schema: Any) -> None:
    with pytest.raises(TooComplexError):
        fits(value, schema)
