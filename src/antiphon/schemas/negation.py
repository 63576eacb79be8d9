"""What `not` asks for, where that can be said without it."""

from collections.abc import Sequence
from typing import Any

from antiphon.schemas.document import Document
from antiphon.schemas.values import APART, TYPES, is_of
from antiphon.schemas.view import View


def can_be_denied(view: View) -> bool:
    """Whether what does not fit can be said: anything does, or types, or what has one property."""
    return view.asks in (set(), {"types"}, {"required"}, {"types", "required"}) and (
        len(view.required) <= 1
    )


def permitted(
    document: Document, view: View, unenforced: set[str]
) -> tuple[View | None, tuple[str, ...]]:
    """Return `view` with what can be said of its `not`, and the strings that are forbidden.

    Nothing is left of a view that forbids all. What cannot be said is noted in `unenforced`.
    """
    strings: list[str] = []
    absent: dict[str, bool] = {}
    types: Sequence[str] | None = view.types
    for wrong in view.nots:
        denied = document.of(wrong)
        asked = denied.asks
        if denied.impossible:
            continue
        if denied.is_free:
            return None, ()
        if asked == {"types"}:
            types = _others(types, denied.types or (), unenforced)
        elif asked <= {"types", "values"} and denied.values is not None:
            strings.extend(_strings(types, [*denied.values.values()], unenforced))
        elif can_be_denied(denied) and types == ("object",):
            absent[denied.required[0]] = False
        else:
            unenforced.add("not")
    more: list[Any] = []
    if types is not None and types != view.types:
        more.append(document.made(("types", *types), {"type": [*types]}))
    if absent:
        more.append(document.made(("absent", *absent), {"properties": absent}))
    if types == ():
        return None, ()
    return (document.joined(view, *more) if more else view), tuple(strings)


def _others(
    types: Sequence[str] | None, wrong: Sequence[str], unenforced: set[str]
) -> tuple[str, ...]:
    allowed = APART if types is None else types
    if "integer" in wrong and "number" in allowed:
        unenforced.add("not")
    gone = {*wrong, "integer"} if "number" in wrong else {*wrong}
    return tuple(name for name in allowed if name not in gone)


def _strings(types: Sequence[str] | None, values: Sequence[Any], unenforced: set[str]) -> list[str]:
    allowed = TYPES if types is None else types
    others = [value for value in values if not isinstance(value, str)]
    if any(is_of(value, name) for value in others for name in allowed):
        unenforced.add("not")
    return [value for value in values if isinstance(value, str)]
