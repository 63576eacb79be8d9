"""Functions as tools: what the model is told, and how its input becomes a call."""

import asyncio
import functools
from typing import Annotated, Any, Literal, NamedTuple, assert_type

import msgspec
import pydantic
import pytest

from antiphon.sdk.json_types.schemas import UnsayableTypeError
from antiphon.sdk.json_types.values import InvalidValueError
from antiphon.sdk.tools.definition import Tool, tool
from antiphon.sdk.tools.results import content_of


class Place(msgspec.Struct):
    city: str
    country: str = "NO"


@tool
def weather(place: Place, unit: Literal["celsius", "kelvin"] = "celsius", days: int = 1) -> str:
    """Look up the weather.

    Args:
        place: Where to look.
        days: How many days.
    """
    return f"{place.city}, {place.country}: {days} days in {unit}"


@tool(name="sum_up", strict=True, cache_control={"type": "ephemeral"}, input_examples=[{"b": 2}])
async def add(a: Annotated[int, "the first one"] = 0, /, *, b: int) -> int:
    """Add two numbers."""
    return a + b


class Account:
    def __init__(self, balance: int) -> None:
        self.balance = balance

    @tool
    def withdraw(self, amount: int) -> int:
        """Take money."""
        return self.balance - amount


def test_model_is_told_name_description_and_schema() -> None:
    assert weather.to_dict() == {
        "name": "weather",
        "description": "Look up the weather.",
        "input_schema": {
            "type": "object",
            "properties": {
                "place": {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string"},
                        "country": {"type": "string", "default": "NO"},
                    },
                    "required": ["city"],
                    "description": "Where to look.",
                },
                "unit": {"enum": ["celsius", "kelvin"], "default": "celsius"},
                "days": {"type": "integer", "description": "How many days.", "default": 1},
            },
            "required": ["place"],
            "additionalProperties": False,
        },
    }


def test_options_are_sent_and_a_strict_schema_is_one_that_can_be_guaranteed() -> None:
    assert add.to_dict() == {
        "name": "sum_up",
        "description": "Add two numbers.",
        "input_schema": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "the first one", "default": 0},
                "b": {"type": "integer"},
            },
            "required": ["b"],
            "additionalProperties": False,
        },
        "strict": True,
        "cache_control": {"type": "ephemeral"},
        "input_examples": [{"b": 2}],
    }


def test_tool_is_still_the_function() -> None:
    assert_type(weather(Place("Oslo"), days=2), str)
    assert weather(Place("Oslo"), days=2) == "Oslo, NO: 2 days in celsius"
    assert weather.__doc__ is not None
    assert weather.name == "weather"


def test_input_becomes_the_arguments() -> None:
    said = weather.call({"place": {"city": "Oslo"}, "days": "3"})
    assert said == "Oslo, NO: 3 days in celsius"


def test_positional_and_named_arguments_are_passed_as_the_function_wants_them() -> None:
    assert add.is_async
    assert asyncio.run(add.call({"b": 2})) == 2
    assert asyncio.run(add.call({"b": 2, "a": 3})) == 5


def test_method_is_the_tool_of_its_instance() -> None:
    account = Account(10)
    assert account.withdraw.to_dict()["input_schema"]["properties"].keys() == {"amount"}
    assert account.withdraw.call({"amount": 3}) == 7
    assert Account(20).withdraw.call({"amount": 3}) == 17
    assert account.withdraw(4) == 6


def test_every_mistake_of_an_input_is_told() -> None:
    with pytest.raises(InvalidValueError) as refused:
        weather.call({"unit": "miles", "day": 1})
    assert str(refused.value) == (
        "place: it is required; "
        'unit: Invalid enum value \'miles\'; it is one of "celsius", "kelvin"; '
        "day: there is no such parameter; there are: place, unit, days"
    )
    with pytest.raises(InvalidValueError, match=r"^place\.city: Expected `str`, got `int`$"):
        weather.call({"place": {"city": 1}})


def test_default_of_none_allows_null() -> None:
    @tool
    def find(text: str = None) -> str | None:  # type: ignore[assignment] # noqa: RUF013
        return text

    assert find.input_schema["properties"]["text"] == {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": None,
    }
    assert find.call({"text": None}) is None


