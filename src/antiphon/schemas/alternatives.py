"""Expands a view with choices into alternatives: views without choices, of which a value fits one.

`anyOf` and `oneOf` expand into their branches, `if` into the cases that it holds and that it does
not, unless the other constraints decide it. A value of a property decides all conditions on that
property but one, so these expand into as many alternatives as there are values, in quadratic time.
Independent choices multiply: from `MOST_ALTERNATIVES` views on, a choice that was expanded in one
view is left to the check in the others.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

from antiphon.schemas.check import Check
from antiphon.schemas.disjointness import are_discriminated, are_disjoint, entails, opposites
from antiphon.schemas.document import Document
from antiphon.schemas.negation import is_negatable
from antiphon.schemas.view import UNENFORCED, Choice, Condition, Mark, Union, View

MOST_ALTERNATIVES: Final = 64
"""The limit on alternatives of a view that multiply."""


class Alternatives:
    """Expands the views of one document.

    An alternative that does not enforce a choice names its keyword in `unenforced`. With `tight`,
    such alternatives are dropped where possible.
    """

    def __init__(self, document: Document, *, tight: bool = False) -> None:
        self._document = document
        self._check = Check(document)
        self._tight = tight
        self._exclusive: dict[Mark, list[Any]] = {}
        self._known: dict[int, list[View]] = {}

    def of(self, view: View) -> list[View]:
        """Return the alternatives of `view`, in the order of its schema; none if no value fits."""
        if not view.choices:
            return [] if view.impossible else [view]
        known = self._known.get(id(view))
        if known is None:
            expand = self._expanded if view.values is None else self._with_fitting_values
            known = self._known[id(view)] = expand(view)
        return known

    def _with_fitting_values(self, view: View) -> list[View]:
        """Reduce a view that lists its values to the values that fit all choices."""
        values = [value for value in (view.values or {}).values() if self._check.fits(value, view)]
        resolved = [choice.mark for choice in view.choices]
        if not values:
            return []
        fitting = self._document.intern(("fitting", id(view)), {"enum": values})
        return [self._document.merged(view, fitting, resolved=resolved)]

    def _expanded(self, view: View) -> list[View]:
        found: list[View] = []
        expansion = _Expansion(self._document)
        seen = {id(view)}
        waiting = [view]
        while waiting:
            one = self._with_decided_conditions(waiting.pop())
            if self._is_impossible(one):
                continue
            if not one.choices:
                found.append(one)
                continue
            expansion.views = len(found) + len(waiting)
            new = [
                expanded
                for expanded in self._expand_choice(one, expansion)
                if id(expanded) not in seen
            ]
            seen.update(map(id, new))
            waiting.extend(reversed(new))
        return found

    def _is_impossible(self, view: View) -> bool:
        document = self._document
        return view.impossible or (
            "object" in view.implied_types
            and len(view.implied_types) == 1
            and any(document.property_view(view, name).impossible for name in view.required)
        )

    def _with_decided_conditions(self, view: View) -> View:
        """Resolve the conditions that the other constraints decide."""
        while True:
            marks: list[Mark] = []
            outcomes: list[Any] = []
            for choice in view.choices:
                if isinstance(choice, Condition):
                    holds = self._holds(view, choice)
                    if holds is not None:
                        marks.append(choice.mark)
                        outcomes.append(choice.then if holds else choice.otherwise)
            if not marks:
                return view
            view = self._document.merged(view, *outcomes, resolved=marks)

    def _holds(self, view: View, condition: Condition) -> bool | None:
        when = self._document.of(condition.when)
        if are_disjoint(self._document, view, when):
            return False
        return True if entails(self._document, view, when) else None

    def _expand_choice(self, view: View, expansion: "_Expansion") -> list[View]:
        choice = view.choices[0]
        if isinstance(choice, Union):
            branches = (
                choice.branches if choice.keyword == "anyOf" else self._exclusive_branches(choice)
            )
            alternatives = [
                self._document.merged(view, branch, resolved=[choice.mark])
                for branch in branches
                if not expansion.leads_back(choice, branch)
            ]
        else:
            alternatives = [*self._condition_branches(view, choice, expansion)]
        if expansion.allows(choice, len(alternatives)):
            return alternatives
        if self._tight:
            return [one for one in alternatives if not self._is_impossible(one)][:1]
        return [self._document.merged(view, UNENFORCED[choice.keyword], resolved=[choice.mark])]

    def _condition_branches(
        self, view: View, choice: Condition, expansion: "_Expansion"
    ) -> Iterator[View]:
        """Return the view of `if` and `then`, and the views of `else` and not `if`.

        Where `if` cannot be negated, the view of `else` admits values that fit `if`, too; with
        `tight`, it is used only if the first view is impossible.
        """
        merged, marks = self._document.merged, [choice.mark]
        if not expansion.leads_back(choice, choice.then):
            first = merged(view, choice.when, choice.then, resolved=marks)
            yield first
            if self._tight and not self._is_impossible(first):
                return
        if expansion.leads_back(choice, choice.otherwise):
            return
        negations = opposites(self._document, choice.when)
        if negations is None:
            negations = [UNENFORCED[choice.keyword]]
        for negation in negations:
            yield merged(view, negation, choice.otherwise, resolved=marks)

    def _exclusive_branches(self, union: Union) -> Sequence[Any]:
        if union.mark not in self._exclusive:
            self._exclusive[union.mark] = self._make_exclusive(union)
        return self._exclusive[union.mark]

    def _make_exclusive(self, union: Union) -> list[Any]:
        """Return the branches of `oneOf`, each without the values that fit another.

        Branches that list their values become one branch.
        """
        document = self._document
        views = [document.of(branch) for branch in union.branches]
        unlisted = [index for index, view in enumerate(views) if view.values is None]
        values = self._values_fitting_once(views, unlisted)
        branches = [document.intern(("listed", union.mark), {"enum": values})] if values else []
        rivals, uncertain = self._rivals(views, unlisted)
        for index in unlisted:
            denied = [union.branches[rival] for rival in rivals[index]]
            excluded = [*denied, *self._listed_values_fitting(views, index)]
            parts = [union.branches[index], *([{"not": {"anyOf": excluded}}] if excluded else ())]
            parts += [UNENFORCED["oneOf"]] if index in uncertain else []
            key = ("exclusive", union.mark, index)
            branches.append(document.intern(key, {"allOf": parts}) if parts[1:] else parts[0])
        return branches

    def _rivals(
        self, views: Sequence[View], indices: Sequence[int]
    ) -> tuple[dict[int, list[int]], set[int]]:
        """Return the rivals that each branch excludes, and the branches that cannot exclude all."""
        document = self._document
        found: dict[int, list[int]] = {index: [] for index in indices}
        if len(indices) > 1 and are_discriminated(document, [views[index] for index in indices]):
            return found, set()
        others = [index for index in indices if not is_negatable(views[index])]
        negatable = [index for index in indices if index not in {*others}]
        uncertain = {
            index
            for index in indices
            if any(
                other != index and not are_disjoint(document, views[index], views[other])
                for other in others
            )
        }
        for index in indices:
            found[index] = [
                other
                for other in negatable
                if other != index and not are_disjoint(document, views[index], views[other])
            ]
        return found, uncertain

    def _values_fitting_once(self, views: Sequence[View], unlisted: Sequence[int]) -> list[Any]:
        """Return the listed values that fit exactly one branch."""
        counts: dict[Hashable, int] = {}
        values: dict[Hashable, Any] = {}
        for view in views:
            for key, value in (view.values or {}).items():
                if self._check.fits(value, view):
                    values[key] = value
                    counts[key] = counts.get(key, 0) + 1
        return [
            value
            for key, value in values.items()
            if counts[key] == 1
            and not any(self._check.fits(value, views[index]) for index in unlisted)
        ]

    def _listed_values_fitting(self, views: Sequence[View], index: int) -> list[Any]:
        """Return a schema of the listed values that also fit the branch at `index`, or nothing."""
        found = [
            value
            for view in views
            for value in (view.values or {}).values()
            if self._check.fits(value, views[index]) and self._check.fits(value, view)
        ]
        return [{"enum": found}] if found else []


class _Expansion:
    """The expansion of one view: which choices were expanded, and how many `views` there are."""

    def __init__(self, document: Document) -> None:
        self.views = 0
        self._document = document
        self._seen: set[Mark] = set()
        self._enclosing: dict[Mark, set[Mark]] = {}

    def allows(self, choice: Choice, count: int) -> bool:
        """Whether the choice may expand into `count` more views."""
        is_first = choice.mark not in self._seen
        self._seen.add(choice.mark)
        return is_first or count <= 1 or self.views + count <= MOST_ALTERNATIVES

    def leads_back(self, choice: Choice, branch: Any) -> bool:
        """Whether a branch leads back to its choice, or to one around it.

        Such a branch adds no values: a value must fit another branch first.
        """
        enclosing = {choice.mark, *self._enclosing.get(choice.mark, ())}
        inside = [one.mark for one in self._document.of(branch).choices]
        if not enclosing.isdisjoint(inside):
            return True
        for mark in inside:
            self._enclosing.setdefault(mark, set()).update(enclosing)
        return False
