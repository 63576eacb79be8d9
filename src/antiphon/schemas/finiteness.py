"""Which views have values that end: an object that requires itself has none."""

from collections.abc import Sequence
from typing import TypeAlias

from antiphon.schemas.alternatives import Alternatives
from antiphon.schemas.document import Document, named_items
from antiphon.schemas.view import View

_Ways: TypeAlias = list[list[View]]
"""The ways to make a value of a view, each with the views of what it must have inside."""


class Finiteness:
    """Looks at the views of one document."""

    def __init__(self, document: Document, alternatives: Alternatives) -> None:
        self._document = document
        self._alternatives = alternatives
        self._ends: dict[int, bool] = {}

    def has_end(self, view: View) -> bool:
        """Whether some value of `view` ends, as far as what it must have inside matters."""
        if id(view) not in self._ends:
            self._find_out(view)
        return self._ends[id(view)]

    def _find_out(self, view: View) -> None:
        """Find all that a value of `view` must have inside, and then what of it ends."""
        ways: dict[int, _Ways] = {}
        waiting = [view]
        while waiting:
            one = waiting.pop()
            if id(one) not in ways and id(one) not in self._ends:
                ways[id(one)] = self._ways(one)
                waiting.extend(inner for way in ways[id(one)] for inner in way)
        new = True
        while new:
            new = False
            # The innermost were found last.
            for key in reversed([*ways]):
                self._document.steps.take()
                if any(all(self._ends.get(id(one), False) for one in way) for way in ways[key]):
                    self._ends[key] = new = True
                    del ways[key]
        self._ends.update(dict.fromkeys(ways, False))

    def _ways(self, view: View) -> _Ways:
        return [way for one in self._alternatives.of(view) for way in self._inside(one)]

    def _inside(self, view: View) -> _Ways:
        types: Sequence[str] = view.implied_types
        if view.values is not None or not {*types} <= {"object", "array"} or not types:
            return [[]]
        document = self._document
        found: _Ways = []
        if "object" in types:
            found.append([document.part(view, name) for name in view.required])
        if "array" in types:
            least = int(view.words.get("minItems", 0))
            # Behind those that are named, all are alike.
            count = min(least, named_items(view) + 1)
            found.append([document.item(view, place) for place in range(count)])
        return found
