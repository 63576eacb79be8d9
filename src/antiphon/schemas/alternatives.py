"""A view with choices in it, as views without: the ways of which a value must fit one.

`anyOf` and `oneOf` are split into their ways and `if` into what fits it and what does not, unless
what is asked besides decides it. Of conditions that ask for the values of one property all but one
are decided once its value is known: they are as many ways as there are values, and deciding them
takes the square of that. Choices that have nothing to do with each other multiply: from `WAYS`
views on, a choice that has been split in one is left to the check in the others.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

from antiphon.schemas.check import Check
from antiphon.schemas.disjointness import are_apart, entails, opposites, told_apart
from antiphon.schemas.document import Document
from antiphon.schemas.negation import can_be_denied
from antiphon.schemas.view import UNENFORCED, Choice, Condition, Mark, Union, View

WAYS: Final = 64
"""How many ways of a view may come of choices that multiply."""


class Alternatives:
    """Splits the views of one document. A way that does not keep a choice has its word as `unenforced`.

    A `tight` one leaves out what could not be kept, as far as that is known.
    """

    def __init__(self, document: Document, *, tight: bool = False) -> None:
        self._document = document
        self._check = Check(document)
        self._tight = tight
        self._exclusive: dict[Mark, list[Any]] = {}
        self._known: dict[int, list[View]] = {}

    def of(self, view: View) -> list[View]:
        """Return the ways of `view`, in the order of its schema; none if no value fits."""
        if not view.choices:
            return [] if view.impossible else [view]
        known = self._known.get(id(view))
        if known is None:
            split = self._ways if view.values is None else self._fitting
            known = self._known[id(view)] = split(view)
        return known

    def _fitting(self, view: View) -> list[View]:
        """Leave of a view that lists its values those that fit all choices."""
        values = [value for value in (view.values or {}).values() if self._check.fits(value, view)]
        settled = [choice.mark for choice in view.choices]
        if not values:
            return []
        asked = self._document.made(("fitting", id(view)), {"enum": values})
        return [self._document.joined(view, asked, settled=settled)]

    def _ways(self, view: View) -> list[View]:
        found: list[View] = []
        split = _Split(self._document)
        seen = {id(view)}
        waiting = [view]
        while waiting:
            one = self._decided(waiting.pop())
            if self._is_dead(one):
                continue
            if not one.choices:
                found.append(one)
                continue
            split.views = len(found) + len(waiting)
            new = [way for way in self._split(one, split) if id(way) not in seen]
            seen.update(map(id, new))
            waiting.extend(reversed(new))
        return found

    def _is_dead(self, view: View) -> bool:
        document = self._document
        return view.impossible or (
            "object" in view.implied_types
            and len(view.implied_types) == 1
            and any(document.part(view, name).impossible for name in view.required)
        )

    def _decided(self, view: View) -> View:
        """Make the choices of `if` that what is asked besides decides."""
        while True:
            marks: list[Mark] = []
            asked: list[Any] = []
            for choice in view.choices:
                if isinstance(choice, Condition):
                    holds = self._holds(view, choice)
                    if holds is not None:
                        marks.append(choice.mark)
                        asked.append(choice.then if holds else choice.otherwise)
            if not marks:
                return view
            view = self._document.joined(view, *asked, settled=marks)

    def _holds(self, view: View, condition: Condition) -> bool | None:
        when = self._document.of(condition.when)
        if are_apart(self._document, view, when):
            return False
        return True if entails(self._document, view, when) else None

    def _split(self, view: View, split: "_Split") -> list[View]:
        choice = view.choices[0]
        if isinstance(choice, Union):
            asked = choice.ways if choice.word == "anyOf" else self._exclusive_ways(choice)
            ways = [
                self._document.joined(view, way, settled=[choice.mark])
                for way in asked
                if not split.leads_back(choice, way)
            ]
        else:
            ways = [*self._branches(view, choice, split)]
        if split.may_be_made(choice, len(ways)):
            return ways
        if self._tight:
            return [way for way in ways if not self._is_dead(way)][:1]
        return [self._document.joined(view, UNENFORCED[choice.word], settled=[choice.mark])]

    def _branches(self, view: View, choice: Condition, split: "_Split") -> Iterator[View]:
        """Return what fits `if` and `then`, and what fits `else` and not `if`.

        Of a condition whose opposite is not plain, the second may fit `if`, too; a tight grammar
        has it only for want of the first.
        """
        joined, marks = self._document.joined, [choice.mark]
        if not split.leads_back(choice, choice.then):
            first = joined(view, choice.when, choice.then, settled=marks)
            yield first
            if self._tight and not self._is_dead(first):
                return
        if split.leads_back(choice, choice.otherwise):
            return
        against = opposites(self._document, choice.when)
        if against is None:
            against = [UNENFORCED[choice.word]]
        for one in against:
            yield joined(view, one, choice.otherwise, settled=marks)

    def _exclusive_ways(self, union: Union) -> Sequence[Any]:
        if union.mark not in self._exclusive:
            self._exclusive[union.mark] = self._made_exclusive(union)
        return self._exclusive[union.mark]

    def _made_exclusive(self, union: Union) -> list[Any]:
        """Return each way of `oneOf` without what fits another; ways that list values are one."""
        document = self._document
        views = [document.of(way) for way in union.ways]
        open_ways = [place for place, view in enumerate(views) if view.values is None]
        values = self._fitting_once(views, open_ways)
        asked = [document.made(("once", union.mark), {"enum": values})] if values else []
        rivals, unsure = self._rivals(views, open_ways)
        for place in open_ways:
            denied = [union.ways[rival] for rival in rivals[place]]
            wrong = [*denied, *self._listed_in(views, place)]
            parts = [union.ways[place], *([{"not": {"anyOf": wrong}}] if wrong else ())]
            parts += [UNENFORCED["oneOf"]] if place in unsure else []
            key = ("exclusive", union.mark, place)
            asked.append(document.made(key, {"allOf": parts}) if parts[1:] else parts[0])
        return asked

    def _rivals(
        self, views: Sequence[View], places: Sequence[int]
    ) -> tuple[dict[int, list[int]], set[int]]:
        """Return what each way has to be without, and the ways of which that cannot be said."""
        document = self._document
        found: dict[int, list[int]] = {place: [] for place in places}
        if len(places) > 1 and told_apart(document, [views[place] for place in places]):
            return found, set()
        others = [place for place in places if not can_be_denied(views[place])]
        deniable = [place for place in places if place not in {*others}]
        unsure = {
            place
            for place in places
            if any(
                at != place and not are_apart(document, views[place], views[at]) for at in others
            )
        }
        for place in places:
            found[place] = [
                at
                for at in deniable
                if at != place and not are_apart(document, views[place], views[at])
            ]
        return found, unsure

    def _fitting_once(self, views: Sequence[View], open_ways: Sequence[int]) -> list[Any]:
        """Return the listed values that fit one way and no other."""
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
            and not any(self._check.fits(value, views[place]) for place in open_ways)
        ]

    def _listed_in(self, views: Sequence[View], place: int) -> list[Any]:
        """Return a schema of the listed values that fit a way that lists none."""
        found = [
            value
            for view in views
            for value in (view.values or {}).values()
            if self._check.fits(value, views[place]) and self._check.fits(value, view)
        ]
        return [{"enum": found}] if found else []


class _Split:
    """The choices that were made of one view, of which there are so many `views` by now."""

    def __init__(self, document: Document) -> None:
        self.views = 0
        self._document = document
        self._made: set[Mark] = set()
        self._around: dict[Mark, set[Mark]] = {}

    def may_be_made(self, choice: Choice, ways: int) -> bool:
        """Whether the choice may be split in so many ways more."""
        is_first = choice.mark not in self._made
        self._made.add(choice.mark)
        return is_first or ways <= 1 or self.views + ways <= WAYS

    def leads_back(self, choice: Choice, way: Any) -> bool:
        """Whether a way comes back to the choice, or to one that it is inside of: it adds nothing.

        A way of its own is the least that can be meant: a value must fit for some other reason.
        """
        around = {choice.mark, *self._around.get(choice.mark, ())}
        inside = [one.mark for one in self._document.of(way).choices]
        if not around.isdisjoint(inside):
            return True
        for mark in inside:
            self._around.setdefault(mark, set()).update(around)
        return False
