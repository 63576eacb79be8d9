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


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[Part] = []
    one: Part | None = None
    named: dict[str, Part] = {}
    count: Annotated[int, Meta(ge=1)] = 1
    both: Annotated[tuple[Part, ...], Meta(max_length=2)] = ()


@pytest.mark.parametrize(
    ("value", "path", "fault"),
    [
        ({"part": []}, "", "unknown name 'part' (did you mean 'parts'?)"),
        ({"zzz": 1}, "", "unknown name 'zzz' (there are: parts, one, named, count, both)"),
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
        ({"count": 0}, "count", "Expected `int` >= 1"),
        ([], "", "Expected `object`, got `array`"),
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


def test_long_list_of_names_is_cut() -> None:
    said = did_you_mean("zzz", [f"name{n}" for n in range(MOST_NAMES + 1)])
    assert said.endswith("name11, …)")
