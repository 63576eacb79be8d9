from typing import Any

import pytest

from antiphon.schemas.elements import Elements, Place, kinds_of, mark_in
from antiphon.schemas.spelling import Quotes, Spelling
from antiphon.schemas.steps import Steps
from antiphon.schemas.values import DISJOINT_TYPES
from support.elements import CALLED, NESTED, QUOTED, QUOTED_JSON, REPEATED, TAGGED, TAGS, WRAPPED

GIVEN = {"b": "two\nlines", "a": True, "c": [None, "x"]}


def test_each_notation_writes_its_elements() -> None:
    assert TAGGED.write(GIVEN) == (
        "<parameter=b>\ntwo\nlines\n</parameter>\n<parameter=a>\nTrue\n</parameter>\n"
        '<parameter=c>\n[null, "x"]\n</parameter>\n'
    )
    assert QUOTED.write(GIVEN) == 'a:true,b:<|"|>two\nlines<|"|>,c:[None,<|"|>x<|"|>]'
    assert CALLED.write(GIVEN) == "b='two\nlines', a=True, c=[None, 'x']"
    assert TAGGED.write({}) == ""


def test_text_has_a_wrap_if_a_character_in_it_asks_for_one() -> None:
    assert WRAPPED.write({"a": "a & b", "b": "a\nb"}) == "<p a>a & b</p><p b><![a\nb]]></p>"
    assert WRAPPED.is_writable("a\n</p>")
    assert not WRAPPED.is_writable("a\n]]>")
    assert WRAPPED.is_writable("]]>")
    assert WRAPPED.text_end == Quotes("", "</p>", "none", without="\n<")
    assert WRAPPED.wrapped == Quotes("<![", "]]>", "none", having="\n<")
    assert TAGGED.wrapped is None


def test_name_may_stand_again_behind_a_value() -> None:
    assert TAGS.write({"a": "x", "b": None}) == "<a>x</a>\n<b>None</b>\n"
    assert TAGS.is_writable("</b>", "a")
    assert not TAGS.is_writable("</a>", "a")
    assert TAGS.repeats
    assert not TAGGED.repeats


def test_name_with_a_mark_cannot_be_written() -> None:
    for elements in (TAGGED, TAGS, WRAPPED, QUOTED, CALLED, REPEATED):
        assert elements.can_name("a_b-c.d9")
    assert all(TAGGED.can_name(one) for one in ("first name", "a=b", "@type", ">", "</parameter>"))
    assert not TAGGED.can_name("a>\nb")
    assert not Elements("<name ", {"string": Place("##", "")}).can_name("a#")
    assert QUOTED.can_name("first name")
    for name in ("}", 'a:<|"|>', "a:b", " a", "a=", ""):
        assert not QUOTED.can_name(name)
    assert not TAGS.can_name("/a")
    # What stands behind a text tells whether it ends, and has only plain names.
    assert not CALLED.can_name("first name")


def test_text_may_have_quotes() -> None:
    assert QUOTED_JSON.write({"a": 'x"\n', "b": [None]}) == 'a="x\\"\\n", b=[null]'
    assert REPEATED.write({"a": "it's", "b": [None]}) == 'a="it\'s", b=[None]'
    assert QUOTED_JSON.is_writable('"')
    assert CALLED.quoted is None


def test_objects_and_arrays_may_be_elements_in_turn() -> None:
    assert NESTED.write({"a": "x\n", "b": [1, True, {"c": "y"}], "n": None, "e": [], "o": {}}) == (
        "[ns]<a>x\n[ns]</a>[ns]<b>[ns]<item>1[ns]</item>[ns]<item>true[ns]</item>[ns]<item>"
        "[ns]<c>y[ns]</c>[ns]</item>[ns]</b>[ns]<e>[ns]</e>[ns]<o>[ns]</o>"
    )
    assert NESTED.write({"a": [None, "x"]}) == (
        "[ns]<a>[ns]<item>[ns]</item>[ns]<item>x[ns]</item>[ns]</a>"
    )
    assert NESTED.mark == "[ns]<"
    assert NESTED.text_end == Quotes("", "[ns]<", "none")


def test_nested_value_with_null_or_a_mark_cannot_be_carried() -> None:
    assert NESTED.can_carry({"a": ["x", 1, {"b": ""}], "first name": True})
    for value in (None, [None], {"a": None}, {"a": "[ns]<b"}, {"/a": 1}, {"a": {"b>": 1}}):
        assert not NESTED.can_carry(value)


def test_text_with_the_mark_behind_it_cannot_be_written() -> None:
    assert TAGGED.text_end == Quotes("", "\n</parameter>", "none")
    assert TAGGED.is_writable("a </parameter> b\n")
    assert not TAGGED.is_writable("a\n</parameter> b")
    assert CALLED.is_writable("it's, well 'so', and")
    assert not CALLED.is_writable("it's', a=1")
    assert not CALLED.is_writable("print('so')")
    doubled = Elements("", {"string": Place("", "##")})
    assert not doubled.is_writable("a#")  # the mark would begin a character earlier


def test_mark_ends_with_its_first_bracket() -> None:
    assert mark_in("\n</parameter>\n") == "\n</parameter>"
    assert mark_in("'") == "'"
    assert mark_in(")]<|end|>") == ")"


def test_other_types_are_spelled_as_json() -> None:
    assert TAGGED.spelling("array") == Spelling()


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({"type": "string"}, {"string"}),
        ({"type": ["integer", "null"]}, {"integer", "null"}),
        ({"enum": ["a", 1, None]}, {"string", "number", "null"}),
        ({"anyOf": [{"type": "string"}, {"const": True}]}, {"string", "boolean"}),
        ({"$ref": "#/$defs/name"}, {"string"}),
        ({}, set(DISJOINT_TYPES)),
        (False, set(DISJOINT_TYPES)),
    ],
)
def test_kinds_of_a_property_are_those_that_its_schema_allows(schema: Any, kinds: set[str]) -> None:
    whole = {"properties": {"it": schema}, "$defs": {"name": {"type": "string"}}}
    of = kinds_of(whole, Steps())
    assert of("it") == kinds
    assert of("it") == kinds
    assert of("other") == set(DISJOINT_TYPES)


def test_schema_that_takes_too_many_steps_allows_all_kinds() -> None:
    schema = {"properties": {"it": {"anyOf": [{"type": "string"}] * 9}}}
    assert kinds_of(schema, Steps(2))("it") == set(DISJOINT_TYPES)
