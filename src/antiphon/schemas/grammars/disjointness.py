"""Whether no value can fit two schemas at once, as far as that is plain to see."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

from antiphon.schemas.merging import NEVER, Schema, is_of, part_of, same, types_of

DEPTH: Final = 4


def are_apart(parts: Sequence[Schema]) -> bool:
    """Say whether each value fits one of `parts` at most."""
    return all(_apart(one, other, DEPTH) for one, other in combinations(parts, 2))


def _apart(one: Any, other: Any, depth: int) -> bool:
    if one is False or other is False or NEVER in (one, other):
        return True
    if not isinstance(one, dict) or not isinstance(other, dict) or not depth:
        return False
    mine, theirs = _values(one), _values(other)
    if mine is not None and theirs is not None:
        return not any(same(value, member) for value in mine for member in theirs)
    kinds, others = _kinds(one, mine), _kinds(other, theirs)
    if kinds and others and not kinds & others:
        return True
    if kinds == others == {"object"}:
        return _objects_apart(one, other, depth) or _objects_apart(other, one, depth)
    return False


def _objects_apart(one: Schema, other: Schema, depth: int) -> bool:
    """Whether one requires what the other forbids, or both require what differs."""
    return any(
        (theirs := part_of(other, name)) is False
        or (name in other.get("required", ()) and _apart(part_of(one, name), theirs, depth - 1))
        for name in one.get("required", ())
    )


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _kinds(schema: Schema, values: list[Any] | None) -> set[str]:
    """Name the types of what fits, numbers all alike; nothing if it may be any."""
    names = types_of(schema) if values is None else [_kind(value) for value in values]
    return {"number" if name == "integer" else name for name in names}


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return next((name for name in ("string", "array", "object") if is_of(value, name)), "number")
