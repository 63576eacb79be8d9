"""What `not` asks for, where that can be said without it."""

from collections.abc import Mapping
from typing import Any, Final

from antiphon.schemas.merging import NEVER, SILENT, TYPES, Schema, is_of, types_of, without

_VALUES: Final = frozenset({"const", "enum", "type"})


def permitted(schema: Schema, unkept: set[str]) -> tuple[Schema, tuple[str, ...]]:
    """Return `schema` without its `not`, and the strings that are forbidden."""
    rest, wrong = without(schema, "not"), schema.get("not", False)
    if wrong is False:
        return rest, ()
    asked = without(wrong, *SILENT) if isinstance(wrong, Mapping) else {}
    if not asked:
        return NEVER, ()
    if asked.keys() == {"type"}:
        return _of_other_types(rest, types_of(asked), unkept), ()
    if asked.keys() <= _VALUES:
        return rest, _strings(rest, asked, unkept)
    named = asked.get("required", ())
    if asked.keys() <= {"required", "type"} and len(named) == 1 and types_of(rest) == ("object",):
        (name,) = named
        rest = {**rest, "properties": {**(rest.get("properties") or {}), name: False}}
    else:
        unkept.add("not")
    return rest, ()


def _of_other_types(schema: Schema, wrong: tuple[str, ...], unkept: set[str]) -> Schema:
    allowed = types_of(schema) or tuple(name for name in TYPES if name != "integer")
    if "integer" in wrong and "number" in allowed:
        unkept.add("not")
    wrong = (*wrong, "integer") if "number" in wrong else wrong
    left = [name for name in allowed if name not in wrong]
    return {**schema, "type": left} if left else NEVER


def _strings(schema: Schema, asked: Schema, unkept: set[str]) -> tuple[str, ...]:
    values: list[Any] = [asked["const"]] if "const" in asked else asked.get("enum", [])
    allowed = types_of(schema) or TYPES
    others = [value for value in values if not isinstance(value, str)]
    if any(is_of(value, name) for value in others for name in allowed):
        unkept.add("not")
    return tuple(value for value in values if isinstance(value, str))
