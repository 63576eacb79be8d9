"""Whether no value can fit two views at once, or any that fits one fits another, where plain."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from antiphon.schemas.document import Document
from antiphon.schemas.values import type_of
from antiphon.schemas.view import SILENT, View

DEPTH: Final = 4


def are_apart(document: Document, one: View, other: View, depth: int = DEPTH) -> bool:
    """Whether it is plain that no value fits both views."""
    document.steps.take()
    if one.impossible or other.impossible:
        return True
    if one.values is not None and other.values is not None:
        return one.values.keys().isdisjoint(other.values)
    mine, theirs = types_of(one), types_of(other)
    if mine and theirs and not mine & theirs:
        return True
    # Words of properties say nothing of other values: one that names its type is enough.
    if not depth or mine | theirs != {"object"}:
        return False
    return _requires_otherwise(document, one, other, depth) or _requires_otherwise(
        document, other, one, depth
    )


def _requires_otherwise(document: Document, one: View, other: View, depth: int) -> bool:
    """Whether one requires a property to be what it is not in the other."""
    return any(
        are_apart(document, document.part(one, name), document.part(other, name), depth - 1)
        for name in one.required
    )


def told_apart(document: Document, views: Sequence[View]) -> bool:
    """Whether each value fits one of the views at most, for one and the same reason.

    That is how unions are told apart as a rule: a property that all require has other values in
    each. It takes a step for each view, and not one for each two.
    """
    if any(types_of(view) != {"object"} for view in views):
        return False
    shared = set(views[0].required).intersection(*(view.required for view in views[1:]))
    for name in sorted(shared):
        seen: set[Hashable] = set()
        for view in views:
            document.steps.take()
            values = document.part(view, name).values
            if values is None or not seen.isdisjoint(values):
                break
            seen.update(values)
        else:
            return True
    return False


def entails(document: Document, view: View, wanted: View, depth: int = DEPTH) -> bool:
    """Whether it is plain that each value that fits `view` fits `wanted`, too."""
    document.steps.take()
    if view.impossible or wanted.is_free:
        return True
    if wanted.impossible or not depth or not _is_plain(wanted):
        return False
    if wanted.values is not None:
        return view.values is not None and view.values.keys() <= wanted.values.keys()
    mine = types_of(view)
    if wanted.types is not None and not (mine and mine <= {*wanted.types}):
        return False
    return not (wanted.required or wanted.parts) or (
        mine == {"object"} and _has_all(document, view, wanted, depth)
    )


def _has_all(document: Document, view: View, wanted: View, depth: int) -> bool:
    """Whether objects have all properties that are wanted, and these what is wanted of them."""
    names = dict.fromkeys(name for group in wanted.parts for part in group for name in part.named)
    return {*wanted.required} <= {*view.required} and all(
        entails(document, document.part(view, name), document.part(wanted, name), depth - 1)
        for name in names
    )


def _is_plain(view: View) -> bool:
    """Whether nothing is asked but types, values, and that of some properties."""
    others = (view.words, view.patterns, view.formats, view.items, view.names, view.contains)
    more = (view.needs, view.choices, view.nots, view.unenforced)
    return (
        not any(others)
        and not any(more)
        and not any(part.patterns or part.closing for group in view.parts for part in group)
    )


def types_of(view: View) -> set[str]:
    """Name the types of what fits, numbers all alike; none if it may be any."""
    if view.values is not None:
        return {type_of(value) for value in view.values.values()}
    return {"number" if name == "integer" else name for name in view.types or ()}


def opposites(document: Document, condition: Any) -> list[Any] | None:
    """Return schemas of which any says that an object does not fit `condition`, if that is plain.

    A condition is plain if it asks for properties, and for values of properties: one of them is
    missing, or has another value.
    """
    if not isinstance(condition, Mapping) or condition.keys() - {*SILENT, *_CONDITION}:
        return None
    found: list[Any] = []
    for name in condition.get("required", ()):
        key = ("without", name)
        found.append(document.made(key, {"properties": {name: False}}))
    for name, part in condition.get("properties", {}).items():
        if not isinstance(part, Mapping) or not part.keys() - SILENT <= {"const", "enum"}:
            return None
        asked = {"properties": {name: {"not": part}}, "required": [name]}
        found.append(document.made(("not", id(condition), name), asked))
    return found


_CONDITION: Final = frozenset({"type", "properties", "required"})
