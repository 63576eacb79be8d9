"""JSON schemas, as far as engines keep to them: what they say, and what several say together.

What is unknown in a schema allows anything; that it is a schema at all is for validation to see.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from antiphon.schemas.automata import matches
from antiphon.schemas.patterns import PatternUnsupportedError, language

Schema: TypeAlias = Mapping[str, Any]

DEPTH: Final = 48
"""How deep a value is looked at; `$ref`s make schemas that have no end."""

NEVER: Final[Schema] = {"enum": []}
"""A schema that nothing fits."""

SILENT: Final = frozenset(
    {
        *("description", "title", "default", "examples", "$defs", "definitions", "$schema"),
        *("$comment", "$id", "deprecated", "readOnly", "writeOnly"),
    }
)
"""Words of a schema that ask for nothing."""

GROUPS: Final = (("if", "then", "else"), ("contains", "minContains", "maxContains"))
"""Words that mean something only beside one another."""

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


def is_of(value: Any, name: str) -> bool:
    """Say whether `value` is of the type `name`."""
    return _TYPES[name](value)


def same(value: Any, other: Any) -> bool:
    """Say whether two values are one in JSON: 1 is 1.0, but not True."""
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(same, value, other))
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(same(value[k], other[k]) for k in value)
    return bool(value == other) and isinstance(value, bool) is isinstance(other, bool)


def resolve(root: Any, ref: object) -> Any:
    """Follow a reference inside `root`; one that leads nowhere allows anything."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        return True
    found = root
    for step in filter(None, ref[1:].split("/")):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, Mapping) and key in found:
            found = found[key]
        else:
            return True
    return found


def without(schema: Schema, *keys: str) -> Schema:
    """Leave some words of a schema out."""
    return {key: value for key, value in schema.items() if key not in keys}


def found_in(pattern: str, name: str) -> bool:
    """Say whether `pattern` is found in `name`; one that is not understood is found nowhere."""
    try:
        return matches(language(pattern), name)
    except PatternUnsupportedError:
        return False


def part_of(schema: Schema, name: str) -> Any:
    """Return what an object's schema asks of its property `name`."""
    asked = [
        part
        for pattern, part in (schema.get("patternProperties") or {}).items()
        if found_in(pattern, name)
    ]
    known = schema.get("properties") or {}
    if name in known:
        asked.insert(0, known[name])
    if not asked:
        return schema.get("additionalProperties", True)
    whole = asked[0]
    for part in asked[1:]:
        whole = merged(whole, part)
    return whole


def together(schema: Schema, root: Any = None, depth: int = 0) -> Schema:
    """Make one of all parts of `allOf`; what cannot be said in one stays there.

    By the letter, a closed part keeps out what only another part knows. So it does here, unless
    that is required: nothing would fit such a schema, and its author meant something.
    """
    parts = schema.get("allOf")
    if not parts or depth > DEPTH:
        return schema
    whole = without(schema, "allOf")
    for part in parts:
        whole = merged(whole, _opened(part, root, depth))
    left = whole.get("allOf")
    if left and not (len(left) >= len(parts) and all(one in parts for one in left)):
        return together(whole, root, depth + 1)
    return whole


def _opened(part: Any, root: Any, depth: int) -> Any:
    """Follow the reference of a part, so that it can be merged."""
    if not isinstance(part, Mapping) or "$ref" not in part or root is None or depth > DEPTH:
        return part
    target = _opened(resolve(root, part["$ref"]), root, depth + 1)
    beside = without(part, "$ref", *SILENT)
    return merged(target, beside) if beside else target


