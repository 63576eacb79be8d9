"""Arrays as grammars: the first items, then any number of others, or none twice."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from antiphon.schemas.document import named_items
from antiphon.schemas.grammars.context import Context
from antiphon.schemas.grammars.gbnf import COMMA, NEXT, Rules, either, literal, times
from antiphon.schemas.view import Asked, Contains, View

MOST: Final = 1000
"""Items that a grammar counts; each costs llama.cpp a rule."""

SHUFFLED: Final = 6
"""Values that may come in any order when none may come twice: a rule for each set of them."""

ORDERED: Final = 64
"""Values that may come in the order of their schema when none may come twice."""


def any_array(rules: Rules, item: str) -> str:
    """Name the rule of any array of such items."""
    return _list(rules, [], item, 0, None)


class Arrays:
    """Writes the arrays of one view."""

    def __init__(self, context: Context, view: View) -> None:
        self._context = context
        self._rules = context.rules
        self._document = context.document
        self._view = view
        self._least = int(view.words.get("minItems", 0))
        most = view.words.get("maxItems")
        self._most = None if most is None else int(most)
        self._known = named_items(view)

    def rule(self) -> str | None:
        """Name the rule of the arrays; nothing if there are none."""
        view = self._view
        is_unique = view.words.get("uniqueItems") is True
        if is_unique and not view.contains and not self._known:
            values = self._values(self._document.item(view, 0))
            if values is not None:
                return self._distinct(values)
        first = [self._document.item_at(view, place) for place in range(self._known)]
        if view.contains:
            first = self._containing(first, *view.contains)
        return self._counted(first)

    def _containing(self, first: list[Asked], wanted: Contains, *others: Contains) -> list[Asked]:
        """Have the first items that no other schema has be those that must be contained."""
        unenforced, count = self._context.unenforced, wanted.least
        if others or wanted.most is not None or count > MOST:
            unenforced.add("contains")
        if count > MOST:
            return first
        rest = self._document.item_at(self._view, self._known)
        more = [*first, *[(*rest, (wanted.schema,))] * count]
        if count and self._most is not None and len(more) > self._most:
            unenforced.add("contains")
            return first
        self._least = max(self._least, len(more))
        return more

    def _counted(self, asked: Sequence[Asked]) -> str | None:
        first: list[str] = []
        most = self._most
        for part in asked[:most]:
            # What a reference leads to may have no end if it must come.
            is_endless = len(first) >= self._least and self._document.has_reference(part)
            item = None if is_endless else self._context.inside(part)
            if item is None:  # no array reaches this place
                most = len(first)
                break
            first.append(item)
        item = None
        if most is None or most > len(first):
            item = self._context.inside(self._document.item_at(self._view, self._known))
        if item is None:
            most = len(first)
        if most is not None and self._least > most:
            return None
        most = self._unrepeated(most)
        if self._least > MOST or (most or 0) > MOST:
            self._context.unenforced.update(("minItems", "maxItems"))
        return _list(self._rules, first[:most], item, self._least, most)

    def _unrepeated(self, most: int | None) -> int | None:
        """Say how many items there may be, if none may come twice."""
        if self._view.words.get("uniqueItems") is not True or (most is not None and most <= 1):
            return most
        shortest = max(self._least, 1)
        if self._context.tight:
            most = shortest if most is None else min(most, shortest)
        if most is None or most > 1:
            self._context.unenforced.add("uniqueItems")
        return most

    def _values(self, items: View) -> list[Any] | None:
        """List the values of items that have few."""
        if items.choices:
            return None
        found = None if items.values is None else [*items.values.values()]
        if found is None:
            types = items.types or ()
            if not types or any(name not in _NAMED for name in types):
                return None
            found = [value for name in types for value in _NAMED[name]]
        if len(found) > ORDERED:
            return None
        return [value for value in found if self._context.check.fits(value, items)]

    def _distinct(self, values: Sequence[Any]) -> str | None:
        most = len(values) if self._most is None else min(self._most, len(values))
        if self._least > most:
            return None
        said = [literal(json.dumps(value, ensure_ascii=False)) for value in values]
        chosen = _Shuffled if len(values) <= SHUFFLED else _Ordered
        written = chosen(self._rules, said, self._least, most)
        return self._rules.add(f'"[" {written.rule()}')


def _list(
    rules: Rules, first: Sequence[str], item: str | None, least: int, most: int | None
) -> str:
    if item is None or most == len(first):
        return rules.add(f'"[" {NEXT.join(first)} "]"')
    more = rules.add(f"{COMMA} {item}")
    least = min(least, MOST)
    most = None if most is None or most > MOST else most
    if first:
        rest = None if most is None else most - len(first)
        counted = times(more, max(0, least - len(first)), rest)
        return rules.add(f'"[" {NEXT.join(first)} {counted} "]"')
    some = f"{item} {times(more, max(0, least - 1), None if most is None else most - 1)}"
    return rules.add(f'"[" {some} "]"' if least else f'"[" ({some})? "]"')


class _Shuffled:
    """Any of some values in any order, none twice."""

    def __init__(self, rules: Rules, values: Sequence[str], least: int, most: int) -> None:
        self._rules = rules
        self._values = values
        self._least = least
        self._most = most
        self._known: dict[frozenset[int], str] = {}

    def rule(self) -> str:
        return self._after(frozenset())

    def _after(self, taken: frozenset[int]) -> str:
        if taken not in self._known:
            comma = f"{COMMA} " if taken else ""
            ways = ['"]"'] if len(taken) >= self._least else []
            if len(taken) < self._most:
                ways += [
                    f"{comma}{value} {self._after(taken | {place})}"
                    for place, value in enumerate(self._values)
                    if place not in taken
                ]
            self._known[taken] = self._rules.add(either(ways))
        return self._known[taken]


class _Ordered:
    """Any of some values in their order."""

    def __init__(self, rules: Rules, values: Sequence[str], least: int, most: int) -> None:
        self._rules = rules
        self._values = values
        self._least = least
        self._most = most
        # More than this need not be counted.
        self._counted = most if most < len(values) else least
        self._known: dict[tuple[int, int, bool], str | None] = {}

    def rule(self) -> str:
        return self._after(0, 0, begun=False) or '"]"'

    def _after(self, place: int, count: int, *, begun: bool) -> str | None:
        """Name what may follow when the values before `place` have been taken or left."""
        if self._least - count > len(self._values) - place:
            return None
        key = (place, count, begun)
        if key not in self._known:
            ways = ['"]"'] if count >= self._least else []
            one = self._one(place, count, begun=begun)
            if one is not None:
                ways.append(one)
            self._known[key] = self._rules.add(either(ways))
        return self._known[key]

    def _one(self, place: int, count: int, *, begun: bool) -> str | None:
        """Name one more value from `place` on, and what follows it."""
        if place == len(self._values) or (self._counted == self._most and count == self._most):
            return None
        comma = f"{COMMA} " if begun else ""
        after = self._after(place + 1, min(count + 1, self._counted), begun=True)
        ways = [] if after is None else [f"{comma}{self._values[place]} {after}"]
        later = self._one(place + 1, count, begun=begun)
        if later is not None:
            ways.append(later)
        return self._rules.add(either(ways)) if ways else None


_NAMED: Final[Mapping[str, tuple[Any, ...]]] = {"boolean": (True, False), "null": (None,)}
