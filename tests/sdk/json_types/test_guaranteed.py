"""Schemas as the API guarantees them."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.schemas.allowed import check_schema
from antiphon.sdk.json_types.guaranteed import transform_schema
from antiphon.sdk.json_types.schemas import UnsayableTypeError
from antiphon.sdk.json_types.values import JsonType
from support.examples import examples


class Review(msgspec.Struct):
    stars: Annotated[int, msgspec.Meta(ge=1, le=5, description="How good.")]
    tags: Annotated[list[str], msgspec.Meta(min_length=2)]
    code: Annotated[str, msgspec.Meta(pattern=r"^(?=a)")]
    place: tuple[int, str]


class Node(msgspec.Struct):
    below: "Node | None" = None


def test_what_is_not_guaranteed_is_told() -> None:
    assert transform_schema(Review) == {
        "type": "object",
        "properties": {
            "stars": {"type": "integer", "description": "How good. (minimum: 1; maximum: 5)"},
            "tags": {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "description": "(minItems: 2)",
            },
            "code": {"type": "string", "description": "(pattern: ^(?=a))"},
            "place": {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "minItems": 1,
                "description": '(minItems: 2; maxItems: 2; in this order: ["integer","string"])',
            },
        },
        "required": ["stars", "tags", "code", "place"],
        "additionalProperties": False,
    }


def test_schema_of_the_caller_is_left_as_it_is() -> None:
    own = {
        "type": "object",
        "definitions": {"A": {"type": "string", "maxLength": 3}},
        "properties": {
            "a": {"allOf": [{"$ref": "#/definitions/A"}]},
            "b": {"oneOf": [{"type": "string", "format": "color"}, {"type": "null"}]},
        },
    }
    before = msgspec.json.encode(own)
    assert transform_schema(own) == {
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/A"},
            "b": {
                "anyOf": [{"type": "string", "description": "(format: color)"}, {"type": "null"}]
            },
        },
        "additionalProperties": False,
        "$defs": {"A": {"type": "string", "description": "(maxLength: 3)"}},
    }
    assert msgspec.json.encode(own) == before


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (dict[str, int], "the output: an object of any keys"),
        (list[Any], "the output: an array of anything"),
        (list[int | Any], r"the output\[\]\.anyOf\[1\]: a value of any type"),
        (Node, "Node holds values of its own type"),
        ({"type": "object", "properties": {"a": {}}}, r"the output\.a: a value of any type"),
        ({"$ref": "https://example.com/s"}, "is no definition of the schema"),
        ({"anyOf": [True]}, "True is no schema"),
    ],
)
def test_what_cannot_be_guaranteed_is_refused_with_its_place(annotation: Any, said: str) -> None:
    with pytest.raises(UnsayableTypeError, match=said):
        transform_schema(annotation)


LEAVES: list[Any] = [
    *(int, float, bool, str, None, bytes, Literal["a", 1], Literal["only"]),
    Annotated[int, msgspec.Meta(ge=1, multiple_of=2)],
    Annotated[str, msgspec.Meta(min_length=1, pattern=r"^\d{2,4}-[a-z]+$")],
    Annotated[str, msgspec.Meta(pattern=r"\bword\b")],
]


def _struct(kinds: list[Any]) -> Any:
    return msgspec.defstruct("S", [(f"f{at}", one) for at, one in enumerate(kinds)])


def _dataclass(kinds: list[Any]) -> Any:
    return dataclasses.make_dataclass("D", [(f"f{at}", one) for at, one in enumerate(kinds)])


def _typed_dict(kinds: list[Any]) -> Any:
    return TypedDict("TD", {f"f{at}": one for at, one in enumerate(kinds)})  # type: ignore[misc]


def _named_tuple(kinds: list[Any]) -> Any:
    return NamedTuple("NT", [(f"f{at}", one) for at, one in enumerate(kinds)])  # type: ignore[misc]


CLASSES: list[Callable[[list[Any]], Any]] = [_struct, _dataclass, _typed_dict, _named_tuple]
TYPES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        inner.map(lambda one: list[one]),  # type: ignore[valid-type]
        inner.map(lambda one: one | None if one is not None else None),
        st.tuples(inner, inner).map(lambda two: tuple[two[0], two[1]]),  # type: ignore[valid-type]
        st.builds(
            lambda make, kinds: make(kinds),
            st.sampled_from(CLASSES),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=examples(4))
@given(TYPES)
def test_server_guarantees_what_is_left(annotation: Any) -> None:
    check_schema(transform_schema(JsonType[Any](annotation).schema), "format.schema")


class Name(pydantic.BaseModel):
    first: Annotated[str, pydantic.Field(max_length=3)]
    age: int = pydantic.Field(0, gt=-1)


class Family(pydantic.BaseModel):
    names: list[Name]
    head: Name | None


@pytest.mark.parametrize("annotation", [Family, list[Name], Name | None])
def test_server_guarantees_what_is_left_of_models_of_pydantic(annotation: Any) -> None:
    check_schema(transform_schema(annotation), "format.schema")


def test_model_of_pydantic_beside_a_struct_is_refused() -> None:
    with pytest.raises(UnsayableTypeError, match="the output: Unable to generate"):
        transform_schema(Name | Review)
