"""The schemas of Python types."""

import dataclasses
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import msgspec
import pydantic
import pytest

from antiphon.sdk.json_types.schemas import UnsayableTypeError, schema_of

T = TypeVar("T")
Meters = NewType("Meters", float)


class Color(Enum):
    """What it looks like."""

    RED = "red"
    BLUE = "blue"


class Point(NamedTuple):
    x: int
    y: int = 0


class Tree(msgspec.Struct):
    """A tree.

    Attributes:
        label: What it says.
    """

    label: str
    children: list["Tree"] = []


@dataclasses.dataclass
class Size:
    width: Annotated[int, "in pixels"]
    depth: float = 2.0
    area: int = dataclasses.field(init=False, default=0)


class Movie(TypedDict, total=False):
    title: Required[str]
    year: NotRequired[int]


class Cat(msgspec.Struct, tag="cat", rename="camel", forbid_unknown_fields=True):
    paw_count: int


class Dog(msgspec.Struct, tag="dog"):
    name: str | msgspec.UnsetType = msgspec.UNSET


class Pair(msgspec.Struct, Generic[T], array_like=True):
    left: T
    right: T


class Person(pydantic.BaseModel):
    """Somebody."""

    title: str
    age: int = pydantic.Field(gt=0, description="in years")


class Family(msgspec.Struct):
    parent: Person
    child: Person


SCHEMAS: list[tuple[Any, dict[str, Any]]] = [
    (None, {"type": "null"}),
    (bool, {"type": "boolean"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (Any, {}),
    (Meters, {"type": "number"}),
    (bytes, {"type": "string", "contentEncoding": "base64"}),
    (datetime, {"type": "string", "format": "date-time"}),
    (UUID, {"type": "string", "format": "uuid"}),
    (Path, {"type": "string"}),
    (Literal["one"], {"type": "string", "const": "one"}),
    (Literal["b", "a", 1], {"enum": ["b", "a", 1]}),
    (Color, {"enum": ["red", "blue"], "description": "What it looks like."}),
    (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    (list, {"type": "array"}),
    (Sequence[int], {"type": "array", "items": {"type": "integer"}}),
    (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
    (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
    (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    (Mapping[Color, Any], {"type": "object"}),
    (Annotated[str, "a word"], {"type": "string", "description": "a word"}),
    (
        Annotated[list[int], msgspec.Meta(min_length=1, max_length=3, title="t")],
        {"type": "array", "items": {"type": "integer"}, "title": "t", "minItems": 1, "maxItems": 3},
    ),
    (
        Point,
        {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "prefixItems": [{"type": "integer"}, {"type": "integer", "default": 0}],
        },
    ),
    (
        Size,
        {
            "type": "object",
            "properties": {
                "width": {"type": "integer", "description": "in pixels"},
                "depth": {"type": "number", "default": 2.0},
            },
            "required": ["width"],
        },
    ),
    (
        Movie,
        {
            "type": "object",
            "properties": {"title": {"type": "string"}, "year": {"type": "integer"}},
            "required": ["title"],
        },
    ),
    (
        Cat | Dog,
        {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string", "const": "cat"},
                        "pawCount": {"type": "integer"},
                    },
                    "required": ["type", "pawCount"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {
                        "type": {"type": "string", "const": "dog"},
                        "name": {"type": "string"},
                    },
                    "required": ["type"],
                },
            ]
        },
    ),
    (
        Pair[Decimal],
        {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "prefixItems": [{"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}] * 2,
        },
    ),
    (
        Annotated[int, pydantic.Field(gt=3, description="many")],
        {"type": "integer", "exclusiveMinimum": 3, "description": "many"},
    ),
]
TREE = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "description": "What it says."},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
    },
    "required": ["label"],
    "description": "A tree.",
}
PERSON = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "age": {"type": "integer", "exclusiveMinimum": 0, "description": "in years"},
    },
    "required": ["title", "age"],
    "description": "Somebody.",
}


@pytest.mark.parametrize(("annotation", "schema"), SCHEMAS)
def test_schema_says_the_type(annotation: Any, schema: dict[str, Any]) -> None:
    assert schema_of(annotation) == schema


def test_class_within_itself_is_a_definition() -> None:
    assert schema_of(Tree) == {**TREE, "$defs": {"Tree": TREE}}
    assert schema_of(list[Tree]) == {
        "type": "array",
        "items": {"$ref": "#/$defs/Tree"},
        "$defs": {"Tree": TREE},
    }


def test_class_that_is_used_once_stands_where_it_is_used() -> None:
    assert schema_of(list[Size])["items"] == schema_of(Size)


def test_class_that_is_used_twice_is_a_definition() -> None:
    schema = schema_of(Family)
    assert schema["properties"]["parent"] == {"$ref": "#/$defs/Person"}
    assert schema["$defs"] == {"Person": PERSON}
    assert schema_of(Person) == PERSON


def test_two_classes_of_one_name_are_two_definitions() -> None:
    def other() -> Any:
        class Size(msgspec.Struct):
            grams: int

        return Size

    another = other()
    schema = schema_of(tuple[Size, Size, another, another])
    assert list(schema["$defs"]) == ["Size", "Size_2"]


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (complex, "the type: complex cannot be written in a JSON schema"),
        (dict[int, str], "the type: the keys of a JSON object are texts"),
        (list[complex], "the type[]: complex cannot be written in a JSON schema"),
        (dict[str, object], "the type{}: object cannot be written in a JSON schema"),
    ],
)
def test_type_without_json_is_refused_with_its_place(annotation: Any, said: str) -> None:
    with pytest.raises(UnsayableTypeError) as refused:
        schema_of(annotation)
    assert str(refused.value) == said


def test_field_without_json_is_refused_with_its_class() -> None:
    class Wrong(msgspec.Struct):
        at: date
        number: list[complex]

    with pytest.raises(UnsayableTypeError, match=r"Wrong\.number\[\]: complex"):
        schema_of(Wrong)


def test_name_that_cannot_be_resolved_is_refused() -> None:
    class Lost(TypedDict):
        other: "Nowhere"  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(UnsayableTypeError, match="Lost cannot be resolved: name 'Nowhere'"):
        schema_of(Lost)


def test_pydantic_stays_out_until_a_type_is_its_own() -> None:
    program = (
        "import sys, msgspec\n"
        "from antiphon.sdk.json_types.values import JsonType\n"
        "class A(msgspec.Struct):\n    n: int\n"
        "assert JsonType(A).convert({'n': 1}) == A(1)\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
