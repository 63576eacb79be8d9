from typing import Any

import pytest

from antiphon.schemas.document import Document
from antiphon.schemas.negation import can_be_denied, permitted


def left(schema: Any) -> tuple[Any, tuple[str, ...], set[str]]:
    document, unenforced = Document(schema), set[str]()
    view, strings = permitted(document, document.of(schema), unenforced)
    return view, strings, unenforced


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({"type": ["string", "null"], "not": {"type": "null"}}, ("string",)),
        ({"not": {"type": ["null", "object"]}}, ("array", "string", "boolean", "number")),
        ({"type": ["integer", "null"], "not": {"type": "number"}}, ("null",)),
        ({"type": "string", "not": False}, ("string",)),
        ({"type": ["string", "null"], "not": {"anyOf": [{"type": "null"}, False]}}, ("string",)),
        ({"type": ["string", "null"], "not": {"type": "null", "title": "T"}}, ("string",)),
    ],
)
def test_types_are_left_out(schema: Any, types: Any) -> None:
    view, strings, unenforced = left(schema)
    assert view.types == types
    assert not strings
    assert not unenforced


@pytest.mark.parametrize(
    "schema", [{"not": {}}, {"not": True}, {"type": "null", "not": {"type": ["null", "string"]}}]
)
def test_nothing_is_left_of_what_forbids_all(schema: Any) -> None:
    assert left(schema) == (None, (), set())


def test_strings_are_forbidden_one_by_one() -> None:
    _, strings, unenforced = left({"type": "string", "not": {"enum": ["a", 1, "b"]}})
    assert strings == ("a", "b")
    assert not unenforced
    assert left({"not": {"enum": ["a", 1]}})[1:] == (("a",), {"not"})


def test_property_is_left_out_of_objects() -> None:
    view, _, unenforced = left(
        {"type": "object", "not": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}}
    )
    assert view.parts[-1][0].named == {"a": False, "b": False}
    assert not unenforced


@pytest.mark.parametrize(
    "schema",
    [
        {"not": {"required": ["a"]}},
        {"type": "object", "not": {"required": ["a", "b"]}},
        {"not": {"minimum": 1}},
        {"not": {"enum": ["a"], "minLength": 1}},
        {"not": {"$ref": "#/nowhere"}},
        {"type": "number", "not": {"type": "integer"}},
    ],
)
def test_what_cannot_be_said_is_named(schema: Any) -> None:
    view, _, unenforced = left(schema)
    assert unenforced == {"not"}
    assert view is not None


@pytest.mark.parametrize(
    ("schema", "can"),
    [
        ({}, True),
        ({"type": "null"}, True),
        ({"required": ["a"], "type": "object"}, True),
        ({"required": ["a", "b"]}, False),
        ({"const": 1}, False),
        ({"minimum": 1}, False),
        (False, False),
    ],
)
def test_little_can_be_denied(schema: Any, can: Any) -> None:
    assert can_be_denied(Document({}).of(schema)) is can
