"""The smallest value that a JSON schema allows, always the same."""

from collections.abc import Mapping
from typing import Any, Final

from antiphon.schemas.check import fits
from antiphon.schemas.merging import Schema, merged, resolve, together, types_of, without

DEPTH: Final = 24
FORMATS: Final[Mapping[str, str]] = {
    "date": "2000-01-01",
    "time": "00:00:00Z",
    "date-time": "2000-01-01T00:00:00Z",
    "duration": "PT0S",
    "email": "name@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example(schema: Any) -> Any:
    """Make a value that fits `schema`, with nothing in it that is not required."""
    return _example(schema, schema, 0)


def _example(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > DEPTH:
        return None
    schema = together(schema)
    if "$ref" in schema:
        target = merged(resolve(root, schema["$ref"]), without(schema, "$ref"))
        return _example(target, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return next((m for m in schema["enum"] if fits(m, without(schema, "$ref"))), None)
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            part = merged(without(schema, key), schema[key][0])
            return _example(part, root, depth + 1)
    return _of_type(schema, root, depth + 1)


def _of_type(schema: Schema, root: Any, depth: int) -> Any:
    kind = (types_of(schema) or ("object" if "properties" in schema else "null",))[0]
    if kind == "object":
        known = schema.get("properties", {})
        names = schema.get("required", ())
        return {name: _example(known.get(name, {}), root, depth) for name in names}
    if kind == "array":
        items = schema.get("items", {})
        first = [_example(part, root, depth) for part in schema.get("prefixItems", ())]
        missing = schema.get("minItems", 0) - len(first)
        return first + [_example(items, root, depth) for _ in range(missing)]
    if kind == "string":
        text = FORMATS.get(str(schema.get("format")), "text")
        return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]
    if kind in ("integer", "number"):
        return _number(schema)
    return False if kind == "boolean" else None


def _number(schema: Schema) -> Any:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    least = max((bound for bound in (least, above) if bound is not None), default=None)
    most = min((bound for bound in (most, below) if bound is not None), default=None)
    if least is not None and (least > 0 or least == above):
        return least + 1 if least == above else least
    if most is not None and (most < 0 or most == below):
        return most - 1 if most == below else most
    return 0