def test_fields_of_pydantic_describe_parameters() -> None:
    @tool
    def find(
        count: Annotated[int, pydantic.Field(gt=0, description="how many")],
        tags: list[str] = pydantic.Field(default_factory=list),  # noqa: B008 - as Pydantic's users do
    ) -> list[str]:
        tags.append(str(count))
        return tags

    assert find.input_schema["properties"]["count"] == {
        "type": "integer",
        "exclusiveMinimum": 0,
        "description": "how many",
    }
    assert find.input_schema["required"] == ["count"]
    assert find.call({"count": 1}) == ["1"]
    assert find.call({"count": 2}) == ["2"]
    with pytest.raises(InvalidValueError, match="count: Input should be greater than 0"):
        find.call({"count": 0})


def test_types_of_the_surrounding_function_are_known() -> None:
    class Here(msgspec.Struct):
        n: int

    def one(here: "Here") -> int:
        return here.n

    assert tool(one).call({"here": {"n": 3}}) == 3


def test_schema_of_its_own_is_sent_and_not_checked() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}

    @tool(input_schema=schema)
    def anything(**given: Any) -> Any:
        return given

    class Point(NamedTuple):
        x: int

    assert anything.input_schema == schema
    assert anything.call({"a": "text"}) == {"a": "text"}
    typed = tool(lambda: None, name="n", input_schema=Point).to_dict()
    assert typed["input_schema"]["type"] == "array"


def test_other_callables_are_tools() -> None:
    class Finder:
        async def __call__(self, text: str) -> str:
            return text

    def join(a: str, b: str) -> str:
        """Join."""
        return a + b

    part = tool(functools.partial(join, b="!"), name="part")
    assert part.call({"a": "x"}) == "x!"
    assert not part.is_async
    assert tool(Finder(), name="find").is_async


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda: tool(_untyped), UnsayableTypeError, "parameter 'text': it has no type; write one"),
        (lambda: tool(_starred), UnsayableTypeError, "parameter 'all': a model names each value"),
        (lambda: tool(_odd), UnsayableTypeError, "tool '_odd', parameter 'n': complex cannot be"),
        (lambda: tool(_lost), UnsayableTypeError, "tool '_lost': its types cannot be resolved"),
        (lambda: tool(lambda: None), ValueError, "'<lambda>' is no name of a tool"),
        (
            lambda: tool(_any, strict=True),
            UnsayableTypeError,
            "tool '_any'.n: a value of any type cannot be guaranteed",
        ),
        (
            lambda: tool(_any, input_examples=[{"n": 1}, {"m": 1}]),
            ValueError,
            r"input_examples\[1\]: n: it is required; m: there is no such parameter",
        ),
        (
            lambda: tool(_any, strickt=True),  # type: ignore[call-overload]
            TypeError,
            "a tool has no option strickt",
        ),
    ],
)
def test_what_cannot_be_a_tool_is_refused_when_it_is_made(
    make: Any, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        make()


def _untyped(text):  # type: ignore[no-untyped-def] # noqa: ANN202
    return text


def _starred(*all: int) -> None:  # noqa: A002
    pass


def _odd(n: complex) -> None:
    pass


def _any(n: Any) -> None:
    pass


def _lost(n: "Nowhere") -> None:  # type: ignore[name-defined] # noqa: F821
    pass


class Person(pydantic.BaseModel):
    name: str


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (None, None),
        ("text", "text"),
        (3, "3"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Place("Oslo"), '{"city":"Oslo","country":"NO"}'),
        (Person(name="Ann"), '{"name":"Ann"}'),
        ([], "[]"),
        ({"type": "text", "text": "a"}, [{"type": "text", "text": "a"}]),
        ([{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}]),
        ({"type": "text"}, '{"type":"text"}'),
        ([{"type": "document", "id": 1}], '[{"type":"document","id":1}]'),
    ],
)
def test_anything_that_has_json_is_a_result(value: Any, content: Any) -> None:
    assert content_of(value) == content


def test_value_without_json_is_no_result() -> None:
    with pytest.raises(TypeError, match="object is no value of JSON"):
        content_of(object())


def test_tool_keeps_the_types_of_its_function() -> None:
    @tool
    def half(n: int) -> float:
        return n / 2

    made: Tool[[int], float] = half
    assert made(3) == 1.5
