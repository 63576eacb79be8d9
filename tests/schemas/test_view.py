"""How a view merges schemas that apply together; check, grammars and examples share it."""

import json
from typing import Any

import pytest

from antiphon.schemas.check import fits
from antiphon.schemas.document import FEW, Document
from antiphon.schemas.example import example
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from antiphon.schemas.steps import Steps, TooComplexError
from antiphon.schemas.view import View
from support.gbnf import Grammar

INTEGER = {"type": "integer"}
ARRAYS = {"type": "array", "minItems": 2}


def view(schema: Any) -> View:
    return Document(schema).of(schema)


def allowed(schema: Any, values: list[Any]) -> list[Any]:
    """Return the values that the grammar allows, after checking its output."""
    rules = Rules()
    rule = JsonGrammar(rules, schema).rule()
    if rule is None:
        return []
    grammar = Grammar(rules.text(rule))
    for seed in range(10):
        assert fits(json.loads(grammar.draw(seed)), schema)
    return [value for value in values if grammar.allows(json.dumps(value))]


@pytest.mark.parametrize(
    ("schema", "keywords"),
    [
        ({"allOf": [{"minimum": 1}, {"minimum": 3, "maximum": 9}], "maximum": 7},
         {"minimum": 3, "maximum": 7}),
        ({"allOf": [{"minLength": 1, "maxItems": 4}, {"minLength": 2, "maxItems": 2}]},
         {"minLength": 2, "maxItems": 2}),
        ({"allOf": [{"uniqueItems": False}, {"uniqueItems": True}]}, {"uniqueItems": True}),
        ({"allOf": [{"multipleOf": 4}, {"multipleOf": 6}]}, {"multipleOf": 12}),
        ({"allOf": [{"multipleOf": 0.5}, {"multipleOf": 0.75}]}, {"multipleOf": 1.5}),
        ({"$ref": "#/$defs/a", "minimum": 3, "$defs": {"a": {"minimum": 5}}}, {"minimum": 5}),
    ],
)  # fmt: skip
def test_merged_bounds_are_the_stricter_ones(schema: Any, keywords: Any) -> None:
    assert view(schema).keywords == keywords


@pytest.mark.parametrize(
    ("one", "other", "types"),
    [
        (["string", "null"], ["null", "array"], ("null",)),
        ("number", "integer", ("integer",)),
        (["integer", "string"], "number", ("integer",)),
        (["number", "integer"], "number", ("number",)),
        ("string", "null", ()),
        ("unheard of", "null", ("null",)),
    ],
)
def test_merged_types_are_the_common_ones(one: Any, other: Any, types: Any) -> None:
    found = view({"allOf": [{"type": one}, {"type": other}]})
    assert found.types == types
    assert found.impossible is (not types)


def test_merged_values_are_the_common_ones() -> None:
    listed = {"enum": [1, "a", None], "allOf": [{"enum": ["a", 1.0]}, {"not": {"const": "a"}}]}
    assert [*(view(listed).values or {}).values()] == [1]
    assert view({"enum": [1, 2], "const": 3}).impossible
    left = view({"enum": [1, 2], "not": {"enum": [2, 3]}, "allOf": [{"not": {"type": "null"}}]})
    assert [*(left.values or {}).values()] == [1]
    assert left.negated == ({"type": "null"},)
    assert view({"enum": [1], "not": False}).negated == (False,)


def test_constraints_that_do_not_merge_are_all_listed() -> None:
    found = view(
        {
            "allOf": [
                {"pattern": "a", "format": "date", "anyOf": [True], "not": {"anyOf": [{}, False]}},
                {"pattern": "b", "format": "unheard of", "anyOf": [{}], "required": ["a", "b"]},
                {"required": ["b", "c"], "contains": {}, "dependencies": {"a": ["b"], "b": {}}},
                {"dependentRequired": {"a": ["c"]}, "unevaluatedItems": False, "propertyNames": {}},
            ]
        }
    )
    assert found.patterns == ("a", "b")
    assert found.formats == ("date",)
    assert found.required == ("a", "b", "c")
    assert [choice.keyword for choice in found.choices] == ["anyOf", "anyOf", "dependencies"]
    assert found.negated == ({}, False)
    assert found.dependent_required == {"a": ("b", "c")}
    assert found.unenforced == {"unevaluatedItems"}
    assert len(found.contains) == len(found.property_names) == 1
    assert found.constraint_kinds == {"required", "other"}


def test_keywords_come_in_the_order_reference_own_all_of() -> None:
    properties = {"properties": {"own": {}}}
    parts = {"allOf": [{"properties": {"part": {}}}], "$ref": "#/$defs/a", **properties}
    found = view({**parts, "$defs": {"a": {"properties": {"referred": {}}}}})
    names = [name for group in found.properties for part in group for name in part.named]
    assert names == ["referred", "own", "part"]


