from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.spelling import DEPTH, JSON, Quotes, Spelling, in_order

PYTHON = Spelling(true="True", false="False", null="None", quotes=Quotes("'", "'", "python"))
RAW = Spelling(
    null="None",
    quotes=Quotes('<|"|>', '<|"|>', "none"),
    comma=",",
    colon=":",
    bare_keys=True,
    sorts=True,
)
COMPACT = Spelling(comma=",", colon=":")
INDENTED = Spelling(indent=4, level=2)

names = st.text("abcXYZ_", min_size=1, max_size=4)
texts = st.text("ab'\" \n\\,:[]{}é漢", max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.sampled_from([0.5, -2.25]) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "spelling",
    [JSON, COMPACT, PYTHON, RAW, INDENTED],
    ids=["json", "compact", "python", "raw", "indented"],
)
@given(values)
def test_what_is_written_is_read(spelling: Spelling, value: Any) -> None:
    assert spelling.read(spelling.write(value)) == value


odd = st.text("aZ<|\"|>:,{}[]' \n", max_size=5) | st.sampled_from(['<|"|>', 'a<|"|>', "<|"])
odd_values = st.recursive(
    st.none() | st.integers(0, 9) | odd,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(odd, inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("spelling", [JSON, PYTHON, RAW])
@given(odd_values)
def test_what_can_be_written_is_read(spelling: Spelling, value: Any) -> None:
    if spelling.can_write(value):
        assert spelling.read(spelling.write(value)) == value
    else:
        assert spelling == RAW


def test_mark_in_a_text_without_escapes_cannot_be_written() -> None:
    assert RAW.can_write({"a": ['<"|>', {"b_1": "it's"}]})
    assert not RAW.can_write({"a": ['<|"|>']})
    assert not RAW.can_write({"a:b": 1})
    assert not RAW.can_write({"": 1})
    assert not Spelling(quotes=Quotes("#", "#", "none")).can_name("a#")


def test_each_spelling_has_its_words_and_quotes() -> None:
    value = {"b": ["it's", 1, None], "A": {"c": True}}
    assert JSON.write(value) == '{"b": ["it\'s", 1, null], "A": {"c": true}}'
    assert PYTHON.write(value) == repr(value)
    assert RAW.write(value) == '{A:{c:true},b:[<|"|>it\'s<|"|>,1,None]}'
    assert [RAW.word(one) for one in (True, False, None)] == ["true", "false", "None"]


def test_numbers_are_those_of_json() -> None:
    assert [RAW.write(one) for one in (-7, 2.5, 1e300)] == ["-7", "2.5", "1e+300"]
    assert PYTHON.write({"at": [1]}) == "{'at': [1]}"


def test_lines_are_indented_by_how_deep_the_value_stands() -> None:
    value = {"a": [1, "two\nlines"], "b": {}}
    lines = INDENTED.write(value).split("\n")
    assert lines[0] == "{"
    assert lines[1:3] == ['            "a": [', "                1,"]
    assert lines[-2:] == ['            "b": {}', "        }"]
    assert Spelling(indent=1).write([1]) == "[\n 1\n]"
    assert INDENTED.write({}) == "{}"


def test_each_spelling_is_read() -> None:
    value = {"b": ["its", "it's", 1, None], "A": {"c": True}, "d": [False, -2.5e3, []]}
    for spelling in (JSON, COMPACT, PYTHON, RAW, INDENTED):
        assert spelling.read(spelling.write(value)) == value


def test_names_are_in_order_whatever_their_case() -> None:
    assert in_order(["b", "A", "a", "C"]) == ["A", "a", "b", "C"]


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        (JSON, ""),
        (JSON, "tru"),
        (JSON, '"open'),
        (JSON, "[1; 2]"),
        (JSON, '{"a" 1}'),
        (JSON, "{a: 1}"),
        (JSON, "1 2"),
        (JSON, "[" * (DEPTH + 2)),
        (PYTHON, "'open"),
        (PYTHON, "'a\nb'"),
        (PYTHON, r"'\x'"),
        (PYTHON, r"'\/'"),
        (RAW, '<|"|>open'),
        (RAW, "plain"),
        (RAW, "{a b:1}"),
        (RAW, "{a"),
    ],
)
def test_what_is_no_value_is_refused(spelling: Spelling, text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        spelling.read(text)
