"""The grammar of nested elements allows what fits the schema and can be read back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.check import fits
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.nested_grammar import NestedGrammar
from support.elements import NESTED
from support.gbnf import Grammar

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4},
        "count": {"type": "integer", "minimum": 1},
        "sure": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
        "pair": {"prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 2},
        "set": {"type": "array", "items": {"enum": ["p", "q"]}, "uniqueItems": True},
        "deep": {
            "type": "object",
            "properties": {"b": {"type": "boolean"}, "a": {"$ref": "#/properties/deep"}},
            "required": ["b"],
            "additionalProperties": {"type": "integer"},
        },
        "one": {"enum": ["x", ["y"], {"z": 1}]},
        "any": {},
        "never": False,
    },
    "required": ["text"],
}


def compiled(schema: Any) -> tuple[Grammar | None, set[str]]:
    rules = Rules()
    grammar = NestedGrammar(rules, schema, NESTED)
    rule = grammar.rule()
    return None if rule is None else Grammar(rules.text(rule)), grammar.unenforced


def allowed(schema: Any, value: Any) -> bool:
    grammar, _ = compiled(schema)
    return grammar is not None and grammar.allows(NESTED.write(value))


@pytest.mark.parametrize(
    "value",
    [
        {"text": ""},
        {"text": "a <b> [ns] c\n\n"},
        {"text": "t", "code": "abcd", "count": 7, "sure": True},
        {"text": "t", "list": ["a", "", "c"], "pair": ["x", 1.5, {"any": 1}], "set": ["p", "q"]},
        {"text": "t", "deep": {"b": False, "a": {"b": True, "c": 2}, "d-1": 3}},
        {"text": "t", "one": ["y"]},
        {"text": "t", "one": {"z": 1}},
        {"text": "t", "any": {"k": [1, "v", {"w": ["x"]}]}},
        {"text": "t", "any": "v"},
    ],
)
def test_value_that_fits_is_allowed(value: Any) -> None:
    assert fits(value, SCHEMA)
    assert allowed(SCHEMA, value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"count": 1},
        {"text": "t", "code": "abcde"},
        {"text": "t", "code": "ABC"},
        {"text": "t", "count": 0},
        {"text": "t", "list": []},
        {"text": "t", "list": ["a", "b", "c", "d"]},
        {"text": "t", "pair": ["x"]},
        {"text": "t", "set": ["r"]},
        {"text": "t", "deep": {"a": {"b": True}}},
        {"text": "t", "deep": {"b": "no"}},
        {"text": "t", "one": ["z"]},
        {"text": "t", "never": 1},
    ],
)
def test_value_that_does_not_fit_is_not_allowed(value: Any) -> None:
    assert not allowed(SCHEMA, value)


@given(st.integers(0, 2**32))
def test_drawn_elements_are_closed_with_their_names(seed: int) -> None:
    grammar, unenforced = compiled(SCHEMA)
    assert grammar is not None
    assert unenforced == {"type", "uniqueItems"}
    drawn = grammar.draw(seed, patience=15)
    assert grammar.allows(drawn)
    assert "[ns]<text>" in drawn
    for name in ("text", "list", "deep", "pair"):
        assert drawn.count(f"[ns]<{name}>") <= drawn.count(f"[ns]</{name}>")


def test_text_with_a_mark_is_not_allowed() -> None:
    schema = {"properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert allowed(schema, {"a": "[ns] <"})
    assert not allowed(schema, {"a": "[ns]<"})
    assert not allowed({"const": {"a": "[ns]<"}}, {"a": "[ns]<"})
    assert allowed({"enum": [{"a": "x"}, {"a": "[ns]<"}, 1]}, {"a": "x"})
    assert not allowed({"properties": {"a": {"enum": ["[ns]<"]}}}, {"a": "[ns]<"})


def test_null_is_left_out_and_is_nowhere_else() -> None:
    nullable = {"type": ["string", "null"]}
    schema = {"properties": {"a": nullable, "b": {"type": "null"}}, "required": ["a", "b"]}
    assert allowed(schema, {})
    assert allowed(schema, {"a": "x"})
    assert not allowed(schema, {"a": "x", "b": ""})
    items = {"properties": {"a": {"type": "array", "items": {"type": "null"}}}}
    assert allowed(items, {"a": []})
    assert not allowed(items, {"a": [None]})
    assert not allowed({"properties": {"a": {"enum": [None, 1]}}}, {"a": ""})
    # What allows anything does not name `null`.
    assert not allowed({"properties": {"a": {}}, "required": ["a"]}, {})


def test_required_null_has_no_value_within_an_array() -> None:
    items = {"type": "array", "items": {"type": "null"}, "minItems": 1}
    assert compiled({"properties": {"a": items}, "required": ["a"]})[0] is None


@pytest.mark.parametrize(
    ("schema", "unenforced"),
    [
        ({"type": ["string", "array"]}, set()),
        ({"anyOf": [{"type": "string", "minLength": 1}, {"type": "array"}]}, {"type"}),
        ({"type": ["object", "null"], "minProperties": 1}, set()),
        ({"enum": ["1", 1]}, {"type"}),
    ],
)
def test_what_may_be_read_as_another_type_is_left_to_the_check(
    schema: Any, unenforced: set[str]
) -> None:
    assert compiled({"properties": {"a": schema}})[1] == unenforced


def test_null_of_one_of_several_objects_is_left_to_the_check() -> None:
    one = {"properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}
    other = {"properties": {"b": {"type": "string"}}, "required": ["b"]}
    assert compiled({"anyOf": [one, other]})[1] == {"required"}
    assert compiled({"properties": {"o": {"anyOf": [one, other]}}})[1] == {"required"}
    assert compiled(one)[1] == set()


def test_other_names_are_words_and_items_are_told_apart() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    assert allowed(schema, {"a-b.c": "x", "d": "y", "item": "z"})
    assert not allowed(schema, {"a b": "x"})
    anything = {"properties": {"a": {}}, "additionalProperties": False}
    assert allowed(anything, {"a": {"b": {"c": "d"}}})
    assert not allowed(anything, {"a": {"b": "x", "item": "y"}})
    assert compiled({**schema, "minProperties": 2})[0] is not None


def test_object_that_refers_to_itself_is_nested() -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "child": {"$ref": "#"}},
        "required": ["name"],
    }
    assert allowed(schema, {"name": "x", "child": {"name": "y", "child": {"name": ""}}})
    ended = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
    }
    grammar, _ = compiled(ended)
    assert grammar is not None
    assert grammar.allows(NESTED.write({"next": {"next": {}}}))
    grammar.draw(1)
