"""`output_format`, the older name of `output_config.format`."""

from typing import Any

import pytest

from support.requests import ABLE, able, counted, refusal, schema, tool

WANTED = {"type": "json_schema", "schema": schema(city={"type": "string"})}
OTHER = {"type": "json_schema", "schema": schema(city={"type": "integer"})}


def test_output_format_is_the_format_of_the_output() -> None:
    asked = able(output_format=WANTED)
    assert asked.output_schema == able(output_config={"format": WANTED}).output_schema
    assert asked.output_schema == WANTED["schema"]


def test_output_format_stands_beside_an_effort() -> None:
    asked = able(output_format=WANTED, output_config={"effort": "low"})
    assert (asked.effort, asked.output_schema) == ("low", WANTED["schema"])


def test_output_format_of_null_is_none() -> None:
    assert able(output_format=None).output_schema is None
    both = able(output_format=None, output_config={"format": WANTED})
    assert both.output_schema == WANTED["schema"]


def test_output_format_counts_like_the_format() -> None:
    asked = counted(output_format=WANTED, capabilities=ABLE)
    assert asked.output_schema == WANTED["schema"]


def test_equal_formats_are_one() -> None:
    # The order of keys does not matter.
    turned = dict(reversed(WANTED.items()))
    assert able(output_format=turned, output_config={"format": WANTED}).output_schema


ONE = {"type": "json_schema", "schema": {**schema(), "properties": {"x": {"const": 1}}}}
TRUE = {"type": "json_schema", "schema": {**schema(), "properties": {"x": {"const": True}}}}


@pytest.mark.parametrize(("first", "second"), [(WANTED, OTHER), (ONE, TRUE)])
def test_different_formats_are_refused(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert refusal(output_format=first, output_config={"format": second}) == (
        "output_format: must be equal to output_config.format, or absent"
    )


def test_output_format_keeps_the_rules_of_a_format() -> None:
    open_schema = {"type": "json_schema", "schema": {"type": "object"}}
    assert refusal(output_format=open_schema).startswith("output_config.format.schema: ")
    assert refusal(output_format=WANTED, max_tokens=0).startswith("max_tokens: must be greater")
    loose = schema(**{f"p{number}": {} for number in range(13)}) | {"required": []}
    assert refusal(
        output_format={"type": "json_schema", "schema": loose},
        tools=[tool(strict=True, input_schema=loose)],
    ).startswith("Schemas contains too many")
