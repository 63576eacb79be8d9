from typing import Any

import pytest

from antiphon.schemas.well_formed import DEEPEST, InvalidSchemaError, check_well_formed


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": True}},
        {"type": "array", "items": {"enum": [1, None, {"x": []}]}, "minItems": 1, "maxItems": 2.0},
        {"anyOf": [{"const": {"type": 3}}, {"$ref": "#/$defs/x"}], "$defs": {"x": {}}},
        {"required": [], "additionalProperties": False, "default": {"type": 3}},
        {"dependencies": {"a": ["b"], "c": {"type": "null"}, "d": False}},
        {"multipleOf": 0.5, "uniqueItems": True, "dependentRequired": {"a": ["b"]}},
        {"items": {"type": "null"}, "minimum": -1.5, "pattern": "^a", "x-own": 3},
        {"enum": []},
        {"items": {"enum": []}, "additionalItems": {"type": "null"}},
        {"const": {"items": [{}]}, "default": {"items": [{}]}, "enum": [{"items": [{}]}]},
        {"properties": {"items": {"prefixItems": [{}, True]}}},
        nested(DEEPEST - 1),
    ],
)
def test_well_formed_schema_is_accepted(schema: dict[str, Any]) -> None:
    check_well_formed(schema, "here")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"type": []},
        {"type": [["string"]]},
        {"properties": []},
        {"properties": {"a": 3}},
        {"properties": {"a": {"properties": {"b": []}}}},
        {"required": "a"},
        {"required": [1]},
        {"enum": {}},
        {"enum": None},
        {"multipleOf": 0},
        {"multipleOf": True},
        {"uniqueItems": 1},
        {"dependentRequired": {"a": "b"}},
        {"dependentRequired": []},
        {"dependencies": []},
        {"dependencies": {"a": [1]}},
        {"dependencies": {"a": 3}},
        {"dependencies": {"a": {"type": "text"}}},
        {"items": [{}], "additionalItems": False},
        {"items": []},
        {"type": "array", "items": [{"type": "number"}, {"type": "number"}]},
        {"$defs": {"x": {"properties": {"a": {"not": {"items": [True]}}}}}},
        {"enum": "ab"},
        {"items": 3},
        {"items": [3]},
        {"anyOf": []},
        {"anyOf": {}},
        {"$ref": 3},
        {"minItems": -1},
        {"minLength": 1.5},
        {"minItems": True},
        {"maximum": "3"},
        {"$defs": {"x": None}},
    ],
)
def test_malformed_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchemaError, match="here: JSON schema is invalid"):
        check_well_formed(schema, "here")


def test_schema_that_is_too_deep_is_refused() -> None:
    with pytest.raises(InvalidSchemaError, match="here: JSON schema is nested too deeply"):
        check_well_formed(nested(DEEPEST), "here")
