"""JSON schemas, as far as engines keep to them: what they say, and whether a value fits.

What is unknown in a schema allows anything; that it is a schema at all is for validation to see.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

DEPTH: Final = 48
"""How deep a value is looked at; `$ref`s make schemas that have no end."""

FORMATS: Final[Mapping[str, str]] = {
    "date": r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])",
    "time": r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)?",
    "date-time": r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T"
    r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "duration": r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?",
    "email": r"[^@\s]+@[^@\s]+",
    "hostname": r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*:\S+",
    "ipv4": r"(\d{1,2}|1\d\d|2[0-4]\d|25[0-5])(\.(\d{1,2}|1\d\d|2[0-4]\d|25[0-5])){3}",
    "ipv6": r"[0-9A-Fa-f:.]{2,45}",
    "uuid": r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
}

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


def types_of(schema: Schema) -> tuple[str, ...]:
    """Name the types a schema allows; none named is every type."""
    named = schema.get("type")
    names = named if isinstance(named, list) else [named]
    return tuple(name for name in names if isinstance(name, str) and name in _TYPES)


def resolve(root: Any, ref: object) -> Any:
    """Follow a reference inside `root`; one that leads nowhere allows anything."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        return True
    found = root
    for step in filter(None, ref[1:].split("/")):
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            return True
        found = found[key]
    return found


def merged(one: Any, other: Any) -> Schema:
    """Say in one schema what two ask for, where that can be said."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return other if isinstance(other, Mapping) else one if isinstance(one, Mapping) else {}
    both: dict[str, Any] = {**one, **other}
    for key in ("properties", "$defs", "definitions"):
        if key in one and key in other:
            both[key] = _merged_properties(one[key], other[key])
    if "required" in one and "required" in other:
        both["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    if "enum" in one and "enum" in other:
        both["enum"] = [value for value in one["enum"] if value in other["enum"]]
    common = [name for name in types_of(one) if name in types_of(other)]
    if common:
        both["type"] = common
    return both


def _merged_properties(one: Schema, other: Schema) -> dict[str, Any]:
    shared = {name: merged(one[name], other[name]) for name in one if name in other}
    return {**one, **other, **shared}


def together(schema: Schema) -> Schema:
    """Make one of all parts of `allOf`: closed objects would otherwise exclude one another."""
    if not schema.get("allOf"):
        return schema
    whole = without(schema, "allOf")
    for part in schema["allOf"]:
        whole = merged(whole, part)
    return together(whole)


def without(schema: Schema, *keys: str) -> Schema:
    """Leave some words of a schema out."""
    return {key: value for key, value in schema.items() if key not in keys}


def fits(value: Any, schema: Any) -> bool:
    """Say whether `value` is what `schema` asks for."""
    return _Check(schema).fits(value, schema, 0)


class _Check:
    """One schema, whose `$ref`s point into it."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def fits(self, value: Any, schema: Any, depth: int) -> bool:
        if schema is False:
            return False
        if not isinstance(schema, Mapping) or depth > DEPTH:
            return True
        schema = together(schema)
        return self._fits_parts(value, schema, depth + 1) and self._fits_itself(
            value, schema, depth + 1
        )

    def _fits_parts(self, value: Any, schema: Schema, depth: int) -> bool:
        if "$ref" in schema and not self.fits(value, resolve(self._root, schema["$ref"]), depth):
            return False
        for key in ("anyOf", "oneOf"):
            if key in schema and not any(self.fits(value, part, depth) for part in schema[key]):
                return False
        return True

    def _fits_itself(self, value: Any, schema: Schema, depth: int) -> bool:
        types = types_of(schema)
        if types and not any(_TYPES[name](value) for name in types):
            return False
        if "const" in schema and not _same(value, schema["const"]):
            return False
        if "enum" in schema and not any(_same(value, member) for member in schema["enum"]):
            return False
        if isinstance(value, dict):
            return self._fits_object(value, schema, depth)
        if isinstance(value, list):
            return self._fits_array(value, schema, depth)
        return _string_fits(value, schema) if isinstance(value, str) else _in_bounds(value, schema)

    def _fits_object(self, value: dict[str, Any], schema: Schema, depth: int) -> bool:
        if not all(name in value for name in schema.get("required", ())):
            return False
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        return all(self.fits(own, known.get(name, others), depth) for name, own in value.items())

    def _fits_array(self, value: list[Any], schema: Schema, depth: int) -> bool:
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            return False
        if schema.get("uniqueItems") is True and len({json.dumps(i) for i in value}) < len(value):
            return False
        first = schema.get("prefixItems", ())
        rest = [schema.get("items", True)] * max(0, len(value) - len(first))
        pairs = zip(value, [*first, *rest], strict=False)
        return all(self.fits(item, part, depth) for item, part in pairs)


def _same(value: Any, other: Any) -> bool:
    # To Python, True is 1.
    return bool(value == other) and isinstance(value, bool) is isinstance(other, bool)


def _string_fits(value: str, schema: Schema) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    form = FORMATS.get(str(schema.get("format")))
    if form is not None and re.fullmatch(form, value, re.ASCII) is None:
        return False
    pattern = schema.get("pattern")
    try:
        return not isinstance(pattern, str) or re.search(pattern, value) is not None
    except re.error:
        return True


def _in_bounds(value: Any, schema: Schema) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return (
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and (schema.get("exclusiveMinimum") is None or value > schema["exclusiveMinimum"])
        and (schema.get("exclusiveMaximum") is None or value < schema["exclusiveMaximum"])
    )