def test_unresolvable_reference_is_unenforced() -> None:
    assert view({"$ref": "#/nowhere"}).unenforced == {"$ref"}
    assert view({"$ref": "#/nowhere", "$unenforced": ["$ref"]}).unenforced == {"$ref"}
    assert not view({"$unenforced": "anyOf"}).unenforced


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({"type": ["null", "string"], "minimum": 1}, ("null", "string")),
        *(({keyword: {}}, ("object",)) for keyword in ("properties", "propertyNames")),
        ({"required": ["a"]}, ("object",)),
        ({"dependentRequired": {"a": ["b"]}}, ("object",)),
        ({"minProperties": 1}, ("object",)),
        ({"items": {}}, ("array",)),
        ({"contains": {}}, ("array",)),
        ({"maxItems": 1}, ("array",)),
        ({"pattern": "a"}, ("string",)),
        ({"format": "date"}, ("string",)),
        ({"maxLength": 1}, ("string",)),
        ({"multipleOf": 1}, ("number",)),
        ({"title": "a"}, ()),
    ],
)
def test_implied_type_is_that_of_the_keywords(schema: Any, types: Any) -> None:
    assert view(schema).implied_types == types


@pytest.mark.parametrize(
    ("schema", "unconstrained"),
    [
        (True, True),
        ({}, True),
        ({"title": "a", "x-own": 1, "$defs": {"a": False}}, True),
        ({"allOf": [{}, True]}, True),
        (False, False),
        ({"type": "null"}, False),
        ({"enum": [1]}, False),
        ({"maximum": 1}, False),
        ({"properties": {}}, False),
        ({"if": {}, "then": {"type": "null"}}, False),
        ({"if": {}}, True),
    ],
)
def test_view_without_constraints_is_unconstrained(schema: Any, unconstrained: Any) -> None:
    assert view(schema).is_unconstrained is unconstrained


def test_view_is_made_once_whatever_leads_to_it() -> None:
    root = {
        "$ref": "#/$defs/a",
        "properties": {"b": {"allOf": [{"$ref": "#/$defs/a"}]}, "d": {"type": "null"}},
        "$defs": {"a": {"type": "object", "properties": {"c": {"type": "null", "title": "C"}}}},
    }
    document = Document(root)
    whole, a = document.of(root), document.of(root["$defs"]["a"])
    assert document.property_view(whole, "b") is a
    assert document.property_view(whole, "d") is document.property_view(a, "c")
    assert document.of(root) is whole


def test_items_behind_the_prefix_share_a_view() -> None:
    schema = {"prefixItems": [{"type": "null"}], "items": {"type": "string"}}
    document = Document(schema)
    found = [document.item_view(document.of(schema), index).types for index in (0, 1, 2, 3)]
    assert found == [("null",), ("string",), ("string",), ("string",)]


def test_unsupported_pattern_matches_no_property() -> None:
    document = Document({"patternProperties": {"(": False}})
    assert document.finds("(", "a") is None
    assert document.language("(") is None
    assert document.property_view(document.of(document.root), "a").is_unconstrained


def test_reference_is_found_at_any_depth() -> None:
    document = Document({})
    deep = {"items": [{"anyOf": [{"properties": {"a": {"$ref": "#"}}}]}]}
    assert document.has_reference(((True, deep),))
    assert document.has_reference(((deep,),))
    assert not document.has_reference((({"items": [{}, 5]},), (True,)))


def test_large_group_is_searched_by_index() -> None:
    parts: list[Any] = [{"properties": {f"p{n}": {"const": n}}} for n in range(FEW)]
    parts += [{"additionalProperties": {"maximum": 3}, "properties": {"p0": True}}]
    parts += [{"patternProperties": {"^p1": {"minimum": 1}}}]
    schema = {"allOf": parts}
    assert fits({"p0": 0, "p1": 1, "p2": 2}, schema)
    assert not fits({"p5": 5}, schema)
    assert not fits({"q": 4}, schema)
    assert not fits({"p1": 0}, schema)
    assert not fits({"p10": 0}, schema)


@pytest.mark.parametrize("name", ["allOf", "properties", "enum"])
def test_merging_takes_a_step_for_each_keyword(name: str) -> None:
    steps: list[int] = []
    for size in (200, 400):
        keywords: dict[str, Any] = {
            "allOf": [{"required": [f"p{n}"]} for n in range(size)],
            "enum": list(range(size)),
            "properties": {f"p{n}": {} for n in range(size)},
        }
        document = Document({name: keywords[name]})
        document.property_view(document.of(document.root), "p0")
        steps.append(document.steps.taken)
    assert steps[1] <= 2.2 * steps[0]
    with pytest.raises(TooComplexError):
        Document({}, Steps(2)).of({"allOf": [{"minimum": 1}]})


