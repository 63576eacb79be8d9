"""Rewrites a JSON Schema so that the API can guarantee it: for outputs and for strict tools.

The hosted API and Antiphon's server guarantee the same part of JSON Schema. What is outside of it
either becomes a sentence of the description, which a model reads and nothing enforces, or is
refused here, with its place: a request would be refused later, or its answer would be empty.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from antiphon.sdk.json_types.definitions import REF, Schema, name_of
from antiphon.sdk.json_types.schemas import UnsayableTypeError, schema_of

FORMATS = frozenset(
    {
        *("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6"),
        "uuid",
    }
)
_KEPT = frozenset({"type", "title", "description", "default", "enum", "const", "anyOf", "allOf"})
_KEPT_OF_TYPE = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems"}),
    "string": frozenset({"format", "pattern"}),
}
_DROPPED = frozenset({"$schema", "$id", "$comment", "discriminator", "$defs", "definitions"})
# Beyond what a finite automaton can match.
_HARD_PATTERN = re.compile(r"\(\?|\\[1-9bBkpP]")


def transform_schema(schema: Any, where: str = "the output") -> Schema:
    """Return a schema, or that of a type, as the API guarantees it; `where` names it in errors.

    Raises `UnsayableTypeError` for what it cannot: objects of any keys, lists of anything, values
    of any type, and types within themselves.
    """
    written = dict(schema) if isinstance(schema, Mapping) else schema_of(schema, where)
    definitions = {
        name: body
        for keyword in ("definitions", "$defs")
        for name, body in written.get(keyword, {}).items()
    }
    _refuse_recursion(definitions, where)
    done = _rewritten(written, where)
    if definitions:
        done["$defs"] = {name: _rewritten(body, name) for name, body in definitions.items()}
    return done


def _rewritten(schema: Any, where: str) -> Schema:
    if not isinstance(schema, Mapping):
        raise UnsayableTypeError(f"{where}: {schema!r} is no schema that can be guaranteed")
    merged = _merged(schema)
    if "$ref" in merged:
        return _reference(str(merged["$ref"]), where)
    kinds = _kinds(merged)
    done, told = _split(merged, kinds)
    if not (kinds or done.keys() & {"enum", "const", "anyOf", "allOf"}):
        raise UnsayableTypeError(f"{where}: a value of any type cannot be guaranteed; say which")
    for keyword in ("anyOf", "allOf"):
        if keyword in done:
            done[keyword] = [
                _rewritten(one, f"{where}.{keyword}[{at}]") for at, one in enumerate(done[keyword])
            ]
    if "object" in kinds:
        _close(done, where)
    if "array" in kinds:
        _fill(done, told, where)
    return _with_told(done, told)


def _reference(ref: str, where: str) -> Schema:
    """Return a reference alone: what stands beside one is not guaranteed."""
    local = ref.replace("#/definitions/", REF, 1)
    if not local.startswith(REF):
        raise UnsayableTypeError(f"{where}: {ref} is no definition of the schema")
    return {"$ref": local}


def _split(schema: Schema, kinds: list[str]) -> tuple[Schema, dict[str, Any]]:
    """Return the keywords that are guaranteed, and the others that mean something."""
    done: Schema = {}
    told: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _DROPPED:
            continue
        known = keyword in _KEPT or any(keyword in _KEPT_OF_TYPE.get(one, ()) for one in kinds)
        (done if known and _is_guaranteed(keyword, value) else told)[keyword] = value
    return done, told


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type")
    if isinstance(kind, list):
        return kind
    if isinstance(kind, str):
        return [kind]
    return ["object"] if "properties" in schema else []


def _merged(schema: Mapping[str, Any]) -> Schema:
    """Return a schema without `oneOf`, and without an `allOf` around a single reference."""
    merged = dict(schema)
    if "oneOf" in merged and "anyOf" not in merged:
        merged["anyOf"] = merged.pop("oneOf")
    parts = merged.get("allOf")
    if isinstance(parts, list) and len(parts) == 1 and "$ref" in parts[0]:
        return {"$ref": parts[0]["$ref"]}
    return merged


def _is_guaranteed(keyword: str, value: Any) -> bool:
    if keyword == "format":
        return value in FORMATS
    if keyword == "minItems":
        return value in {0, 1}
    if keyword == "pattern":
        return isinstance(value, str) and _HARD_PATTERN.search(value) is None
    return True


def _close(done: Schema, where: str) -> None:
    """Let an object have no other properties than those it lists."""
    properties = done.get("properties")
    if properties is None or (not properties and done.get("additionalProperties")):
        raise UnsayableTypeError(
            f"{where}: an object of any keys cannot be guaranteed; list its properties, or make it "
            "a list of pairs"
        )
    done["properties"] = {
        name: _rewritten(one, f"{where}.{name}") for name, one in properties.items()
    }
    done["additionalProperties"] = False


def _fill(done: Schema, told: Schema, where: str) -> None:
    """Say what an array holds. It can be guaranteed to have an item, but not to have two."""
    if told.get("minItems", 0) > 1:
        done["minItems"] = 1
    first = told.pop("prefixItems", None)
    if first:
        branches: list[Any] = []
        for at, one in enumerate(first):
            branch = _rewritten(one, f"{where}[{at}]")
            if branch not in branches:
                branches.append(branch)
        done["items"] = branches[0] if len(branches) == 1 else {"anyOf": branches}
        if len(branches) > 1:
            told["in this order"] = [_shown(one) for one in first]
    elif isinstance(done.get("items"), Mapping):
        done["items"] = _rewritten(done["items"], f"{where}[]")
    else:
        raise UnsayableTypeError(f"{where}: an array of anything cannot be guaranteed; say of what")


def _shown(schema: Any) -> str:
    """Return a few words for a schema."""
    return str(schema.get("title") or schema.get("type") or name_of(schema) or "one of its values")


def _with_told(done: Schema, told: Schema) -> Schema:
    """Return a schema whose description tells what is not enforced."""
    if not told:
        return done
    said = "; ".join(
        f"{keyword}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}"
        for keyword, value in told.items()
    )
    before = done.get("description", "")
    return {**done, "description": f"{before} ({said})" if before else f"({said})"}


def _refuse_recursion(definitions: Mapping[str, Any], where: str) -> None:
    """Raise `UnsayableTypeError` if a definition leads to itself: the API guarantees no such."""
    targets = {name: set(_targets(body)) for name, body in definitions.items()}
    while targets:
        leaves = [name for name, names in targets.items() if not names & targets.keys()]
        if not leaves:
            names = " and ".join(sorted(targets))
            raise UnsayableTypeError(
                f"{where}: {names} holds values of its own type, to any depth; that cannot be "
                "guaranteed"
            )
        for name in leaves:
            del targets[name]


def _targets(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(ref := schema.get("$ref"), str):
            yield ref.rpartition("/")[2]
        for one in schema.values():
            yield from _targets(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from _targets(one)
