"""Nested elements are read as JSON while they come, wherever they are cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.token.notation.nested_reader import NestedReader
from antiphon.schemas.element_types import PartTypes
from antiphon.schemas.steps import Steps
from support.elements import NESTED

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "code": {"type": ["string", "integer"]},
        "count": {"type": "integer"},
        "score": {"type": "number"},
        "sure": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "string"}},
        "grid": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "deep": {
            "type": "object",
            "properties": {"note": {"type": ["string", "null"]}, "item": {"type": "string"}},
            "required": ["note"],
        },
        "any": {},
    },
}
CLOSERS = ("[ns]</invoke>", "[ns]</invoke>[ns]<invoke ")


def reader(schema: Any = SCHEMA) -> NestedReader:
    return NestedReader(NESTED, PartTypes.of(schema, Steps()), CLOSERS)


def read(text: str, schema: Any = SCHEMA) -> tuple[str, str]:
    """Read a text at once; return the JSON and what is left."""
    found = reader(schema).read(text)
    assert found.ended
    return found.json, text[found.length :]


VALUES: list[dict[str, Any]] = [
    {},
    {"text": ""},
    {"text": 'a "b"\\ \n[ns] <c>', "count": -7, "score": 2.5, "sure": False},
    {"code": "x"},
    {"code": 7},
    {"list": ["a", "", "7"], "grid": [[1, 2], [], [3]]},
    {"list": []},
    {"deep": {"note": "n", "item": "i"}, "text": "t"},
    {"deep": {"note": None}},
    {"any": {"a": [1, "x", {"b": True}]}},
    {"any": ["x", ["y"]]},
    {"any": 1.5, "text": "true"},
]


@pytest.mark.parametrize("value", VALUES)
def test_what_is_written_is_read(value: dict[str, Any]) -> None:
    given_, rest = read(NESTED.write(value) + CLOSERS[0])
    assert json.loads(given_) == value
    assert rest == CLOSERS[0]


@given(st.sampled_from(VALUES), st.lists(st.integers(0, 400), max_size=20))
def test_reading_does_not_depend_on_where_a_text_is_cut(
    value: dict[str, Any], cuts: list[int]
) -> None:
    text = NESTED.write(value) + CLOSERS[1]
    whole, rest = read(text)
    found, held, written = reader(), "", ""
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    for start, end in zip([0, *ends], ends, strict=False):
        held += text[start:end]
        step = found.read(held)
        held, written = held[step.length :], written + step.json
    assert (written, held) == (whole, rest)


def test_text_is_passed_on_as_it_comes() -> None:
    found = reader()
    assert found.read("[ns]<te").json == ""
    assert found.read("[ns]<text>Par").json == '{"text": "Par'
    assert found.read("is[ns]").json == "is"
    assert found.read("[ns]</te").json == '"'
    assert found.read("[ns]</text>[ns]</invoke>").json == "}"


def test_name_behind_a_value_may_be_another_one() -> None:
    assert read("[ns]<text>a[ns]</txt>[ns]</invoke>")[0] == '{"text": "a"}'


def test_value_without_a_text_is_what_its_schema_allows() -> None:
    of = {
        "s": {"type": ["string", "array"]},
        "l": {"type": "array"},
        "o": {"type": "object", "properties": {"n": {"type": "null"}}, "required": ["n"]},
        "e": {"type": ["object", "array"]},
        "i": {"type": "integer"},
    }
    text = "".join(f"[ns]<{name}>[ns]</{name}>" for name in of)
    given_, _ = read(text + CLOSERS[0], {"properties": of})
    assert json.loads(given_) == {"s": "", "l": [], "o": {"n": None}, "e": {}, "i": ""}


def test_elements_are_what_the_schema_of_their_place_says() -> None:
    listed = "[ns]<a>[ns]<item>x[ns]</item>[ns]</a>[ns]</invoke>"
    for kind, value in (("object", {"item": "x"}), ("array", ["x"]), ("string", ["x"])):
        schema = {"properties": {"a": {"type": [kind, "null"]}}}
        assert json.loads(read(listed, schema)[0]) == {"a": value}


def test_what_is_no_element_ends_the_arguments() -> None:
    assert read("what?") == ("{}", "what?")
    found = reader()
    assert found.read("[ns]<deep>[ns]<note>a[ns]</note>what?").ended is False
    assert reader().read("[ns]<count>7[ns]<b>").json == '{"count": 7'


def test_value_that_may_be_a_text_is_held_once() -> None:
    found = reader()
    assert found.read("[ns]<any>").json == '{"any": '
    for _ in range(3):
        step = found.read("x<y[")
        assert (step.length, step.json) == (3, "")
    assert found.read("[ns]</any>[ns]</invoke>").json == '"x<yx<yx<y"}'