# Closed objects.


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        # `additionalProperties` covers the properties that its own schema does not name or match.
        (
            {"type": "object", "allOf": [
                {"additionalProperties": ARRAYS},
                {"patternProperties": {"a": {"type": "array"}}}]},
            [{"a": [1, 2]}, {"b": [1, 2]}, {}],
            [{"a": []}, {"b": []}, {"a": 1}],
        ),
        (
            {"type": "object", "allOf": [
                {"additionalProperties": {"minimum": 3}, "patternProperties": {"^a": INTEGER}},
                {"additionalProperties": {"maximum": 5}, "patternProperties": {"b$": INTEGER}}]},
            [{"ab": 99}, {"a": 5}, {"b": 3}, {"c": 4}],
            [{"a": 6}, {"b": 2}, {"ab": "x"}, {"c": 6}],
        ),
        (
            {"type": "object", "$ref": "#/$defs/a", "patternProperties": {"^x": {"maximum": 5}},
             "$defs": {"a": {"properties": {"xa": INTEGER}, "additionalProperties": False}}},
            [{"xa": 5}, {}],
            [{"xa": 6}, {"xb": 1}],
        ),
        # A closed schema rejects the properties of another one, unless they are required.
        (
            {"type": "object", "allOf": [
                {"properties": {"a": {}}, "additionalProperties": False},
                {"properties": {"b": {"type": "null"}}}]},
            [{"a": 1}, {}],
            [{"b": None}],
        ),
        (
            {"type": "object", "allOf": [
                {"properties": {"a": {}}, "additionalProperties": False, "required": ["a"]},
                {"properties": {"b": {"type": "null"}}, "required": ["b"]}]},
            [{"a": 1, "b": None}],
            [{"a": 1}, {"b": None}, {"a": 1, "b": 2}, {"a": 1, "b": None, "c": 1}],
        ),
        (
            {"type": "object", "required": ["c"], "allOf": [
                {"properties": {"a": {}}, "additionalProperties": False},
                {"properties": {"b": {}}, "additionalProperties": False},
                {"properties": {"c": {"type": "null"}}, "patternProperties": {"^d": {}}}]},
            [{"c": None}],
            [{"a": 1, "c": None}, {"c": 1}],
        ),
        (
            {"type": "object", "properties": {"a": {"allOf": [
                {"properties": {"b": {}}, "additionalProperties": False, "required": ["z"]},
                {"properties": {"c": {}}, "additionalProperties": False}]}}},
            [{}],
            [{"a": {"z": 1}}, {"a": {}}],
        ),
        # A closed schema rejects the properties of branches: another branch may fit.
        (
            {"type": "object", "properties": {"pch": {
                "type": "object", "additionalProperties": False,
                "oneOf": [{"$ref": "#/definitions/pch"}]}},
             "definitions": {"pch": {
                 "type": "object", "additionalProperties": False, "required": ["header"],
                 "properties": {"header": {"type": "string"}}}}},
            [{}],
            [{"pch": {"header": "x"}}, {"pch": {}}],
        ),
        (
            {"type": "object", "additionalProperties": False, "properties": {"a": {}},
             "anyOf": [{"required": ["b"], "properties": {"b": {}}}, {"required": ["a"]}]},
            [{"a": 1}],
            [{"b": 1}, {"a": 1, "b": 1}],
        ),
        (
            {"type": "object",
             "properties": {"a": {"properties": {"x": {}}, "additionalProperties": False}},
             "anyOf": [{"properties": {"a": {"properties": {"y": {}}, "required": ["y"]}},
                        "required": ["a"]},
                       {"properties": {"a": {"type": "null"}}}]},
            [{"a": None}, {}],
            [{"a": {"y": 1}}, {"a": {"x": 1}}],
        ),
        (
            {"type": "object", "additionalProperties": False, "properties": {"a": {}},
             "if": {"required": ["a"]}, "then": {"required": ["b"], "properties": {"b": {}}}},
            [{}],
            [{"a": 1}, {"a": 1, "b": 1}],
        ),
    ],
)  # fmt: skip
def test_check_grammar_and_example_agree_on_closed_objects(
    schema: Any, good: list[Any], bad: list[Any]
) -> None:
    assert all(fits(value, schema) for value in good)
    assert not any(fits(value, schema) for value in bad)
    assert not allowed(schema, bad)
    assert fits(example(schema), schema)


def test_grammar_combines_two_additional_properties() -> None:
    values = [{"a": [1, 2]}, {"b": [1, 2]}, {"a": []}]
    parts = [{"additionalProperties": ARRAYS}, {"patternProperties": {"a": {"type": "array"}}}]
    assert allowed({"type": "object", "allOf": parts}, values) == values[:2]
