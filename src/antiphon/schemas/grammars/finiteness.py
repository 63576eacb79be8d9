"""Which references of a schema have values that end: one that requires itself has none."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from antiphon.schemas.merging import Schema, part_of, resolve, types_of, without

DEPTH: Final = 100


def ending(root: Any) -> set[str]:
    """Name the references in `root` that some finite value fits, as far as references matter."""
    refs = set(_references(root))
    ends: set[str] = set()
    while True:
        new = {ref for ref in refs - ends if _ends(resolve(root, ref), root, ends, 0)}
        if not new:
            return ends
        ends |= new


def _references(schema: Any) -> Iterator[str]:
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _ends(schema: Any, root: Any, ends: set[str], depth: int) -> bool:
    if not isinstance(schema, Mapping):
        return schema is not False
    if depth > DEPTH or "const" in schema or "enum" in schema:
        return True
    if "$ref" in schema:
        beside = without(schema, "$ref")
        return schema["$ref"] in ends and _ends(beside, root, ends, depth + 1)
    if "allOf" in schema:
        parts = [without(schema, "allOf"), *schema["allOf"]]
        return all(_ends(part, root, ends, depth + 1) for part in parts)
    for key in ("anyOf", "oneOf"):
        if key in schema and not any(_ends(one, root, ends, depth + 1) for one in schema[key]):
            return False
    return _ends_itself(schema, root, ends, depth + 1)


def _ends_itself(schema: Schema, root: Any, ends: set[str], depth: int) -> bool:
    types = types_of(schema)
    if "object" in types or (not types and "required" in schema):
        needed = (part_of(schema, name) for name in schema.get("required", ()))
        if all(_ends(part, root, ends, depth) for part in needed):
            return True
    if "array" in types:
        first = [*schema.get("prefixItems", ())][: int(schema.get("minItems", 0))]
        rest = [schema.get("items", True)] * (schema.get("minItems", 0) > len(first))
        if all(_ends(part, root, ends, depth) for part in [*first, *rest]):
            return True
    return not (types or "required" in schema) or bool({*types} - {"object", "array"})
