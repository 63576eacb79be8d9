import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.wire.partial_json import completed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\\\{[,:', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text('ab\\"', max_size=2), JSON, max_size=4)


@given(OBJECTS)
def test_a_whole_object_comes_back_as_it_is(value: dict[str, object]) -> None:
    text = json.dumps(value)
    assert completed(text) == text


@given(OBJECTS, st.integers(0, 200))
def test_an_object_cut_anywhere_is_an_object(value: dict[str, object], end: int) -> None:
    cut = json.loads(completed(json.dumps(value)[:end]))
    assert isinstance(cut, dict)
    assert list(cut) == list(value)[: len(cut)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "{}"),
        ("nonsense", "{}"),
        ('{"a": 12', "{}"),
        ('{"a": 12,', '{"a": 12}'),
        ('{"a": [1, {"b": "c', '{"a": [1, {}]}'),
        ('{"a": 1}]', '{"a": 1}'),
        ('{"a": 1]', '{"a": 1}'),
        ('{"a": "x"} and more', '{"a": "x"}'),
    ],
)
def test_complete_values_of_cut_json_are_kept(text: str, expected: str) -> None:
    assert completed(text) == expected


def test_long_text_costs_no_copy_for_each_token() -> None:
    """With a copy of the text for each token, this would copy 200 gigabytes."""
    text = '{"a": [' + '"word", ' * 200_000
    assert completed(text) == '{"a": [' + ", ".join(['"word"'] * 200_000) + "]}"
