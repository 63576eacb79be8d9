"""Values of Python types, made of JSON."""

import contextlib
import dataclasses
import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.sdk.json_types.schemas import UnsayableTypeError
from antiphon.sdk.json_types.values import InvalidValueError, JsonType, Problem
from support.examples import examples


class Unit(Enum):
    KELVIN = "kelvin"
    CELSIUS = "celsius"


class Item(msgspec.Struct):
    price: int
    unit: Unit = Unit.KELVIN


@dataclasses.dataclass
class Circle:
    radius: float


class Square(TypedDict):
    side: float


class Person(pydantic.BaseModel):
    age: int


class Holder(msgspec.Struct):
    person: Person
    folder: Path | None = None


class Span(NamedTuple):
    first: int
    last: int


@pytest.mark.parametrize(
    ("annotation", "value", "made"),
    [
        (int, 3, 3),
        (int, "3", 3),
        (int, 3.0, 3),
        (bool, "true", True),
        (str | None, "null", "null"),
        (int | None, "null", None),
        (str, "3", "3"),
        (list[int], "[1, 2]", [1, 2]),
        (list[int] | str, "[1, 2]", "[1, 2]"),
        (Unit, "celsius", Unit.CELSIUS),
        (Span, [1, 2], Span(1, 2)),
        (Holder, {"person": {"age": 3}, "folder": "/a"}, Holder(Person(age=3), Path("/a"))),
        (list[Person], [{"age": "4"}], [Person(age=4)]),
        (Circle | Square, {"side": 2.0}, {"side": 2.0}),
        (list[Circle | Square], [{"radius": 1}, {"side": 2}], [Circle(1), {"side": 2}]),
        (dict[str, Circle | Square], {"a": {"radius": 1}}, {"a": Circle(1)}),
        (Annotated[Circle | Square | None, "a shape"], None, None),
    ],
)
def test_value_becomes_one_of_the_type(annotation: Any, value: Any, made: Any) -> None:
    kind: JsonType[Any] = JsonType(annotation)
    assert kind.convert(value) == made
    assert kind.decode(json.dumps(value)) == made


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (int, "three", "Expected `int`, got `str`"),
        (Item, {}, "Object missing required field `price`"),
        (list[Item], [{"price": 1}, {"price": "x"}], "[1].price: Expected `int`, got `str`"),
        (
            Item,
            {"price": 1, "unit": "miles"},
            'unit: Invalid enum value \'miles\'; it is one of "kelvin", "celsius"',
        ),
        (
            Literal["a"] | None,
            "b",
            "Invalid enum value 'b'; it is one of \"a\"",
        ),
        (
            Person,
            {"age": "old"},
            "age: Input should be a valid integer, unable to parse string as an integer",
        ),
        (list[Person], [{}], "[0].age: Field required"),
        (Holder, {"person": {}}, "person: age: Field required"),
        (
            list[Circle | Square],
            [{"radius": 1}, {"x": 1}],
            (
                "[1]: it fits none of its 2 types (Object missing required field `radius`; "
                "Object missing required field `side`)"
            ),
        ),
        (
            dict[str, Circle | Square],
            {"a": []},
            (
                "a: it fits none of its 2 types (Expected "
                "`object`, got `array`; Expected `object`, got `array`)"
            ),
        ),
        (list[Circle | Square], {}, "Expected `array`, got `object`"),
        (dict[str, Circle | Square], 1, "Expected `object`, got `int`"),
    ],
)
def test_value_that_does_not_fit_names_the_place(annotation: Any, value: Any, said: str) -> None:
    kind: JsonType[Any] = JsonType(annotation)
    with pytest.raises(InvalidValueError) as refused:
        kind.convert(value)
    assert str(refused.value) == said
    with pytest.raises(InvalidValueError) as refused:
        kind.decode(json.dumps(value))
    assert str(refused.value) == said


@pytest.mark.parametrize("annotation", [int, list[Circle | Square]])
def test_text_that_is_no_json_is_refused(annotation: Any) -> None:
    with pytest.raises(InvalidValueError, match="it is not JSON") as refused:
        JsonType[Any](annotation).decode('{"a": ')
    assert refused.value.problems[0].path == ""


def test_every_problem_that_pydantic_finds_is_told() -> None:
    with pytest.raises(InvalidValueError) as refused:
        JsonType[Any](list[Person]).convert([{}, {}])
    assert refused.value.problems == (
        Problem("[0].age", "Field required"),
        Problem("[1].age", "Field required"),
    )


def test_union_within_a_class_is_refused_when_the_type_is_read() -> None:
    class Drawing(msgspec.Struct):
        shape: Circle | Item

    with pytest.raises(UnsayableTypeError, match="the output: Type unions may not contain more"):
        JsonType[Any](Drawing, "the output")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=examples(4))
@given(JSON, st.sampled_from([Item, Person, Holder, Circle | Square, list[Unit], dict[str, Span]]))
def test_any_value_is_made_or_is_refused(value: Any, annotation: Any) -> None:
    with contextlib.suppress(InvalidValueError):
        JsonType[Any](annotation).convert(value)
