"""Finds the views that have finite values: an object that requires itself has none."""

from collections.abc import Sequence
from typing import TypeAlias

from antiphon.schemas.alternatives import Alternatives
from antiphon.schemas.document import Document, named_items
from antiphon.schemas.view import View

_Requirements: TypeAlias = list[list[View]]
"""The alternatives of a view, each as the views of the parts that a value must have."""


class Finiteness:
    """Decides for the views of one document whether they have finite values."""

    def __init__(self, document: Document, alternatives: Alternatives) -> None:
        self._document = document
        self._alternatives = alternatives
        self._has_finite: dict[int, bool] = {}

    def has_finite_value(self, view: View) -> bool:
        """Whether a finite value of `view` exists, judged by its required parts only."""
        if id(view) not in self._has_finite:
            self._decide(view)
        return self._has_finite[id(view)]

    def _decide(self, view: View) -> None:
        """Collect all views that `view` requires, then propagate finiteness to a fixpoint."""
        requirements: dict[int, _Requirements] = {}
        waiting = [view]
        while waiting:
            one = waiting.pop()
            if id(one) not in requirements and id(one) not in self._has_finite:
                requirements[id(one)] = self._requirements(one)
                waiting.extend(inner for parts in requirements[id(one)] for inner in parts)
        changed = True
        while changed:
            changed = False
            # The innermost views come last.
            for key in reversed([*requirements]):
                self._document.steps.take()
                if any(
                    all(self._has_finite.get(id(one), False) for one in parts)
                    for parts in requirements[key]
                ):
                    self._has_finite[key] = changed = True
                    del requirements[key]
        self._has_finite.update(dict.fromkeys(requirements, False))

    def _requirements(self, view: View) -> _Requirements:
        return [parts for one in self._alternatives.of(view) for parts in self._required_parts(one)]

    def _required_parts(self, view: View) -> _Requirements:
        types: Sequence[str] = view.implied_types
        if view.values is not None or not {*types} <= {"object", "array"} or not types:
            return [[]]
        document = self._document
        found: _Requirements = []
        if "object" in types:
            found.append([document.property_view(view, name) for name in view.required])
        if "array" in types:
            least = int(view.keywords.get("minItems", 0))
            # All items behind the last position with a schema of its own share a view.
            count = min(least, named_items(view) + 1)
            found.append([document.item_view(view, index) for index in range(count)])
        return found
