"""Rewrites `not` as other constraints, where that is possible."""

from collections.abc import Sequence
from typing import Any

from antiphon.schemas.document import Document
from antiphon.schemas.values import DISJOINT_TYPES, TYPES, is_of
from antiphon.schemas.view import View


def is_negatable(view: View) -> bool:
    """Whether a view has a negation: it allows anything, some types, or requires one property."""
    return view.constraint_kinds in (set(), {"types"}, {"required"}, {"types", "required"}) and (
        len(view.required) <= 1
    )


def apply_negations(
    document: Document, view: View, unenforced: set[str]
) -> tuple[View | None, tuple[str, ...]]:
    """Return `view` with its `not` rewritten, and the strings that it forbids.

    Returns None for the view if `not` rejects every value. Adds `not` to `unenforced` if a part of
    it cannot be rewritten.
    """
    strings: list[str] = []
    absent: dict[str, bool] = {}
    types: Sequence[str] | None = view.types
    for schema in view.negated:
        denied = document.of(schema)
        kinds = denied.constraint_kinds
        if denied.impossible:
            continue
        if denied.is_unconstrained:
            return None, ()
        if kinds == {"types"}:
            types = _remaining_types(types, denied.types or (), unenforced)
        elif kinds <= {"types", "values"} and denied.values is not None:
            strings.extend(_forbidden_strings(types, [*denied.values.values()], unenforced))
        elif is_negatable(denied) and types == ("object",):
            absent[denied.required[0]] = False
        else:
            unenforced.add("not")
    extra: list[Any] = []
    if types is not None and types != view.types:
        extra.append(document.intern(("types", *types), {"type": [*types]}))
    if absent:
        extra.append(document.intern(("absent", *absent), {"properties": absent}))
    if types == ():
        return None, ()
    return (document.merged(view, *extra) if extra else view), tuple(strings)


def _remaining_types(
    types: Sequence[str] | None, denied: Sequence[str], unenforced: set[str]
) -> tuple[str, ...]:
    allowed = DISJOINT_TYPES if types is None else types
    if "integer" in denied and "number" in allowed:
        unenforced.add("not")
    removed = {*denied, "integer"} if "number" in denied else {*denied}
    return tuple(name for name in allowed if name not in removed)


def _forbidden_strings(
    types: Sequence[str] | None, values: Sequence[Any], unenforced: set[str]
) -> list[str]:
    allowed = TYPES if types is None else types
    others = [value for value in values if not isinstance(value, str)]
    if any(is_of(value, name) for value in others for name in allowed):
        unenforced.add("not")
    return [value for value in values if isinstance(value, str)]
