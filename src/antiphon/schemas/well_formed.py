"""Checks that a JSON schema is well-formed: each keyword has a value that draft 2020-12 allows.

Engines read the schemas of callers; this check refuses those that no engine could read, and those
that the Claude API refuses: lists of `items`, which older drafts have. It does not recurse, and
limits the depth to what engines accept.
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
    """A schema is malformed, or cannot be guaranteed. The message is for API callers."""


def check_well_formed(schema: dict[str, Any], where: str) -> None:
    """Raise `InvalidSchemaError` if `schema` is malformed or too deep."""
    error = _error(schema)
    if error is not None:
        raise InvalidSchemaError(f"{where}: {error}")


def is_well_formed(schema: Any) -> bool:
    """Whether `schema` is well-formed and not too deep."""
    return _error(schema) is None


def _error(schema: Any) -> str | None:
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
            if not isinstance(node, dict) or not _has_valid_keywords(node):
                return INVALID
            below += subschemas(node)
        level = below
    return None


def _has_valid_keywords(node: dict[str, Any]) -> bool:
    """Whether every keyword of one node has an allowed value, apart from its subschemas."""
    return all(
        (keyword not in _MAPS or isinstance(value, dict))
        and (keyword not in _LISTS or (isinstance(value, list) and bool(value)))
        and (keyword not in _CHECKS or _CHECKS[keyword](value))
        for keyword, value in node.items()
    )


def subschemas(node: dict[str, Any]) -> Iterator[Any]:
    """Yield the direct subschemas of a schema."""
    for keyword, value in node.items():
        if keyword == "dependencies":
            yield from (one for one in value.values() if not isinstance(one, list))
        elif keyword in _MAPS:
            yield from value.values()
        elif keyword in _LISTS:
            yield from value
        elif keyword in _SINGLE:
            yield value


SCHEMA = "schema"
"""The kind of a position that holds a schema, as `inside` returns it."""


def inside(position: str, key: str) -> str:
    """Return the kind of the position under `key`: a schema, a map or list of schemas, or none."""
    if position in ("map", "list"):
        return SCHEMA
    if position != SCHEMA or key in ("dependencies", "items"):
        return ""  # possibly a schema, depending on the value
    if key in _MAPS or key in _LISTS:
        return "map" if key in _MAPS else "list"
    return SCHEMA if key in _SINGLE else ""


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_positive_number(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_dependent_required(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_list_of_names, value.values()))


def _is_dependencies(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_list_of_names(one) for one in value.values() if isinstance(one, list)
    )


def _is_size(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


_CHECKS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "type": _is_type,
        "required": _is_list_of_names,
        "enum": _is_list,
        "multipleOf": _is_positive_number,
        "uniqueItems": _is_boolean,
        "dependentRequired": _is_dependent_required,
        "dependencies": _is_dependencies,
        **dict.fromkeys(
            ("$ref", "$schema", "title", "description", "format", "pattern"), _is_string
        ),
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
