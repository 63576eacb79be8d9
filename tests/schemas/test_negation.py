from typing import Any

import pytest

from antiphon.schemas.document import Document
from antiphon.schemas.negation import apply_negations, is_negatable


def negate(schema: Any) -> tuple[Any, tuple[str, ...], set[str]]:
    document, unenforced = Document(schema), set[str]()
    view, strings = apply_negations(document, document.of(schema), unenforced)
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
def test_negated_types_are_removed(schema: Any, types: Any) -> None:
    view, strings, unenforced = negate(schema)
    assert view.types == types
    assert not strings
    assert not unenforced


@pytest.mark.parametrize(
    "schema", [{"not": {}}, {"not": True}, {"type": "null", "not": {"type": ["null", "string"]}}]
)
def test_view_whose_negation_rejects_all_is_none(schema: Any) -> None:
    assert negate(schema) == (None, (), set())


def test_negated_strings_are_returned() -> None:
    _, strings, unenforced = negate({"type": "string", "not": {"enum": ["a", 1, "b"]}})
    assert strings == ("a", "b")
    assert not unenforced
    assert negate({"not": {"enum": ["a", 1]}})[1:] == (("a",), {"not"})


def test_negated_required_property_becomes_impossible() -> None:
    view, _, unenforced = negate(
        {"type": "object", "not": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}}
    )
    assert view.properties[-1][0].named == {"a": False, "b": False}
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
def test_negation_that_cannot_be_rewritten_is_unenforced(schema: Any) -> None:
    view, _, unenforced = negate(schema)
    assert unenforced == {"not"}
    assert view is not None


@pytest.mark.parametrize(
    ("schema", "negatable"),
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
def test_only_simple_views_are_negatable(schema: Any, negatable: Any) -> None:
    assert is_negatable(Document({}).of(schema)) is negatable
