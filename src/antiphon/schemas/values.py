"""JSON values as schemas see them: of which types they are, and which are the same."""

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
APART: Final = tuple(name for name in TYPES if name != "integer")
"""The types of which each value has one: integers are numbers."""


def is_of(value: Any, name: str) -> bool:
    """Whether `value` is of the type `name`."""
    return _TYPES[name](value)


def type_of(value: Any) -> str:
    """Name the type of a value, one of `APART`."""
    return next(name for name in APART if _TYPES[name](value))


def decimal(value: Any) -> Fraction:
    """Return a number as the decimal one that was written: binary ones have no tenths."""
    return Fraction(value if isinstance(value, int) else str(value))


def identity(value: Any) -> Hashable:
    """Return what two values share if they are one in JSON: 1 is 1.0, but not true."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", tuple(map(identity, value)))
    if isinstance(value, dict):
        return ("object", frozenset((name, identity(own)) for name, own in value.items()))
    return value  # type: ignore[no-any-return]