def merged(one: Any, other: Any) -> Schema:
    """Say in one schema what two ask for; what has no word for both goes to `allOf`."""
    if one is False or other is False:
        return NEVER
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return other if isinstance(other, Mapping) else one if isinstance(one, Mapping) else {}
    rest, left = _parted(one, other)
    both: dict[str, Any] = {**one}
    for key, value in rest.items():
        if key not in one or key in SILENT or one[key] == value:
            both[key] = value
        elif key in _JOINED:
            both[key] = _JOINED[key](one[key], value)
        elif key not in _OBJECT and key not in _ARRAY:
            left[key] = value
    if left:
        both["allOf"] = [*both.get("allOf", ()), left]
    _merge_objects(both, one, rest)
    _merge_arrays(both, one, rest)
    return NEVER if both.get("type") == [] else both


def _parted(one: Schema, other: Schema) -> tuple[Schema, dict[str, Any]]:
    """Take from `other` the groups of words of which `one` has one, too."""
    left: dict[str, Any] = {}
    for group in GROUPS:
        mine = {key: other[key] for key in group if key in other}
        if mine and any(key in one for key in group):
            left |= mine if mine != {key: one[key] for key in group if key in one} else {}
            other = without(other, *group)
    return other, left


def _merge_objects(both: dict[str, Any], one: Schema, other: Schema) -> None:
    if not (_OBJECT & one.keys() and _OBJECT & other.keys()):
        return
    required = {*one.get("required", ()), *other.get("required", ())}
    mine, theirs = one.get("properties") or {}, other.get("properties") or {}
    names = dict.fromkeys([*mine, *theirs])
    parts = {name: _shared(one, other, name, required) for name in names}
    both["properties"] = parts
    for key in ("patternProperties", "additionalProperties"):
        if key in one and key in other and one[key] != other[key]:
            both[key] = (
                {**one[key], **other[key]}
                if key == "patternProperties"
                else _bare(merged(one[key], other[key]))
            )


def _shared(one: Schema, other: Schema, name: str, required: set[str]) -> Any:
    """Merge what two objects ask of a property; closed ones open for what is required."""
    mine, theirs = part_of(one, name), part_of(other, name)
    if name in required and _shut(one, name) is not _shut(other, name):
        return theirs if _shut(one, name) else mine
    return _bare(merged(mine, theirs))


def _shut(schema: Schema, name: str) -> bool:
    """Whether an object is closed to a property that it does not speak of."""
    if name in (schema.get("properties") or {}) or schema.get("additionalProperties") is not False:
        return False
    return part_of(schema, name) is False


def _merge_arrays(both: dict[str, Any], one: Schema, other: Schema) -> None:
    if not (_ARRAY & one.keys() and _ARRAY & other.keys()):
        return
    mine, theirs = one.get("prefixItems", ()), other.get("prefixItems", ())
    count = max(len(mine), len(theirs))
    if count:
        pairs = zip(_padded(mine, one, count), _padded(theirs, other, count), strict=True)
        both["prefixItems"] = [_bare(merged(*pair)) for pair in pairs]
    both["items"] = _bare(merged(one.get("items", True), other.get("items", True)))


def _padded(first: Sequence[Any], schema: Schema, count: int) -> list[Any]:
    return [*first, *[schema.get("items", True)] * (count - len(first))]


def _bare(schema: Schema) -> Any:
    return False if schema == NEVER else schema


def _common_types(one: Any, other: Any) -> list[str]:
    mine, theirs = types_of({"type": one}), types_of({"type": other})
    return [
        name
        for name in TYPES
        if (name in mine or (name == "integer" and "number" in mine))
        and (name in theirs or (name == "integer" and "number" in theirs))
        and not (name == "integer" and "number" in mine and "number" in theirs)
    ]


def _common_values(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    return [value for value in one if any(same(value, member) for member in other)]


def _union(one: Sequence[str], other: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


_OBJECT: Final = frozenset({"properties", "additionalProperties", "patternProperties"})
_ARRAY: Final = frozenset({"items", "prefixItems"})
_JOINED: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "type": _common_types,
    "enum": _common_values,
    "required": _union,
    "allOf": lambda one, other: [*one, *other],
    "uniqueItems": lambda one, other: bool(one or other),
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
