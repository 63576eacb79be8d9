"""Whether a JSON schema is one: each keyword holds what draft 2020-12 lets it hold.

Engines read the schemas that callers send; here is where the ones that nobody could read end.
Read without recursion, and not deeper than engines go.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

DEEPEST = 64
INVALID = "JSON schema is invalid. It must match JSON Schema draft 2020-12"
TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})

_MAPS = frozenset(
    {
        *("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"),
        "dependencies",  # of draft 7: names or a schema
    }
)
_LISTS = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_SINGLE = frozenset(
    {
        *("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then"),
        *("else", "unevaluatedItems", "unevaluatedProperties", "additionalItems"),
    }
)


class InvalidSchemaError(ValueError):
    """A schema is malformed, or asks for what cannot be guaranteed. The message is for callers."""


def check_well_formed(schema: dict[str, Any], where: str) -> None:
    """Raise `InvalidSchemaError` if this is no schema, or too deep."""
    fault = _fault(schema)
    if fault is not None:
        raise InvalidSchemaError(f"{where}: {fault}")


def is_well_formed(schema: Any) -> bool:
    """Whether this is a schema, and not too deep."""
    return _fault(schema) is None


def _fault(schema: Any) -> str | None:
    level: list[Any] = [schema]
    depth = 0
    while level:
        depth += 1
        if depth > DEEPEST:
            return "JSON schema is nested too deeply"
        below: list[Any] = []
        for node in level:
            if isinstance(node, bool):
                continue
            if not isinstance(node, dict) or not _holds(node):
                return INVALID
            below += subschemas(node)
        level = below
    return None


def _holds(node: dict[str, Any]) -> bool:
    """Whether every keyword of one node holds what it may, its schemas aside."""
    return all(
        (keyword not in _MAPS or isinstance(value, dict))
        and (keyword not in _LISTS or (isinstance(value, list) and bool(value)))
        and (keyword not in _CHECKS or _CHECKS[keyword](value))
        for keyword, value in node.items()
    )


def subschemas(node: dict[str, Any]) -> Iterator[Any]:
    """Yield the schemas right inside of one."""
    for keyword, value in node.items():
        if keyword == "dependencies":
            yield from (one for one in value.values() if not isinstance(one, list))
        elif keyword in _MAPS:
            yield from value.values()
        elif keyword in _LISTS or (keyword == "items" and isinstance(value, list)):
            yield from value
        elif keyword in _SINGLE:
            yield value


SCHEMA = "schema"
"""A place of a schema, as `inside` names them."""


def inside(place: str, key: str) -> str:
    """Name what stands under `key` in what stands at `place`: a schema, or schemas, or neither."""
    if place in ("map", "list"):
        return SCHEMA
    if place != SCHEMA or key in ("dependencies", "items"):
        return ""  # or a schema: it depends on what is there
    if key in _MAPS or key in _LISTS:
        return "map" if key in _MAPS else "list"
    return SCHEMA if key in _SINGLE else ""


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_choices(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_step(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_dependence(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_names, value.values()))


def _is_old_dependence(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_names(one) for one in value.values() if isinstance(one, list)
    )


def _is_size(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


_CHECKS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "type": _is_type,
        "required": _is_names,
        "enum": _is_choices,
        "multipleOf": _is_step,
        "uniqueItems": _is_switch,
        "dependentRequired": _is_dependence,
        "dependencies": _is_old_dependence,
        **dict.fromkeys(("$ref", "$schema", "title", "description", "format", "pattern"), _is_text),
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
        **dict.fromkeys(
            (
                *("minItems", "maxItems", "minLength", "maxLength", "minProperties"),
                *("maxProperties", "minContains", "maxContains"),
            ),
            _is_size,
        ),
    }
)
