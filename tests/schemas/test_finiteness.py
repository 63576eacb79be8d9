from typing import Any

import pytest

from antiphon.schemas.alternatives import Alternatives
from antiphon.schemas.document import Document
from antiphon.schemas.finiteness import Finiteness

SELF = {"$ref": "#"}


def has_finite_value(schema: Any) -> bool:
    document = Document(schema)
    finiteness = Finiteness(document, Alternatives(document))
    view = document.of(schema)
    assert finiteness.has_finite_value(view) is finiteness.has_finite_value(view)
    return finiteness.has_finite_value(view)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": SELF}},
        {"type": "array", "items": SELF},
        {"type": "array", "items": SELF, "prefixItems": [{}], "minItems": 1},
        {"type": ["object", "null"], "properties": {"a": SELF}, "required": ["a"]},
        {"type": ["object", "array"], "properties": {"a": SELF}, "required": ["a"]},
        {"anyOf": [SELF, {"type": "null"}]},
        {"type": "object", "required": ["a"], "properties": {"a": {"anyOf": [SELF, {"const": 1}]}}},
        {"const": {"a": 1}, "type": "object", "properties": {"a": SELF}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "required": ["a"],
         "$defs": {"b": {"type": "array", "items": {"$ref": "#/$defs/b"}}}},
        {"minimum": 3, "required": ["a"], "type": "number", "properties": {"a": SELF}},
    ],
)  # fmt: skip
def test_schema_has_a_finite_value(schema: Any) -> None:
    assert has_finite_value(schema)


@pytest.mark.parametrize(
    "schema",
    [
        False,
        SELF,
        {"anyOf": [SELF]},
        {"type": "object", "properties": {"a": SELF}, "required": ["a"]},
        {"properties": {"a": SELF}, "required": ["a"]},
        {"type": "array", "items": SELF, "minItems": 1},
        {"type": "array", "items": SELF, "prefixItems": [{}], "minItems": 5},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "required": ["a"],
         "$defs": {"b": {"type": "array", "items": SELF, "minItems": 1}}},
        # The required property is declared beside the reference.
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/b", "required": ["c"]}},
         "required": ["a"],
         "$defs": {"b": {"type": "object", "properties": {
             "c": {"$ref": "#/$defs/b", "required": ["c"]}}}}},
    ],
)  # fmt: skip
def test_schema_that_requires_itself_has_no_finite_value(schema: Any) -> None:
    assert not has_finite_value(schema)


def test_chain_of_definitions_takes_linear_steps() -> None:
    taken: list[int] = []
    for count in (100, 200):
        parts = {
            f"d{n}": {"type": "object", "required": ["a"], "properties": {
                "a": {"$ref": f"#/$defs/d{n + 1}"}}}
            for n in range(count)
        }  # fmt: skip
        document = Document({"$defs": {**parts, f"d{count}": {"type": "null"}}})
        finiteness = Finiteness(document, Alternatives(document))
        assert finiteness.has_finite_value(document.of({"$ref": "#/$defs/d0"}))
        taken.append(document.steps.taken)
    assert taken[1] < 2.2 * taken[0]
