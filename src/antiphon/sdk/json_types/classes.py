"""Reads the fields of classes that JSON becomes: structs, dataclasses, TypedDicts, tuples."""

import dataclasses
from collections.abc import Iterator
from enum import Enum
from typing import Any, NotRequired, Required, get_args, get_origin, get_type_hints

import msgspec

from antiphon.sdk.json_types.docstrings import read_docstring

# msgspec's own mark cannot be the value of a field.
NO_DEFAULT = msgspec.UNSET


class Field(msgspec.Struct, frozen=True):
    """A field of a class. `key` is its name in JSON; `default` is `NO_DEFAULT` if it has none."""

    name: str
    key: str
    type: Any
    required: bool
    default: Any = NO_DEFAULT
    description: str = ""


def is_struct(kind: Any) -> bool:
    """Whether a type is a msgspec struct."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def is_dataclass(kind: Any) -> bool:
    """Whether a type is a dataclass."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def is_typed_dict(kind: Any) -> bool:
    """Whether a type is a TypedDict."""
    return isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__total__")


def is_named_tuple(kind: Any) -> bool:
    """Whether a type is a named tuple."""
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def is_enum(kind: Any) -> bool:
    """Whether a type is an enumeration."""
    return isinstance(kind, type) and issubclass(kind, Enum)


def fields_of(kind: type[Any]) -> list[Field]:
    """Return the fields of a class. Raises `NameError` for a type that cannot be resolved."""
    if is_struct(kind):
        found = _struct_fields(kind)
    elif is_dataclass(kind):
        found = _dataclass_fields(kind)
    elif is_typed_dict(kind):
        found = _typed_dict_fields(kind)
    else:
        found = _tuple_fields(kind)
    told: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__):
        told |= read_docstring(_own_docstring(ancestor)).parameters
    return [msgspec.structs.replace(one, description=told.get(one.name, "")) for one in found]


def description_of(kind: type[Any]) -> str:
    """Return what a class's own docstring says, without its fields."""
    return read_docstring(_own_docstring(kind)).description


def _own_docstring(kind: type[Any]) -> str | None:
    text = kind.__dict__.get("__doc__")
    if not isinstance(text, str) or kind.__module__ in {"builtins", "enum", "typing", "msgspec"}:
        return None
    # Python writes one itself for dataclasses and named tuples: the signature.
    written = is_dataclass(kind) or is_named_tuple(kind)
    return None if written and text.startswith(f"{kind.__name__}(") else text


def _struct_fields(kind: type[Any]) -> Iterator[Field]:
    hints = get_type_hints(kind, include_extras=True)
    for one in msgspec.structs.fields(kind):
        default = NO_DEFAULT if one.default is msgspec.NODEFAULT else one.default
        yield Field(one.name, one.encode_name, hints[one.name], one.required, default)


def _dataclass_fields(kind: type[Any]) -> Iterator[Field]:
    hints = get_type_hints(kind, include_extras=True)
    for one in dataclasses.fields(kind):
        if not one.init:
            continue
        has_default = one.default is not dataclasses.MISSING
        required = not has_default and one.default_factory is dataclasses.MISSING
        default = one.default if has_default else NO_DEFAULT
        yield Field(one.name, one.name, hints[one.name], required, default)


def _typed_dict_fields(kind: type[Any]) -> Iterator[Field]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        required = name in kind.__required_keys__
        if get_origin(hint) in {Required, NotRequired}:
            required = get_origin(hint) is Required
            (hint,) = get_args(hint)  # noqa: PLW2901 - the type behind the mark
        yield Field(name, name, hint, required)


def _tuple_fields(kind: type[Any]) -> Iterator[Field]:
    hints = get_type_hints(kind, include_extras=True)
    defaults = kind._field_defaults
    for name in kind._fields:
        default = defaults.get(name, NO_DEFAULT)
        yield Field(name, name, hints.get(name, Any), name not in defaults, default)
