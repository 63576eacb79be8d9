"""What the parts of nested elements may be, by their schema."""

from typing import Any

import pytest

from antiphon.schemas.element_types import PartTypes
from antiphon.schemas.steps import Steps
from antiphon.schemas.values import DISJOINT_TYPES

ANY = frozenset(DISJOINT_TYPES)


def types(schema: Any) -> PartTypes:
    return PartTypes.of(schema, Steps())


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"type": ["integer", "null"]}, {"integer", "null"}),
        ({"properties": {"a": {}}}, {"object"}),
        ({"anyOf": [{"type": "string"}, {"items": {}}]}, {"string", "array"}),
        ({"enum": [[], "a", 1, True]}, {"array", "string", "number", "boolean"}),
        ({"$ref": "#/$defs/name", "$defs": {"name": {"type": "string"}}}, {"string"}),
        ({}, ANY),
        (False, ANY),
    ],
)
def test_kinds_of_a_value_are_those_that_its_schema_allows(schema: Any, kinds: set[str]) -> None:
    assert types(schema).kinds == kinds


def test_parts_have_the_types_of_their_places() -> None:
    schema = {
        "properties": {
            "tags": {"prefixItems": [{"type": "boolean"}], "items": {"type": "string"}},
            "at": {"anyOf": [{"properties": {"x": {"type": "number"}}}, {"type": "string"}]},
        }
    }
    whole = types(schema)
    tags = whole.property("tags")
    assert whole.property("tags") is tags
    assert [tags.item(index).kinds for index in (0, 1, 1)] == [{"boolean"}, {"string"}, {"string"}]
    assert whole.property("at").property("x").kinds == {"number"}
    assert whole.property("other").kinds == ANY
    assert whole.property("at").item(0).kinds == ANY


def test_parts_of_listed_values_have_their_types() -> None:
    listed = types({"enum": [{"a": ["7", {"b": 1}]}, ["x"], 2]})
    assert listed.property("a").kinds == {"array"}
    assert listed.property("a").item(0).kinds == {"string"}
    assert listed.property("a").item(1).property("b").kinds == {"number"}
    assert listed.item(0).kinds == {"string"}
    assert listed.item(1).kinds == listed.property("z").kinds == ANY
    assert listed.left_out(()) == []


def test_property_that_must_be_there_and_may_be_null_is_left_out() -> None:
    part = {
        "properties": {
            "a": {"type": ["string", "null"]},
            "b": {"enum": [1, None]},
            "c": {"type": "string"},
            "d": {},
            "e": {"enum": [1, 2]},
        },
    }
    whole = types({**part, "required": ["a", "b", "c", "d", "e"]})
    assert whole.left_out(()) == ["a", "b"]
    assert whole.left_out({"a"}) == ["b"]
    assert types(part).left_out(()) == []
    assert types({"type": "string"}).left_out(()) == []
    one = {**part, "required": ["a", "b"]}
    assert types({"anyOf": [one, {**part, "required": ["b"]}]}).left_out(()) == ["b"]
    assert types({"anyOf": [one, {"required": ["a"], "type": "object"}]}).left_out(()) == []


def test_what_takes_too_many_steps_may_be_anything() -> None:
    schema = {
        "properties": {"it": {"anyOf": [{"type": "string"}] * 9}},
        "required": ["it"],
        "type": "object",
    }
    taken = []
    for most in range(60):
        found = PartTypes.of(schema, Steps(most))
        taken.append((found.kinds, found.property("it").kinds))
        assert found.left_out(()) == []
    assert taken[0] == (ANY, ANY)
    assert ({"object"}, ANY) in taken
    assert taken[-1] == ({"object"}, {"string"})
