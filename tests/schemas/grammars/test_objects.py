"""The grammars of objects: which values they allow, and which keywords they do not enforce."""

import json
from typing import Any

import pytest

from antiphon.schemas.check import fits
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from antiphon.schemas.grammars.names import NAMED, PATTERNS
from antiphon.schemas.grammars.objects import MOST
from support.gbnf import Grammar

NULL = {"type": "null"}


def grammar(schema: Any, *, tight: bool = False) -> tuple[Grammar | None, set[str]]:
    rules = Rules()
    made = JsonGrammar(rules, {"type": "object", **schema}, tight=tight)
    rule = made.rule()
    return None if rule is None else Grammar(rules.text(rule)), made.unenforced


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        # Required properties come first, then optional ones in order.
        (
            {"properties": {"a": NULL, "b": NULL, "c": NULL}, "required": ["b"]},
            [{"b": None}, {"b": None, "a": None}, {"b": None, "a": None, "c": None}],
            [{}, {"a": None}],
        ),
        ({"properties": {"a": NULL, "b": False}}, [{}, {"a": None}], [{"b": None}]),
        ({"required": ["a"], "properties": {"a": False}}, [], [{"a": None}]),
        ({"additionalProperties": NULL}, [{}, {"x": None, "y": None}], [{"x": 1}]),
        (
            {"properties": {"a": NULL}, "additionalProperties": {"const": 1}},
            [{"a": None}, {"a": None, "b": 1}, {"b": 1}],
            [{"a": 1}, {"b": None}],
        ),
        # Other properties are not mentioned, so none are written.
        ({"properties": {"a": NULL}}, [{}, {"a": None}], [{"b": 1}]),
        (
            {"patternProperties": {"^x": NULL, "y$": {"const": 1}}, "additionalProperties": False},
            [{"x": None}, {"ay": 1}, {}],
            [{"xy": None}, {"x": 1}, {"z": 1}],
        ),
        (
            {"patternProperties": {"^x": {"minimum": 3}, "^[x]": {"type": "integer"}}},
            [{"x": 3}],
            [{"x": 2}],
        ),
        # Generated names exclude those whose subschema has no values.
        (
            {
                "patternProperties": {"^x$": {"enum": []}, "^[yz]$": NULL},
                "additionalProperties": False,
                "minProperties": 2,
            },
            [{"y": None, "z": None}],
            [{"x": None, "y": None}, {"y": None}],
        ),
        ({"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
        ({"propertyNames": {"enum": ["a", "b", 3]}}, [{"a": 1}], [{"c": 1}]),
        ({"propertyNames": {"pattern": "^a"}, "properties": {"b": {}}}, [{}], [{"b": 1}]),
        ({"propertyNames": False}, [{}], [{"a": 1}]),
        ({"propertyNames": NULL}, [{}], [{"a": 1}]),
        # Names whose automaton is too large are not written.
        ({"patternProperties": {"a.{30}$": NULL}, "additionalProperties": False}, [{}], [{"b": 1}]),
        ({"maxProperties": 0, "additionalProperties": NULL}, [{}], [{"a": None}]),
        ({"maxProperties": 1, "properties": {"a": NULL, "b": NULL}}, [{"a": None}], [{"b": None}]),
        ({"maxProperties": 1, "required": ["a", "b"]}, [], [{"a": 1, "b": 1}]),
        ({"minProperties": 2, "maxProperties": 1}, [], [{"a": 1}]),
        (
            {"minProperties": 1, "properties": {"a": NULL, "b": NULL}},
            [{"a": None}, {"a": None, "b": None}],
            [{}],
        ),
        ({"minProperties": 1, "additionalProperties": NULL}, [{"a": None}], [{}]),
        ({"minProperties": 1, "additionalProperties": False}, [], [{}]),
        (
            {"minProperties": 3, "properties": {"a": NULL}, "maxProperties": 3},
            [{"a": None, "b": 1, "c": 1}],
            [{"a": None}, {"a": None, "b": 1}],
        ),
        (
            {"properties": {"a": NULL, "b": NULL}, "dependentRequired": {"a": ["b"], "x": ["y"]}},
            [{"b": None}, {"b": None, "a": None}],
            [{"a": None}],
        ),
        (
            {"dependentRequired": {"a": ["b"], "b": ["a"]}, "required": ["a"]},
            [{"a": 1, "b": 1}],
            [{"a": 1}],
        ),
    ],
    ids=str,
)
def test_object_grammar_allows_exactly_the_values_of_its_schema(
    schema: Any, good: list[Any], bad: list[Any]
) -> None:
    found, unenforced = grammar(schema)
    assert not unenforced
    assert (found is not None) is bool(good)
    whole = {"type": "object", **schema}
    assert all(fits(value, whole) for value in good)
    if found is not None:
        assert all(found.allows(json.dumps(value)) for value in good)
        assert not any(found.allows(json.dumps(value)) for value in bad)
        for seed in range(10):
            assert fits(json.loads(found.draw(seed)), whole)


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"minProperties": MOST + 1}, "minProperties"),
        ({"propertyNames": {"pattern": "("}, "additionalProperties": NULL}, "propertyNames"),
        ({"propertyNames": {"not": {"const": "a"}}}, "propertyNames"),
        ({"patternProperties": {"(": NULL}}, "patternProperties"),
        ({"minProperties": 2, "patternProperties": {"^a$": NULL}, "additionalProperties": False},
         "minProperties"),
        ({"minProperties": 2, "properties": {"a": {"$ref": "#"}, "b": NULL}, "required": ["b"],
          "additionalProperties": False}, "minProperties"),
        ({"patternProperties": {f"^x{n}$": NULL for n in range(PATTERNS + 1)}},
         "patternProperties"),
        ({"unevaluatedProperties": False}, "unevaluatedProperties"),
    ],
    ids=str,
)  # fmt: skip
def test_unenforced_object_keyword_is_named(schema: Any, keyword: str) -> None:
    found, unenforced = grammar(schema)
    assert unenforced == {keyword}
    assert found is not None or keyword == "minProperties"


def test_many_property_names_exclude_any_others() -> None:
    names = [f"{n:0{NAMED // 10}}" for n in range(11)]
    found, _ = grammar({"properties": dict.fromkeys(names, NULL), "additionalProperties": NULL})
    assert found is not None
    assert found.allows(json.dumps({names[0]: None}))
    assert not found.allows('{"other": null}')


def test_names_of_many_patterns_have_a_rule_for_each_pattern() -> None:
    parts = {f"^x{n}$": {"const": n} for n in range(PATTERNS + 1)}
    found, _ = grammar({"patternProperties": parts, "additionalProperties": False})
    assert found is not None
    assert found.allows('{"x7": 7}')
    assert not found.allows('{"x7": 8}')


def test_tight_object_has_other_names_only_if_required() -> None:
    found, _ = grammar({"additionalProperties": NULL}, tight=True)
    assert found is not None
    assert not found.allows('{"a": null}')
    found, _ = grammar({"additionalProperties": NULL, "minProperties": 1}, tight=True)
    assert found is not None
    assert found.allows('{"a": null}')


def test_generated_names_are_distinct() -> None:
    found, unenforced = grammar({"minProperties": 5, "propertyNames": {"pattern": "^[ab]{1,2}$"}})
    assert found is not None
    assert not unenforced
    assert all(len(json.loads(found.draw(seed))) >= 5 for seed in range(5))
