"""Tells which types the parts of nested elements may have: what stands there has no quotes."""

from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from typing import Any

from antiphon.schemas.alternatives import Alternatives
from antiphon.schemas.document import Document
from antiphon.schemas.steps import Steps, TooComplexError
from antiphon.schemas.values import DISJOINT_TYPES, type_of
from antiphon.schemas.view import View


def names_null(alternatives: Alternatives, view: View) -> bool:
    """Whether a schema names `null` as a type or a value; what allows anything does not."""
    for one in alternatives.of(view):
        values = one.values
        if values is not None and any(value is None for value in values.values()):
            return True
        if values is None and one.types is not None and "null" in one.types:
            return True
    return False


class PartTypes:
    """What a part of a value may be: one of some views without choices, or of some values."""

    def __init__(
        self,
        document: Document,
        alternatives: Alternatives,
        views: Sequence[View],
        values: Sequence[Any],
    ) -> None:
        self._document = document
        self._alternatives = alternatives
        self._views = views
        self._values = values
        self._parts: dict[str | int, PartTypes] = {}
        kinds = {type_of(value) for value in values}
        for view in views:
            kinds.update(view.implied_types or DISJOINT_TYPES)
        self.kinds = frozenset(kinds or DISJOINT_TYPES)
        """The names of its types; `integer` stands there for whole numbers only."""

    @classmethod
    def of(cls, schema: Any, steps: Steps) -> "PartTypes":
        """Return what the values of a schema may be. What takes too many steps may be anything."""
        document = Document(schema, steps)
        alternatives = Alternatives(document)
        whole = cls(document, alternatives, (), ())
        return whole._part(lambda: [document.of(document.root)], ())

    def property(self, name: str) -> "PartTypes":
        """Return what a property of an object may be."""
        if name not in self._parts:
            listed = [one[name] for one in self._values if isinstance(one, dict) and name in one]
            of_view = self._document.property_view
            self._parts[name] = self._part(
                lambda: [of_view(view, name) for view in self._of_type("object")], listed
            )
        return self._parts[name]

    def item(self, index: int) -> "PartTypes":
        """Return what an item of an array may be."""
        if index not in self._parts:
            listed = [
                one[index] for one in self._values if isinstance(one, list) and index < len(one)
            ]
            of_view = self._document.item_view
            self._parts[index] = self._part(
                lambda: [of_view(view, index) for view in self._of_type("array")], listed
            )
        return self._parts[index]

    def left_out(self, written: Container[str]) -> list[str]:
        """Return the properties that an object must have, that may be `null`, and that it lacks."""
        views = self._of_type("object")
        if not views or self._values:
            return []
        first, *others = views
        with suppress(TooComplexError):
            return [
                name
                for name in first.required
                if name not in written
                and all(name in view.required for view in others)
                and all(self._may_be_null(view, name) for view in views)
            ]
        return []

    def _may_be_null(self, view: View, name: str) -> bool:
        return names_null(self._alternatives, self._document.property_view(view, name))

    def _of_type(self, name: str) -> list[View]:
        return [view for view in self._views if name in (view.implied_types or DISJOINT_TYPES)]

    def _part(self, views: Callable[[], Iterable[View]], listed: Sequence[Any]) -> "PartTypes":
        found: list[View] = []
        values = [*listed]
        with suppress(TooComplexError):
            for view in views():
                for one in self._alternatives.of(view):
                    if one.values is None:
                        found.append(one)
                    else:
                        values.extend(one.values.values())
            return PartTypes(self._document, self._alternatives, found, values)
        return PartTypes(self._document, self._alternatives, (), ())
