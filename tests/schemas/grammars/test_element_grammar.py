"""The grammar of elements allows what fits the schema, as the notation writes it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.check import fits
from antiphon.schemas.elements import Elements
from antiphon.schemas.grammars.element_grammar import ElementGrammar
from antiphon.schemas.grammars.gbnf import Rules
from support.elements import CALLED, QUOTED, QUOTED_JSON, REPEATED, TAGGED, TAGS, WRAPPED
from support.gbnf import Grammar

RAW = {"tagged": TAGGED, "quoted": QUOTED, "called": CALLED, "wrapped": WRAPPED}
ALL = {**RAW, "tags": TAGS, "json": QUOTED_JSON, "python": REPEATED}
raw = pytest.mark.parametrize("elements", RAW.values(), ids=RAW)
every = pytest.mark.parametrize("elements", ALL.values(), ids=ALL)
SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "Code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4},
        "day": {"type": "string", "format": "date"},
        "short": {"type": "string", "minLength": 1, "maxLength": 3},
        "count": {"type": "integer"},
        "maybe": {"type": ["string", "null"]},
        "one": {"enum": ["x", 1, True, None, "it\n</parameter>'<|\"|>')"]},
        "list": {"type": "array", "items": {"type": "string"}},
        "pair": {"type": "array", "items": {"enum": ["p", "q"]}, "uniqueItems": True},
        "deep": {
            "type": "object",
            "properties": {"b": {"type": "boolean"}, "a": {"type": "string"}},
            "required": ["b"],
            "additionalProperties": {"type": "integer"},
        },
        "any": {},
        "plain": {"not": {"type": "object"}},
        "never": False,
    },
    "required": ["text"],
}


def compiled(schema: Any, elements: Elements, **more: bool) -> tuple[Grammar | None, set[str]]:
    rules = Rules()
    grammar = ElementGrammar(rules, schema, elements, **more)
    rule = grammar.rule()
    return None if rule is None else Grammar(rules.text(rule)), grammar.unenforced


def allowed(schema: Any, elements: Elements, value: Any) -> bool:
    grammar, _ = compiled(schema, elements)
    return grammar is not None and grammar.allows(elements.write(value))


@every
@pytest.mark.parametrize(
    "value",
    [
        {"text": ""},
        {"text": "a <b> & c\n\n"},
        {"text": "it's 'so', and"},
        {"text": "t", "Code": "abcd", "day": "2026-11-29", "short": "é!"},
        {"text": "t", "count": -7, "maybe": None},
        {"text": "t", "maybe": "None"},
        {"text": "t", "one": True, "list": ["a", "it's", ""], "pair": ["p", "q"]},
        {"text": "t", "deep": {"b": False, "a": "x"}},
        {"text": "t", "any": {"k": [1, None, "v"]}},
        {"text": "t", "any": "v", "plain": 2},
    ],
)
def test_value_that_fits_is_allowed(elements: Elements, value: Any) -> None:
    assert fits(value, SCHEMA)
    assert allowed(SCHEMA, elements, value)


@every
@pytest.mark.parametrize(
    "value",
    [
        {},
        {"count": 1},
        {"text": "t", "Code": "abcde"},
        {"text": "t", "Code": "ABC"},
        {"text": "t", "day": "today"},
        {"text": "t", "short": "four"},
        {"text": "t", "short": ""},
        {"text": "t", "count": 1.5},
        {"text": "t", "one": "y"},
        {"text": "t", "list": [1]},
        {"text": "t", "deep": {"a": "x"}},
        {"text": "t", "never": 1},
    ],
)
def test_value_that_does_not_fit_is_not_allowed(elements: Elements, value: Any) -> None:
    assert not allowed(SCHEMA, elements, value)


@raw
def test_text_that_cannot_be_read_back_is_not_allowed(elements: Elements) -> None:
    value = "it\n</parameter>'<|\"|>')" if elements is not WRAPPED else "it\n]]>"
    one = {**SCHEMA, "properties": {"text": {}, "one": {"enum": ["x", value]}}}
    assert not allowed(one, elements, {"text": "t", "one": value})
    assert not allowed({"const": {"text": value}}, elements, {"text": value})
    assert allowed({"enum": [{"text": "x"}, {"text": value}, 1]}, elements, {"text": "x"})


@every
@given(st.integers(0, 2**32))
def test_drawn_elements_end_each_text_at_its_mark(elements: Elements, seed: int) -> None:
    grammar, unenforced = compiled(SCHEMA, elements)
    assert grammar is not None
    assert unenforced == set()
    drawn = grammar.draw(seed, patience=15)
    assert grammar.allows(drawn)
    marks = {name for name in SCHEMA["properties"] if name in drawn}  # type: ignore[attr-defined]
    assert "text" in marks


@pytest.mark.parametrize("elements", [one for one in ALL.values() if one is not TAGS])
def test_other_names_are_words(elements: Elements) -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    assert allowed(schema, elements, {"a-b.c": "x", "d": "y"})
    assert not allowed(schema, elements, {"a b": "x"})
    assert allowed({"type": "object"}, elements, {"z": [1]})
    assert allowed({}, elements, {"z": 1})


def test_sorted_properties_keep_their_order_whatever_is_required() -> None:
    schema = {
        "properties": {"c": {"type": "null"}, "B": {"type": "null"}, "a": {"type": "null"}},
        "required": ["B"],
        "additionalProperties": False,
    }
    grammar, _ = compiled(schema, QUOTED)
    assert grammar is not None
    for text, fits_ in {
        "B:None": True,
        "a:None,B:None": True,
        "a:None,B:None,c:None": True,
        "B:None,c:None": True,
        "B:None,a:None": False,
        "a:None,c:None": False,
        "": False,
    }.items():
        assert grammar.allows(text) == fits_
    more, _ = compiled({**schema, "minProperties": 5, "additionalProperties": True}, QUOTED)
    assert more is not None
    assert more.draw(1).count(":") >= 5


@every
def test_choices_are_alternatives(elements: Elements) -> None:
    schema = {
        "anyOf": [
            {"properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "number"}}, "required": ["b"]},
            {"type": "string"},
        ]
    }
    assert allowed(schema, elements, {"a": "x"})
    assert allowed(schema, elements, {"b": 1})
    assert not allowed(schema, elements, {})


@every
@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string"},
        {"not": True},
        {"required": ["a"], "properties": {"a": {"not": {}}}},
        {
            "required": ["a"],
            "properties": {"a": {"type": "string", "minLength": 2, "maxLength": 1}},
        },
    ],
)
def test_schema_without_an_object_has_no_rule(elements: Elements, schema: Any) -> None:
    assert compiled(schema, elements)[0] is None


@raw
def test_long_size_is_counted_without_a_bracket_or_left_to_the_check(elements: Elements) -> None:
    text = {"type": "string", "maxLength": 200}
    schema = {"properties": {"t": text}, "required": ["t"]}
    grammar, unenforced = compiled(schema, elements)
    assert grammar is not None
    is_counted = elements not in (CALLED, WRAPPED)
    assert unenforced == (set() if is_counted else {"minLength", "maxLength"})
    assert grammar.allows(elements.write({"t": "x"}))
    if is_counted:
        assert grammar.allows(elements.write({"t": "x" * 200}))
        assert not grammar.allows(elements.write({"t": "x" * 201}))
        assert not grammar.allows(elements.write({"t": "a < b"}))
    text["maxLength"] = 2000
    assert compiled(schema, elements)[1] >= {"maxLength"}


def test_text_with_an_apostrophe_has_double_quotes_in_python() -> None:
    schema = {"properties": {"l": {"items": {"type": "string"}, "type": "array"}}}
    for texts in (["it's"], ['say "so"'], ["a\\b\n"], ["漢字 é"]):
        assert allowed(schema, CALLED, {"l": texts})
    assert not allowed(schema, CALLED, {"l": ["'\""]})
    sized = {"properties": {"l": {"items": {"type": "string", "maxLength": 3}, "type": "array"}}}
    assert allowed(sized, CALLED, {"l": ["abc"]})
    assert not allowed(sized, CALLED, {"l": ["abcd"]})
    dated = {"properties": {"l": {"items": {"type": "string", "format": "date"}, "type": "array"}}}
    assert allowed(dated, CALLED, {"l": ["2026-11-29"]})


def test_object_that_refers_to_itself_is_nested() -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "child": {"$ref": "#"}},
        "required": ["name"],
    }
    value = {"name": "x", "child": {"name": "y", "child": {"name": ""}}}
    for elements in (TAGGED, CALLED):
        assert allowed(schema, elements, value)
    assert allowed(schema, QUOTED, {"name": "x", "child": {"name": "y"}})


def test_pattern_beyond_a_grammar_leaves_the_characters_of_a_wrap() -> None:
    schema = {"properties": {"t": {"type": "string", "pattern": "a.{30}$"}}, "required": ["t"]}
    grammar, unenforced = compiled(schema, WRAPPED)
    assert grammar is not None
    assert unenforced == {"pattern"}
    assert grammar.allows("<p t>x</p>")
    assert grammar.allows("<p t><![x\n]]></p>")
    assert not grammar.allows("<p t>x\n</p>")
    assert not grammar.allows("<p t><![x]]></p>")


def test_text_ends_at_the_closing_tag_of_its_property() -> None:
    schema = {"properties": {"a": {"type": "string"}, "b": {"enum": ["x", "</b>"]}}}
    assert allowed(schema, TAGS, {"a": "</b> </c>", "b": "x"})
    for text in ("<a>x</b>\n", "<a>x</a> </a>\n", "<b></b></b>\n"):
        grammar, _ = compiled(schema, TAGS)
        assert grammar is not None
        assert not grammar.allows(text)


def test_other_names_are_not_written_where_they_are_repeated() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    assert not allowed(schema, TAGS, {"a": "x"})
    assert allowed(schema, TAGS, {})
    assert compiled({**schema, "minProperties": 2}, TAGS)[0] is not None


MARK = '<|"|>'


def test_names_and_values_with_a_mark_are_not_written() -> None:
    odd = {"properties": {"}": {}, "a": {"type": "integer"}}, "additionalProperties": False}
    assert allowed(odd, QUOTED, {"a": 1})
    assert not allowed(odd, QUOTED, {"}": 1, "a": 1})
    assert compiled({**odd, "required": ["}"]}, QUOTED)[0] is None
    assert not allowed({"enum": [{"}": 1}, {"a": 1}]}, QUOTED, {"}": 1})
    listed = {"properties": {"a": {"enum": [[MARK], ["b"], {"c:": 1}]}}}
    assert allowed(listed, QUOTED, {"a": ["b"]})
    assert not allowed(listed, QUOTED, {"a": [MARK]})
    assert not allowed(listed, QUOTED, {"a": {"c:": 1}})
    assert not allowed({"enum": [{"a": [MARK]}, {"a": []}]}, QUOTED, {"a": [MARK]})


@pytest.mark.parametrize("unique", [True, False])
def test_items_with_a_mark_are_not_written(unique: bool) -> None:
    items = {"type": "array", "items": {"enum": [MARK, "b"]}, "uniqueItems": unique}
    schema = {"properties": {"a": items}}
    assert allowed(schema, QUOTED, {"a": ["b"]})
    assert not allowed(schema, QUOTED, {"a": [MARK]})


def test_names_with_a_mark_are_not_written_in_nested_objects() -> None:
    nested = {"properties": {"b:": {}, "c": {}}, "additionalProperties": False}
    schema = {"properties": {"a": nested}}
    assert allowed(schema, QUOTED, {"a": {"c": True}})
    assert not allowed(schema, QUOTED, {"a": {"b:": True}})


def test_no_name_with_a_mark_is_added_to_reach_a_minimum() -> None:
    schema = {
        "minProperties": 2,
        "patternProperties": {"^[}]+$": {}},
        "additionalProperties": False,
    }
    assert compiled(schema, QUOTED)[0] is None
