from fractions import Fraction
from typing import Any

import pytest

from antiphon.schemas.values import DISJOINT_TYPES, TYPES, decimal, identity, is_of, type_of


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
def test_value_has_exactly_its_types(value: Any, types: set[str]) -> None:
    assert {name for name in TYPES if is_of(value, name)} == types
    assert {type_of(value)} == types & {*DISJOINT_TYPES}


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
def test_identity_is_equal_for_values_equal_in_json(one: Any, other: Any, same: Any) -> None:
    assert (identity(one) == identity(other)) is same


def test_decimal_returns_the_number_as_written() -> None:
    assert decimal(0.1) == Fraction(1, 10)
    assert decimal(10**30) == 10**30
    assert decimal(Fraction(3, 2)) == Fraction(3, 2)
