"""Decides, for simple cases, whether two views are disjoint and whether one entails another."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final

from antiphon.schemas.document import Document
from antiphon.schemas.values import type_of
from antiphon.schemas.view import INERT, View

DEPTH: Final = 4


def are_disjoint(document: Document, one: View, other: View, depth: int = DEPTH) -> bool:
    """Whether no value fits both views; False if that is undecided."""
    document.steps.take()
    if one.impossible or other.impossible:
        return True
    if one.values is not None and other.values is not None:
        return one.values.keys().isdisjoint(other.values)
    mine, theirs = types_of(one), types_of(other)
    if mine and theirs and not mine & theirs:
        return True
    # Property keywords do not apply to other types: at least one view must have the type `object`.
    if not depth or mine | theirs != {"object"}:
        return False
    return _requires_different_value(document, one, other, depth) or _requires_different_value(
        document, other, one, depth
    )


def _requires_different_value(document: Document, one: View, other: View, depth: int) -> bool:
    """Whether `one` requires a property whose values are disjoint from those in `other`."""
    return any(
        are_disjoint(
            document,
            document.property_view(one, name),
            document.property_view(other, name),
            depth - 1,
        )
        for name in one.required
    )


def are_discriminated(document: Document, views: Sequence[View]) -> bool:
    """Whether one property discriminates the views: all require it, each with different values.

    Most unions have such a property. The test takes a step for each view, not for each pair.
    """
    if any(types_of(view) != {"object"} for view in views):
        return False
    required = set(views[0].required).intersection(*(view.required for view in views[1:]))
    for name in sorted(required):
        seen: set[Hashable] = set()
        for view in views:
            document.steps.take()
            values = document.property_view(view, name).values
            if values is None or not seen.isdisjoint(values):
                break
            seen.update(values)
        else:
            return True
    return False


def entails(document: Document, view: View, wanted: View, depth: int = DEPTH) -> bool:
    """Whether each value that fits `view` also fits `wanted`; False if that is undecided."""
    document.steps.take()
    if view.impossible or wanted.is_unconstrained:
        return True
    if wanted.impossible or not depth or not _is_simple(wanted):
        return False
    if wanted.values is not None:
        return view.values is not None and view.values.keys() <= wanted.values.keys()
    mine = types_of(view)
    if wanted.types is not None and not (mine and mine <= {*wanted.types}):
        return False
    return not (wanted.required or wanted.properties) or (
        mine == {"object"} and _entails_properties(document, view, wanted, depth)
    )


def _entails_properties(document: Document, view: View, wanted: View, depth: int) -> bool:
    """Whether `view` requires the properties that `wanted` requires, and entails its subschemas."""
    names = dict.fromkeys(
        name for group in wanted.properties for part in group for name in part.named
    )
    return {*wanted.required} <= {*view.required} and all(
        entails(
            document,
            document.property_view(view, name),
            document.property_view(wanted, name),
            depth - 1,
        )
        for name in names
    )


def _is_simple(view: View) -> bool:
    """Whether the view only constrains types, values, and named properties."""
    of_value = (
        view.keywords,
        view.patterns,
        view.formats,
        view.items,
        view.property_names,
        view.contains,
    )
    of_parts = (view.dependent_required, view.choices, view.negated, view.unenforced)
    return (
        not any(of_value)
        and not any(of_parts)
        and not any(
            part.patterns or part.has_additional for group in view.properties for part in group
        )
    )


def types_of(view: View) -> set[str]:
    """Return the types of the values that fit, `integer` as `number`; empty if any type may fit."""
    if view.values is not None:
        return {type_of(value) for value in view.values.values()}
    return {"number" if name == "integer" else name for name in view.types or ()}


def opposites(document: Document, condition: Any) -> list[Any] | None:
    """Return the negation of `condition` for objects, as a list of alternative schemas.

    It exists if the condition only requires properties and lists their values: then one of them is
    missing, or has another value. Otherwise returns None.
    """
    if not isinstance(condition, Mapping) or condition.keys() - {*INERT, *_CONDITION_KEYWORDS}:
        return None
    found: list[Any] = []
    for name in condition.get("required", ()):
        key = ("without", name)
        found.append(document.intern(key, {"properties": {name: False}}))
    for name, part in condition.get("properties", {}).items():
        if not isinstance(part, Mapping) or not part.keys() - INERT <= {"const", "enum"}:
            return None
        other_value = {"properties": {name: {"not": part}}, "required": [name]}
        found.append(document.intern(("not", id(condition), name), other_value))
    return found


_CONDITION_KEYWORDS: Final = frozenset({"type", "properties", "required"})
