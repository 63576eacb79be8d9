from fractions import Fraction
from typing import Any

import pytest

from antiphon.schemas.values import APART, TYPES, decimal, identity, is_of, type_of


@pytest.mark.parametrize(
    ("value", "types"),
    [
        ({}, {"object"}),
        ([], {"array"}),
        ("", {"string"}),
        (True, {"boolean"}),
        (None, {"null"}),
        (1.5, {"number"}),
        (1, {"number", "integer"}),
        (1.0, {"number", "integer"}),
    ],
)
def test_value_is_of_its_types_and_no_others(value: Any, types: set[str]) -> None:
    assert {name for name in TYPES if is_of(value, name)} == types
    assert {type_of(value)} == types & {*APART}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        ([1, [2]], [1.0, [2.0]], True),
        ([1], [True], False),
        ({"a": 1, "b": []}, {"b": [], "a": 1.0}, True),
        ({"a": None}, {}, False),
        ([], {}, False),
    ],
)
def test_values_are_the_same_as_json_has_it(one: Any, other: Any, same: Any) -> None:
    assert (identity(one) == identity(other)) is same


def test_number_is_the_decimal_one_that_was_written() -> None:
    assert decimal(0.1) == Fraction(1, 10)
    assert decimal(10**30) == 10**30
    assert decimal(Fraction(3, 2)) == Fraction(3, 2)
