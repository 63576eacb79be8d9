"""JSON values as JSON Schema defines them: their types, and which of them are equal."""

from collections.abc import Callable, Hashable, Mapping
from fractions import Fraction
from typing import Any, Final

_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool)
        and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}
TYPES: Final = tuple(_TYPES)
DISJOINT_TYPES: Final = tuple(name for name in TYPES if name != "integer")
"""The types of which each value has exactly one: integers are numbers."""


def is_of(value: Any, name: str) -> bool:
    """Whether `value` is of the type `name`."""
    return _TYPES[name](value)


def type_of(value: Any) -> str:
    """Return the type of a value, one of `DISJOINT_TYPES`."""
    return next(name for name in DISJOINT_TYPES if _TYPES[name](value))


def decimal(value: Any) -> Fraction:
    """Return the exact decimal number that was written: a binary float cannot hold 0.1."""
    return Fraction(value if isinstance(value, int) else str(value))


def identity(value: Any) -> Hashable:
    """Return a key that is equal for values equal in JSON: 1 equals 1.0, but not true."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", tuple(map(identity, value)))
    if isinstance(value, dict):
        return ("object", frozenset((name, identity(own)) for name, own in value.items()))
    return value  # type: ignore[no-any-return]
