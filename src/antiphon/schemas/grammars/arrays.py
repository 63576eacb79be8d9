"""Arrays as grammars: the first items, then any number of others, or none twice."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from antiphon.schemas.check import fits
from antiphon.schemas.grammars.gbnf import Rules, either, literal, times
from antiphon.schemas.merging import Schema, merged, same, types_of

COMMA: Final = '", "'
NEXT: Final = f" {COMMA} "

MOST: Final = 1000
"""Items that a grammar counts; each costs llama.cpp a rule."""

SHUFFLED: Final = 6
"""Values that may come in any order when none may come twice: a rule for each set of them."""

ORDERED: Final = 64
"""Values that may come in the order of their schema when none may come twice."""


class Arrays:
    """Writes the arrays of one schema's parts; `inside` names the rule of an item."""

    def __init__(
        self, rules: Rules, inside: Callable[[Any], str | None], unkept: set[str], *, tight: bool
    ) -> None:
        self._rules = rules
        self._inside = inside
        self._unkept = unkept
        self._tight = tight

    def any_of(self, item: str) -> str:
        """Write any array of such items."""
        return self._list([], item, 0, None)

    def rule(self, schema: Schema) -> str | None:
        """Name the rule of the arrays that `schema` allows; nothing if there are none."""
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        most = None if most is None else int(most)
        self._unkept.update(word for word in ("unevaluatedItems",) if word in schema)
        if schema.get("uniqueItems") is True and "contains" not in schema:
            values = None if schema.get("prefixItems") else _values(schema.get("items", True))
            if values is not None:
                return self._distinct(values, least, most)
        if "contains" in schema:
            schema = self._containing(schema)
            least = max(least, len(schema.get("prefixItems", ())))
        return self._counted(schema, least, most)

    def _containing(self, schema: Schema) -> Schema:
        """Have the first items that no other schema has be those that must be contained."""
        wanted = int(schema.get("minContains", 1))
        if wanted > MOST:
            self._unkept.add("contains")
            return schema
        if "maxContains" in schema:
            self._unkept.add("contains")
        items = schema.get("items", True)
        first = [*schema.get("prefixItems", ()), *[merged(items, schema["contains"])] * wanted]
        if wanted and len(first) > schema.get("maxItems", len(first)):
            self._unkept.add("contains")
            return schema
        return {**schema, "prefixItems": first}

    def _counted(self, schema: Schema, least: int, most: int | None) -> str | None:
        first: list[str] = []
        for part in schema.get("prefixItems", ())[:most]:
            # What a reference leads to may have no end if it must come.
            looping = len(first) >= least and '"$ref"' in json.dumps(part)
            item = None if looping else self._inside(part)
            if item is None:  # no array reaches this place
                most = len(first)
                break
            first.append(item)
        item = (
            self._inside(schema.get("items", True)) if most is None or most > len(first) else None
        )
        if item is None:
            most = len(first)
        if most is not None and least > most:
            return None
        most = self._unrepeated(schema, least, most)
        if (least or 0) > MOST or (most or 0) > MOST:
            self._unkept.update(("minItems", "maxItems"))
        return self._list(first[:most], item, least, most)

    def _unrepeated(self, schema: Schema, least: int, most: int | None) -> int | None:
        """Say how many items there may be, if none may come twice."""
        if schema.get("uniqueItems") is not True or (most is not None and most <= 1):
            return most
        shortest = max(least, 1)
        if self._tight:
            most = shortest if most is None else min(most, shortest)
        if most is None or most > 1:
            self._unkept.add("uniqueItems")
        return most

    def _list(self, first: Sequence[str], item: str | None, least: int, most: int | None) -> str:
        if item is None or most == len(first):
            return self._rules.add(f'"[" {NEXT.join(first)} "]"')
        more = self._rules.add(f"{COMMA} {item}")
        least = min(least, MOST)
        most = None if most is None or most > MOST else most
        if first:
            rest = None if most is None else most - len(first)
            counted = times(more, max(0, least - len(first)), rest)
            return self._rules.add(f'"[" {NEXT.join(first)} {counted} "]"')
        some = f"{item} {times(more, max(0, least - 1), None if most is None else most - 1)}"
        return self._rules.add(f'"[" {some} "]"' if least else f'"[" ({some})? "]"')

    def _distinct(self, values: Sequence[Any], least: int, most: int | None) -> str | None:
        most = len(values) if most is None else min(most, len(values))
        if least > most:
            return None
        said = [literal(json.dumps(value, ensure_ascii=False)) for value in values]
        chosen = _Shuffled if len(values) <= SHUFFLED else _Ordered
        return self._rules.add(f'"[" {chosen(self._rules, said, least, most).rule()}')


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


def _values(items: Any) -> list[Any] | None:
    """List the values of items that have few."""
    if not isinstance(items, Mapping):
        return None
    found = [items["const"]] if "const" in items else items.get("enum")
    if found is None:
        types = types_of(items)
        found = [value for name in types for value in _NAMED.get(name, ())]
        if not types or any(name not in _NAMED for name in types):
            return None
    if "$ref" in items or len(found) > ORDERED:
        return None
    different: list[Any] = []
    for value in found:
        if fits(value, items) and not any(same(value, other) for other in different):
            different.append(value)
    return different
