from typing import Any

import pytest

from antiphon.schemas.disjointness import are_discriminated, are_disjoint, entails, opposites
from antiphon.schemas.document import Document

KIND = {"type": "object", "required": ["kind"]}


def kind(value: Any) -> dict[str, Any]:
    return {**KIND, "properties": {"kind": {"const": value}}}


@pytest.mark.parametrize(
    ("one", "other", "disjoint"),
    [
        ({"type": "string"}, {"type": "null"}, True),
        ({"type": "integer"}, {"type": "number"}, False),
        ({"type": ["string", "null"]}, {"type": ["null"]}, False),
        ({}, {"type": "null"}, False),
        (False, {}, True),
        ({"enum": [1, 2]}, {"const": 3}, True),
        ({"enum": [1, 2]}, {"const": 2.0}, False),
        ({"enum": [1]}, {"type": "string"}, True),
        ({"enum": [1]}, {"type": "integer"}, False),
        (kind(1), kind(2), True),
        (kind(1), kind(1), False),
        (kind(1), {"properties": {"kind": {"const": 2}}}, True),
        ({"properties": {"kind": {"const": 2}}}, {"required": ["kind"]}, False),
        (KIND, {"type": "object", "properties": {"kind": False}}, True),
        (KIND, {"type": "object", "additionalProperties": False}, True),
        ({"type": "array", "minItems": 1}, {"type": "array", "maxItems": 0}, False),
        (
            {**KIND, "properties": {"kind": kind(1)}},
            {**KIND, "properties": {"kind": kind(2)}},
            True,
        ),
    ],
)
def test_views_are_disjoint_if_types_values_or_properties_differ(
    one: Any, other: Any, disjoint: Any
) -> None:
    document = Document({})
    a, b = document.of(one), document.of(other)
    assert are_disjoint(document, a, b) is disjoint
    assert are_disjoint(document, b, a) is disjoint


def test_comparison_beyond_its_depth_is_undecided() -> None:
    one, other = kind(1), kind(2)
    for _ in range(9):
        one, other = ({**KIND, "properties": {"kind": part}} for part in (one, other))
    document = Document({})
    assert not are_disjoint(document, document.of(one), document.of(other))
    assert not entails(document, document.of(one), document.of(one))


@pytest.mark.parametrize(
    ("schemas", "disjoint"),
    [
        ([kind(1), kind(2), kind(3)], True),
        ([kind(1), kind(2), kind(1)], False),
        ([kind(1), {"type": "null"}], False),
        ([kind(1), {"type": "object", "properties": {"kind": {"const": 2}}}], False),
        ([kind(1), {**KIND, "properties": {"kind": {"type": "string"}}}], False),
    ],
)
def test_objects_are_discriminated_by_one_property(schemas: list[Any], disjoint: Any) -> None:
    document = Document({})
    assert are_discriminated(document, [document.of(schema) for schema in schemas]) is disjoint


@pytest.mark.parametrize(
    ("schema", "wanted", "holds"),
    [
        ({}, {}, True),
        (False, {"type": "null"}, True),
        ({}, False, False),
        ({"type": "integer"}, {"type": ["integer", "null"]}, False),  # compared as "number"
        ({"type": "string"}, {"type": ["string", "null"]}, True),
        ({}, {"type": "null"}, False),
        ({"enum": [1, 2]}, {"enum": [1, 2, 3]}, True),
        ({"enum": [1, 4]}, {"enum": [1, 2, 3]}, False),
        ({"type": "integer"}, {"enum": [1, 2, 3]}, False),
        ({"const": "a"}, {"type": "string"}, True),
        ({"minimum": 3}, {"minimum": 3}, False),
        (kind(1), {"properties": {"kind": {"enum": [1, 2]}}}, True),
        (kind(1), {"properties": {"kind": {"enum": [2]}}}, False),
        (kind(1), {"required": ["kind"]}, True),
        (kind(1), {"required": ["other"]}, False),
        (kind(1), {"properties": {}, "additionalProperties": False}, False),
        (kind(1), {"patternProperties": {"a": {}}}, False),
        ({"properties": {"kind": {"const": 1}}}, {"properties": {"kind": {"const": 1}}}, False),
        ({"type": "object", "properties": {"a": False}}, {"properties": {"a": {"const": 1}}}, True),
        ({"type": "array"}, {"properties": {"a": {"const": 1}}}, False),
    ],
)
def test_view_entails_simple_constraints_that_it_repeats(
    schema: Any, wanted: Any, holds: Any
) -> None:
    document = Document({})
    assert entails(document, document.of(schema), document.of(wanted)) is holds


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"required": ["a"]}, [{"properties": {"a": False}}]),
        (
            {"properties": {"a": {"const": 1}}, "type": "object", "title": "T"},
            [{"properties": {"a": {"not": {"const": 1}}}, "required": ["a"]}],
        ),
        (
            {"properties": {"a": {"enum": [1]}, "b": {"const": 2}}, "required": ["a"]},
            [
                {"properties": {"a": False}},
                {"properties": {"a": {"not": {"enum": [1]}}}, "required": ["a"]},
                {"properties": {"b": {"not": {"const": 2}}}, "required": ["b"]},
            ],
        ),
        ({"properties": {"a": {"minimum": 1}}}, None),
        ({"properties": {"a": True}}, None),
        ({"minProperties": 1}, None),
        (True, None),
    ],
)
def test_opposites_exist_for_conditions_on_properties(condition: Any, found: Any) -> None:
    assert opposites(Document({}), condition) == found
