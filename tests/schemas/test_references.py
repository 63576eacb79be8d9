from typing import Any

import pytest

from antiphon.schemas.check import fits
from antiphon.schemas.references import References
from antiphon.schemas.steps import Steps, TooComplexError

STRING = {"type": "string"}
ROOT: dict[str, Any] = {
    "$id": "https://example.com/root#",
    "$defs": {
        "List<Int>": STRING,
        "a/b": STRING,
        "m~n": STRING,
        "100%": STRING,
        "": STRING,
        "named": {"$anchor": "here", "type": "string"},
        "ways": {"anyOf": [{"type": "null"}, STRING]},
        "any": True,
        "pair": {"items": [{"type": "null"}, STRING], "not": STRING},
    },
    "examples": [{"properties": 5}, STRING],
    "dependencies": {"a": STRING, "b": ["a"]},
}


@pytest.mark.parametrize(
    "reference",
    [
        "#/$defs/List%3CInt%3E",
        "#/$defs/List<Int>",
        "#/%24defs/List%3cInt%3e",
        "#/$defs/a~1b",
        "#/$defs/m~0n",
        "#/$defs/100%25",
        "#/$defs/",
        "#/$defs/ways/anyOf/1",
        "#/$defs/pair/items/1",
        "#/$defs/pair/not",
        "#/examples/1",
        "#/dependencies/a",
        "https://example.com/root#/$defs/m~0n",
    ],
)
def test_pointer_resolves_to_its_schema(reference: str) -> None:
    assert References(ROOT, Steps()).target(reference) == STRING


def test_anchor_resolves_to_its_schema() -> None:
    references = References(ROOT, Steps())
    assert references.target("#here") is ROOT["$defs"]["named"]
    assert references.target("#there") is None


def test_empty_pointer_and_own_id_resolve_to_the_root() -> None:
    references = References(ROOT, Steps())
    assert references.target("#") is ROOT
    assert references.target("https://example.com/root") is ROOT
    anything: Any = True
    assert References(anything, Steps()).target("#") is anything


@pytest.mark.parametrize(
    "reference",
    [
        "#/$defs/none",
        "#/$defs/ways/anyOf/2",
        "#/$defs/ways/anyOf/x",
        "#/$defs/ways/type/0",
        # The target is not a schema.
        "#/examples/0",
        "#/examples",
        "#/dependencies/b",
        "#/$id",
        "https://example.com/other#/$defs/ways",
        "other.json",
    ],
)
def test_reference_without_a_schema_resolves_to_none(reference: str) -> None:
    assert References(ROOT, Steps()).target(reference) is None


def test_resolving_takes_steps() -> None:
    with pytest.raises(TooComplexError):
        References({"$defs": {"a": STRING}}, Steps(1)).target("#/$defs/a")
    with pytest.raises(TooComplexError):
        References({"$defs": {"a": STRING}}, Steps(1)).target("#a")


def test_percent_encoded_generic_name_is_checked() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/List%3CInt%3E"}},
        "$defs": {"List<Int>": {"type": "integer"}},
    }
    assert fits({"a": 1}, schema)
    assert not fits({"a": "x"}, schema)
