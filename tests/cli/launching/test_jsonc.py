"""JSON with comments is read as editors read it, and everything else is refused with its line."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.cli.launching.jsonc import JsoncError, parse

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(-1e9, 1e9, allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
SETTINGS = """\ufeff// Settings of an editor.
{
    "a": 1, // one
    /* two
       lines */ "b": [true, null, -1.5e3,],
    "c": {"d": "x // no comment", "e\\u0041": {}, },
}
"""


@given(values, st.sampled_from([None, 1, 4]))
def test_plain_json_is_read_as_it_is(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    node = parse(text)
    assert node.plain() == value
    assert text[node.start : node.end] == text


def test_comments_and_trailing_commas_are_passed_over() -> None:
    assert parse(SETTINGS).plain() == {
        "a": 1,
        "b": [True, None, -1500],
        "c": {"d": "x // no comment", "eA": {}},
    }


def test_last_of_two_members_of_one_name_counts() -> None:
    assert parse('{"a": 1, "b": 2, "a": 3}').plain() == {"b": 2, "a": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: a value is expected here"),
        ("{", 'line 1: a name in quotes and a ":" are expected here'),
        ('{\n"a" 1}', 'line 2: a name in quotes and a ":" are expected here'),
        ('{"a": 1\n"b": 2}', 'line 2: a "," or a "}" is expected here'),
        ("{,}", 'line 1: a name in quotes and a ":" are expected here'),
        ("[1\n2]", 'line 2: a "," or a "]" is expected here'),
        ("[,]", "line 1: a value is expected here"),
        ('{"a": "x\n"}', "line 1: this text has no end, or a wrong escape"),
        ('{"a": "\\q"}', "line 1: this text has no end, or a wrong escape"),
        ("01", "line 1: 01 is no number"),
        ("nul", "line 1: a value is expected here"),
        ("{}\n{}", "line 2: something stands behind the value"),
        ("/* open", "line 1: a value is expected here"),
        ("[" * 101 + "]" * 101, "line 1: this is nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(JsoncError) as error:
        parse(text)
    assert str(error.value) == said


@given(st.text('{}[],:"/*\\ \na1'))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(JsoncError):
        parse(text).plain()
