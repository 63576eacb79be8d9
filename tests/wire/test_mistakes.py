from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from antiphon.wire.mistakes import MOST_NAMES, did_you_mean, explained


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Part(msgspec.Struct, forbid_unknown_fields=True):
    colour: Colour = Colour.RED
    size: Literal["small", "large"] = "small"
    shade: Colour | int = 1


class Needs(msgspec.Struct):
    it: int


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[Part] = []
    one: Part | None = None
    named: dict[str, Part] = {}
    count: Annotated[int, Meta(ge=1)] = 1
    both: Annotated[tuple[Part, ...], Meta(max_length=2)] = ()
    port: Annotated[int, Meta(ge=0, le=65535)] = 1
    pause: Annotated[float, Meta(gt=0, le=10)] = 1.0
    id: Annotated[str, Meta(min_length=1, max_length=128)] = "x"
    host: str = "x"
    place: Annotated[str, Meta(min_length=1)] = "x"
    on: bool = False
    price: Decimal | None = None
    day: date | None = None
    needs: Needs | None = None


NAMES = ", ".join(Whole.__struct_fields__[:MOST_NAMES])


@pytest.mark.parametrize(
    ("value", "path", "fault"),
    [
        ({"part": []}, "", "unknown name 'part' (did you mean 'parts'?)"),
        ({"zzz": 1}, "", f"unknown name 'zzz' (there are: {NAMES}, …)"),
        ({"parts": [{"colr": 1}]}, "parts[0]", "unknown name 'colr' (did you mean 'colour'?)"),
        ({"one": {"sized": 1}}, "one", "unknown name 'sized' (did you mean 'size'?)"),
        ({"both": [{"sized": 1}]}, "both[0]", "unknown name 'sized' (did you mean 'size'?)"),
        (
            {"parts": [{"colour": "blue"}]},
            "parts[0].colour",
            "unknown value 'blue' (there are: red, green)",
        ),
        ({"one": {"colour": "gren"}}, "one.colour", "unknown value 'gren' (did you mean 'green'?)"),
        (
            {"one": {"size": "medium"}},
            "one.size",
            "unknown value 'medium' (there are: large, small)",
        ),
        (
            {"named": {"x": {"sized": 1}}},
            "named[...]",
            "unknown name 'sized' (did you mean 'size'?)",
        ),
        (
            {"one": {"shade": "blue"}},
            "one.shade",
            "unknown value 'blue' (there are: red, green)",
        ),
        ({"count": 0}, "count", "should be a whole number of at least 1"),
        (
            {"count": 1.5},
            "count",
            "should be a whole number of at least 1, not a number with decimals",
        ),
        ([], "", "should be a table, not a list"),
        ({"parts": {}}, "parts", "should be a list, not a table"),
        ({"both": 5}, "both", "should be a list, not a whole number"),
        ({"named": True}, "named", "should be a table, not true or false"),
        ({"one": 5}, "one", "should be a table, not a whole number"),
        ({"port": 65536}, "port", "should be a whole number from 0 to 65535"),
        ({"pause": 0}, "pause", "should be a number above 0 and of at most 10"),
        ({"pause": "5"}, "pause", "should be a number above 0 and of at most 10, not text"),
        ({"id": ""}, "id", "should be text of 1 to 128 characters"),
        ({"host": None}, "host", "should be text, not nothing"),
        ({"place": ""}, "place", "should be text that is not empty"),
        ({"port": date(2026, 1, 1)}, "port", "should be a whole number from 0 to 65535, not a day"),
        ({"on": "yes"}, "on", "should be true or false, not text"),
        ({"price": "5 $"}, "price", "should be a number"),
        ({"price": []}, "price", "should be a number, not a list"),
        ({"day": 5}, "day", "Expected `date | null`, got `int`"),
        ({"one": {"size": 5}}, "one.size", "should be one of large, small, not a whole number"),
        ({"needs": {}}, "needs", "`it` is missing"),
    ],
)
def test_mistake_is_explained_with_what_was_meant(value: Any, path: str, fault: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, Whole)
    assert explained(caught.value, Whole) == (path, fault)


def test_error_of_another_type_is_kept_as_it_is() -> None:
    assert explained(msgspec.ValidationError("Object contains unknown field `x`"), int) == (
        "",
        "unknown name 'x'",
    )
    assert explained(msgspec.ValidationError("a of b - at `$.c`"), int) == ("c", "a of b")


def test_long_list_of_names_is_cut() -> None:
    said = did_you_mean("zzz", [f"name{n}" for n in range(MOST_NAMES + 1)])
    assert said.endswith("name11, …)")
