from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.allowed import check_complexity, check_schema
from antiphon.schemas.well_formed import InvalidSchemaError
from support.requests import schema

STRING = {"type": "string"}
FORMATS = "date-time, time, date, duration, email, hostname, uri, ipv4, ipv6, uuid"
CLOSED = "For 'object' type, 'additionalProperties' must be explicitly set to false"


def refused(given_schema: dict[str, Any]) -> str:
    with pytest.raises(InvalidSchemaError) as error:
        check_schema(given_schema, "here")
    return str(error.value).removeprefix("here: ")


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"type": "object"}, CLOSED),
    ({"type": ["object", "null"]}, CLOSED),
    ({"properties": {}}, CLOSED),
    ({"type": "object", "additionalProperties": True}, CLOSED),
    (
        {"type": "number", "minimum": 1, "maximum": 2},
        "For 'number' type, properties maximum, minimum are not supported",
    ),
    (
        {"type": "integer", "multipleOf": 2},
        "For 'integer' type, property 'multipleOf' is not supported",
    ),
    (
        {"type": "string", "maxLength": 2},
        "For 'string' type, property 'maxLength' is not supported",
    ),
    (
        {"type": "array", "items": STRING, "maxItems": 2},
        "For 'array' type, property 'maxItems' is not supported",
    ),
    (
        {"type": "array", "minItems": 2},
        "For 'array' type, 'minItems' values other than 0 or 1 are not supported",
    ),
    (
        {"type": "string", "format": "color"},
        f"For 'string' type, 'format' values other than {FORMATS} are not supported",
    ),
    ({"oneOf": [STRING]}, "'oneOf' is not supported"),
    ({"enum": [1, {}]}, "'enum' may hold strings, numbers, booleans and null only"),
    (
        {"type": "string", "pattern": "(?=a)b"},
        "'pattern' may use no lookaround, back references or word boundaries",
    ),
    (
        {"type": "string", "pattern": "a("},
        "'pattern' is not supported: a ')' is missing",
    ),
    (
        {"$ref": "https://example.com/a"},
        "'$ref' must name a definition of the same schema",
    ),
    ({"$ref": 5}, "'$ref' must name a definition of the same schema"),
    ({"$ref": "#/$defs/a"}, "'$ref' must name a definition of the same schema"),
    (
        {"allOf": [5, {"$ref": "#/$defs/a"}], "$defs": {"a": STRING}},
        "'$ref' is not supported inside of 'allOf'",
    ),
    (
        {"$ref": "#/$defs/a", "$defs": {"a": schema(next={"$ref": "#/$defs/a"})}},
        "Recursive schemas are not supported",
    ),
    (
        {
            "$ref": "#/$defs/a",
            "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"items": {"$ref": "#/$defs/a"}}},
        },
        "Recursive schemas are not supported",
    ),
    # At any depth.
    (schema(a=schema(b={"type": "object"})), CLOSED),
    ({"type": "array", "items": {"type": "object"}}, CLOSED),
    ({"anyOf": [STRING, {"type": "object"}]}, CLOSED),
    ({"allOf": [{"type": "object"}]}, CLOSED),
    ({"definitions": {"a": {"type": "object"}}}, CLOSED),
    # Of two errors, the first.
    (schema(a={"not": {}}, b={"oneOf": []}), "'not' is not supported"),
]


@pytest.mark.parametrize(("given_schema", "sentence"), REFUSALS)
def test_schema_that_cannot_be_guaranteed_is_refused(
    given_schema: dict[str, Any], sentence: str
) -> None:
    assert refused(given_schema) == sentence


@pytest.mark.parametrize(
    "given_schema",
    [
        {},
        schema(),
        schema(a=STRING, b={"type": ["integer", "null"]}, c={"enum": ["x", 1, None]}),
        {"type": "array", "items": {"anyOf": [STRING, {"const": 5}]}, "minItems": 1},
        {"type": "string", "format": "date-time", "pattern": "^[a-z]+(?:x)$"},
        {"allOf": [STRING], "description": "d", "default": "x"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": STRING}},
        {"type": [5, "string"], "items": True, "anyOf": 5, "enum": 5},
    ],
    ids=str,
)
def test_schema_that_can_be_guaranteed_is_accepted(given_schema: dict[str, Any]) -> None:
    check_schema(given_schema, "here")


def test_reference_may_be_percent_encoded_and_escaped() -> None:
    part = {"type": "array", "items": STRING}
    check_schema({"$ref": "#/$defs/List%3CInt%3E", "$defs": {"List<Int>": part}}, "here")
    check_schema({"$ref": "#/$defs/a~1b", "$defs": {"a/b": part}}, "here")
    again = {"items": {"$ref": "#/$defs/List%3CInt%3E"}}
    schema = {"$ref": "#/$defs/List<Int>", "$defs": {"List<Int>": again}}
    assert refused(schema) == "Recursive schemas are not supported"


def test_patterns_beyond_the_steps_are_refused() -> None:
    parts = {f"p{n}": {"type": "string", "pattern": "a" * 2000} for n in range(60)}
    assert refused(schema(**parts)) == "Schema is too complex"


def test_deep_schema_is_checked_without_recursion() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"items": deep}
    check_schema(deep, "here")
    check_complexity([deep, {"properties": {"a": {}}, "required": [deep, "a"]}])
    for keyword in ("format", "$ref", "minItems"):
        assert refused({keyword: [deep]})


def test_unions_beyond_the_limit_are_refused() -> None:
    either = {"anyOf": [STRING, {"type": ["null", "integer"]}]}
    check_complexity([schema(**{f"p{number}": either for number in range(8)})])
    with pytest.raises(InvalidSchemaError, match=r"union types \(18 parameters"):
        check_complexity([schema(**{f"p{number}": either for number in range(9)})])


def test_optional_parameters_beyond_the_limit_are_refused() -> None:
    loose = {"properties": {f"p{number}": {} for number in range(24)}}
    check_complexity([loose, schema(a=STRING)])
    with pytest.raises(InvalidSchemaError, match=r"too many optional parameters \(25\)"):
        check_complexity([loose, {"properties": {"a": {}, "b": {}}, "required": ["b", 5]}])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from(["object", "#/$defs/a", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "items",
                    "anyOf",
                    "allOf",
                    "$defs",
                    "$ref",
                    "a",
                    "enum",
                    "format",
                    "required",
                    "additionalProperties",
                    "minItems",
                    "pattern",
                    "definitions",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON.filter(lambda value: isinstance(value, dict)))
def test_arbitrary_json_is_accepted_or_refused(value: Any) -> None:
    with suppress(InvalidSchemaError):
        check_complexity([value])
        check_schema(value, "here")
