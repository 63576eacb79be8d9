import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.schemas.check import first_error, fits
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.numbers import BOUNDS, integers, numbers, scaled
from support.gbnf import Grammar
from support.schemas import numbers as number_schemas

SEEDS = st.integers(0, 999)


@given(st.integers(-(10**20), 10**20), st.integers(0, 10**20), SEEDS)
def test_scaled_integers_are_within_their_bounds(low: int, width: int, seed: int) -> None:
    rules = Rules()
    grammar = Grammar(rules.text(scaled(rules, low, low + width) or ""))
    assert low <= int(grammar.draw(seed)) <= low + width
    assert grammar.allows(str(low))
    assert grammar.allows(str(low + width))
    assert not grammar.allows(str(low - 1))
    assert not grammar.allows(str(low + width + 1))


@given(st.integers(-300, 300), st.integers(0, 200), st.integers(1, 20))
def test_scaled_with_a_step_allows_exactly_the_multiples(low: int, width: int, step: int) -> None:
    rules = Rules()
    rule = scaled(rules, low, low + width, step)
    grammar = Grammar(rules.text(rule)) if rule else None
    for number in range(low - 3, low + width + 4):
        wanted = low <= number <= low + width and number % step == 0
        assert (grammar is not None and grammar.allows(str(number))) == wanted


@given(number_schemas(), SEEDS)
def test_number_fits_unless_a_keyword_is_unenforced(schema: Any, seed: int) -> None:
    rules = Rules()
    rule, unenforced = (integers if schema["type"] == "integer" else numbers)(rules, schema)
    if rule is not None:
        value = json.loads(Grammar(rules.text(rule)).draw(seed))
        found = first_error(value, schema)
        assert found is None or found.removeprefix(": ") in unenforced


@given(number_schemas())
def test_number_grammar_is_small(schema: Any) -> None:
    rules = Rules()
    numbers(rules, schema)
    assert rules.size < 30_000


@pytest.mark.parametrize(
    ("schema", "unenforced"),
    [
        ({"maximum": 10**40}, {"maximum"}),
        ({"multipleOf": 1e-300}, {"multipleOf", *BOUNDS}),
        ({"multipleOf": 101}, {"multipleOf", *BOUNDS}),
        ({"multipleOf": 101.5, "minimum": 0}, {"multipleOf", *BOUNDS}),
    ],
)
def test_unenforced_number_keywords_are_named(schema: Any, unenforced: set[str]) -> None:
    rule, found = numbers(Rules(), schema)
    assert rule is not None
    assert {*found} == unenforced


def test_few_multiples_are_written_one_by_one() -> None:
    rules = Rules()
    rule, unenforced = integers(rules, {"multipleOf": 101, "minimum": -150, "maximum": 250})
    grammar = Grammar(rules.text(rule or ""))
    assert not unenforced
    assert [n for n in range(-300, 300) if grammar.allows(str(n))] == [-101, 0, 101, 202]
    assert scaled(rules, 7, 9) == scaled(rules, 7, 9)
    assert integers(Rules(), {"multipleOf": 101, "minimum": 1, "maximum": 100}) == (None, ())


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"minimum": 0}, ["0", "0.5", "7", "123456.75"]),
        ({"maximum": 0}, ["0", "-0.5", "-7"]),
        ({"minimum": 0.25, "maximum": 0.75}, ["0.25", "0.5", "0.75"]),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 1}, ["0.5", "0.25", "0.99"]),
        ({"minimum": -1.5, "maximum": 2}, ["-1.5", "-1", "-0.25", "0", "1.999", "2"]),
        ({"multipleOf": 0.01, "minimum": 0}, ["0.05", "12.30"]),
        ({"multipleOf": 500, "minimum": 0, "maximum": 5000}, ["0", "500", "5000"]),
        ({"multipleOf": 2.5, "maximum": 10}, ["2.5", "10.0", "-5.0"]),
        # No multiple has one digit.
        ({"multipleOf": 20, "minimum": -35, "maximum": 82}, ["-20", "0", "20", "80"]),
    ],
)
def test_grammar_allows_the_usual_notation_of_numbers(schema: Any, written: list[str]) -> None:
    rules = Rules()
    rule, unenforced = numbers(rules, schema)
    assert rule is not None
    assert not unenforced
    grammar = Grammar(rules.text(rule))
    for text in written:
        assert fits(json.loads(text), schema)
        assert grammar.allows(text), text
