"""The definitions of a schema: what stands in `$defs`, and what in the place where it is used."""

from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

REF = "#/$defs/"


def resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return a schema with the definitions that it needs.

    What is used once stands where it is used: there is less for a model to read. What is used
    several times, or within itself, stands in `$defs`.
    """
    counts = _references([schema, *definitions.values()])
    within = {name for name in definitions if _reaches(name, name, definitions, set())}
    once = {
        name: body
        for name, body in definitions.items()
        if name not in within and counts.get(name) == 1
    }
    kept = {name: _inlined(body, once) for name, body in definitions.items() if name not in once}
    schema = _inlined(schema, once)
    if (name := name_of(schema)) is not None:
        # The type itself, which holds itself, is at the top as well: readers want an object there.
        schema = {**kept[name], **_beside(schema)}
    return {**schema, "$defs": kept} if kept else dict(schema)


def name_of(schema: Any) -> str | None:
    """Return the name of the definition that a schema refers to; `None` if it refers to none."""
    ref = schema.get("$ref") if isinstance(schema, dict) else None
    return ref.removeprefix(REF) if isinstance(ref, str) and ref.startswith(REF) else None


def _references(schemas: Any) -> dict[str, int]:
    """Count the references to each definition."""
    counts: dict[str, int] = {}
    waiting = [schemas]
    while waiting:
        one = waiting.pop()
        if (name := name_of(one)) is not None:
            counts[name] = counts.get(name, 0) + 1
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return counts


def _reaches(start: str, goal: str, definitions: dict[str, Schema], seen: set[str]) -> bool:
    """Whether a definition leads to another one."""
    for name in _references(definitions.get(start, {})):
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            if _reaches(name, goal, definitions, seen):
                return True
    return False


def _inlined(schema: Any, bodies: dict[str, Schema]) -> Any:
    """Return a schema with these definitions in place of their references."""
    if isinstance(schema, list):
        return [_inlined(one, bodies) for one in schema]
    if not isinstance(schema, dict):
        return schema
    name = name_of(schema)
    if name in bodies:
        return {**_inlined(bodies[name], bodies), **_beside(schema)}
    return {keyword: _inlined(value, bodies) for keyword, value in schema.items()}


def _beside(schema: Schema) -> Schema:
    """Return what stands beside a reference."""
    return {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
