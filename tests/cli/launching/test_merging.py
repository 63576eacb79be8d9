"""What is added to a file of settings changes nothing that stands there."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.cli.launching.jsonc import JsoncError, parse
from antiphon.cli.launching.merging import merged, with_item

names = st.sampled_from(["a", "b", "c", 'd"', "e\n"])
trees = st.recursive(
    st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, trees, max_size=4)
COMMENTED = """{
  // The model that I like.
  "model": "opus", // the best
  "env": {
    "A": "mine"  // keep
    // and more
  }
}
"""


def wanted_in(found: Any, wanted: Any) -> Any:
    """Return what a merge has to give, written a second time over plain values."""
    if not (isinstance(found, dict) and isinstance(wanted, dict)):
        return found
    return {
        **found,
        **{
            name: wanted_in(found[name], value) if name in found else value
            for name, value in wanted.items()
        },
    }


@given(objects, objects, st.sampled_from([None, 2, 4]))
def test_merge_adds_what_is_missing_and_nothing_else(
    found: dict[str, Any], wanted: dict[str, Any], indent: int | None
) -> None:
    text = json.dumps(found, indent=indent)
    result = merged(text, wanted)
    assert json.loads(result.text) == wanted_in(found, wanted)
    again = merged(result.text, wanted)
    assert (again.text, again.added) == (result.text, ())
    assert set(again.kept) == set(result.kept)


def test_comments_stay_where_they_are() -> None:
    result = merged(COMMENTED, {"env": {"A": "other", "B": "1"}, "apiKeyHelper": "cat x"})
    assert (
        result.text
        == """{
  // The model that I like.
  "model": "opus", // the best
  "env": {
    "A": "mine",  // keep
    "B": "1"
    // and more
  },
  "apiKeyHelper": "cat x"
}
"""
    )
    assert result.added == (("env", "B"), ("apiKeyHelper",))
    assert result.kept == (("env", "A"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '{\n  "a": 1\n}\n'),
        (" \n", '{\n  "a": 1\n}\n'),
        ("{}", '{\n  "a": 1\n}'),
        ("{\n}\n", '{\n  "a": 1\n}\n'),
        ("{ // none\n}\n", '{ // none\n  "a": 1\n}\n'),
        ('{"b": 2}\n', '{"b": 2, "a": 1}\n'),
        ('{\n\t"b": 2,\n}', '{\n\t"b": 2,\n\t"a": 1\n}'),
        ('{\r\n  "b": 2\r\n}\r\n', '{\r\n  "b": 2,\r\n  "a": 1\r\n}\r\n'),
        ('{\n  "b": 2 /* two */ // it\n}', '{\n  "b": 2, /* two */ // it\n  "a": 1\n}'),
    ],
)
def test_new_setting_is_written_like_those_around_it(text: str, expected: str) -> None:
    result = merged(text, {"a": 1})
    assert result.text == expected
    assert parse(result.text).plain()["a"] == 1


def test_setting_that_is_there_is_told_as_the_same() -> None:
    result = merged('{"a": {"b": [1]}}', {"a": {"b": [1]}})
    assert (result.added, result.same, result.kept) == ((), (("a", "b"),), ())


@pytest.mark.parametrize("text", ["[]", '"x"', "{", "1"])
def test_text_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(JsoncError):
        merged(text, {"a": 1})


ITEM = {"name": "Antiphon", "models": [{"id": "x"}]}


@pytest.mark.parametrize(
    "text", ["", "[]", '[{"name": "Other"}]', '[\n  {"name": "Other"}, // mine\n]\n', "[1]"]
)
def test_item_is_added_behind_the_others(text: str) -> None:
    result = with_item(text, ITEM)
    before = parse(text).plain() if text else []
    assert parse(result.text).plain() == [*before, ITEM]
    assert result.added == (("Antiphon",),)
    assert with_item(result.text, ITEM).same == (("Antiphon",),)


def test_item_of_the_same_name_is_kept() -> None:
    text = '[{"name": "Antiphon", "models": []}]'
    result = with_item(text, ITEM)
    assert (result.text, result.kept) == (text, (("Antiphon",),))


@pytest.mark.parametrize("text", ["{}", "1", "["])
def test_text_that_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(JsoncError):
        with_item(text, ITEM)
