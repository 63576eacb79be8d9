"""Generates a small value that fits a JSON schema, always the same one.

Examples come from the same views as grammars and the check. For each alternative the simplest
values are tried, and the first that passes the check is returned. Each part of a value takes a
step, however often the schema repeats it, so every example is bounded.
"""

from collections.abc import Hashable, Iterator
from fractions import Fraction
from itertools import chain, count, islice
from math import ceil
from sys import float_info
from typing import Any, Final

from antiphon.schemas.alternatives import Alternatives
from antiphon.schemas.automata import Automaton, shortest, texts
from antiphon.schemas.check import Check
from antiphon.schemas.document import Document, named_items
from antiphon.schemas.formats import FORMATS
from antiphon.schemas.languages import language_of, of_size, sizes
from antiphon.schemas.regular import both
from antiphon.schemas.steps import Steps, TooComplexError
from antiphon.schemas.values import decimal, identity
from antiphon.schemas.view import Schema, Subschemas, View

DEPTH: Final = 48
"""The maximum depth of an example."""

TRIES: Final = 40
"""The maximum number of values of one type that are tried."""


def example(schema: Any, steps: Steps | None = None) -> Any:
    """Return a value that fits `schema` and contains only what is required.

    Returns null if none is found. Raises `TooComplexError` if the value would be too large, or
    takes too many steps to find.
    """
    document = Document(schema, steps)
    found = _Generator(document).generate(((schema,),), 1)
    return found[0] if found else None


class _Generator:
    """Generates values of the views of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._check = Check(document)
        self._alternatives = Alternatives(document)
        self._depth = 0
        # Views in progress: a value that requires one of them again has no end.
        self._in_progress: set[int] = set()
        self._known: dict[tuple[int, int], tuple[list[Any], int]] = {}

    def generate(self, subschemas: Subschemas, wanted: int) -> list[Any]:
        """Return up to `wanted` distinct values that fit."""
        view = self._document.view(subschemas)
        key = (id(view), wanted)
        steps = self._document.steps
        if key in self._known:
            found, cost = self._known[key]
            steps.take(cost)
        elif id(view) in self._in_progress:
            return []
        else:
            before = steps.taken
            found = self._distinct(view, wanted)
            if len(found) == wanted:
                self._known[key] = found, steps.taken - before
        return found

    def _distinct(self, view: View, wanted: int) -> list[Any]:
        if self._depth > DEPTH:
            raise TooComplexError
        self._depth += 1
        self._in_progress.add(id(view))
        found: dict[Hashable, Any] = {}
        candidates = chain.from_iterable(map(self._candidates, self._alternatives.of(view)))
        for value in candidates:
            if self._check.fits(value, view):
                found.setdefault(identity(value), value)
            if len(found) == wanted:
                break
        self._in_progress.discard(id(view))
        self._depth -= 1
        return [*found.values()]

    def _candidates(self, view: View) -> Iterator[Any]:
        if view.values is not None:
            return iter(view.values.values())
        return self._typed_candidates(view)

    def _typed_candidates(self, view: View) -> Iterator[Any]:
        for name in view.implied_types or _SIMPLEST:
            self._document.steps.take()
            match name:
                case "object":
                    yield from self._objects(view)
                case "array":
                    yield from self._arrays(view)
                case "string":
                    yield from islice(self._strings(view), TRIES)
                case "boolean":
                    yield from (False, True)
                case "null":
                    yield None
                case _:
                    yield from islice(_numbers(view.keywords, whole=name == "integer"), TRIES)

    def _objects(self, view: View) -> Iterator[dict[str, Any]]:
        made: dict[str, Any] = {}
        for name in _all_required(view):
            found = self.generate(self._document.property_subschemas(view, name), 1)
            if not found:
                return
            made[name] = found[0]
        least = int(view.keywords.get("minProperties", 0))
        self._document.steps.take(max(0, least - len(made)))
        names = self._more_names(view) if least > len(made) else iter(())
        # A view that accepts none of these names accepts no other.
        for name in islice(names, least + TRIES):
            if name not in made:
                found = self.generate(self._document.property_subschemas(view, name), 1)
                made.update((name, value) for value in found)
            if len(made) >= least:
                break
        yield made

    def _more_names(self, view: View) -> Iterator[str]:
        parts = [part for group in view.properties for part in group]
        named = (name for part in parts for name in part.named)
        patterns = ({"pattern": pattern} for part in parts for pattern in part.patterns)
        made = (self._document.intern(str(one), one) for one in ({"type": "string"}, *patterns))
        found = (self.generate(((one,), *view.property_names), TRIES) for one in made)
        free = (f"p{number}" for number in count())
        names = chain(named, chain.from_iterable(found), free)
        allowed = self._document.view(view.property_names)
        return (
            name
            for name in names
            if isinstance(name, str)
            and name not in view.dependent_required
            and self._check.fits(name, allowed)
        )

    def _arrays(self, view: View) -> Iterator[list[Any]]:
        document = self._document
        known = named_items(view)
        made: list[Any] = []
        for index in range(min(known, int(view.keywords.get("maxItems", known)))):
            found = self.generate(document.item_subschemas(view, index), 1)
            if not found:
                break
            made += found
        rest = document.item_subschemas(view, known)
        for one in view.contains:
            made += self._repeated((*rest, (one.schema,)), one.least)
        missing = max(0, int(view.keywords.get("minItems", 0)) - len(made))
        unique = "uniqueItems" in view.keywords
        made += self._unique(rest, missing, made) if unique else self._repeated(rest, missing)
        yield made

    def _repeated(self, subschemas: Subschemas, wanted: int) -> Iterator[Any]:
        self._document.steps.take(wanted)
        return chain.from_iterable(self.generate(subschemas, 1) for _ in range(wanted))

    def _unique(self, subschemas: Subschemas, wanted: int, made: list[Any]) -> list[Any]:
        self._document.steps.take(wanted)
        known = set(map(identity, made))
        found = self.generate(subschemas, wanted + len(known))
        return [value for value in found if identity(value) not in known][:wanted]

    def _strings(self, view: View) -> Iterator[str]:
        least, most = sizes(view.keywords)
        self._document.steps.take(least)
        if not view.patterns:
            text = FORMATS[view.formats[0]].example if view.formats else "text"
            text = text.ljust(least, "x")[:most]
            yield text
            if not view.formats:
                yield from (text + "x" * more for more in range(1, TRIES))
        strings, _ = language_of(self._document, view, ())
        automaton = Automaton(both(strings, of_size(view)), self._document.steps)
        found = shortest(automaton)
        if found is not None:
            yield found
            yield from texts(automaton)


_SIMPLEST: Final = ("null", "boolean", "number", "string", "array", "object")


def _all_required(view: View) -> list[str]:
    """Return the required properties, including those that other required properties depend on."""
    names = dict.fromkeys(view.required)
    waiting = [*names]
    while waiting:
        new = [name for name in view.dependent_required.get(waiting.pop(), ()) if name not in names]
        names.update(dict.fromkeys(new))
        waiting += new
    return [*names]


def _numbers(keywords: Schema, *, whole: bool) -> Iterator[Any]:
    """Yield candidate numbers, first the one within the bounds that is closest to zero."""
    given = {keyword: decimal(value) for keyword, value in keywords.items() if keyword in _BOUNDS}
    lows = [given[keyword] for keyword in ("minimum", "exclusiveMinimum") if keyword in given]
    highs = [given[keyword] for keyword in ("maximum", "exclusiveMaximum") if keyword in given]
    low, high = max(lows, default=None), min(highs, default=None)
    step = decimal(keywords.get("multipleOf", 1))
    if whole:
        step = Fraction(step.numerator)
    nearest = max(low or Fraction(0), Fraction(0)) or min(high or Fraction(0), Fraction(0))
    sign = 1 if nearest >= 0 else -1
    first = sign * ceil(abs(nearest) / step) * step
    yield _as_number(first)
    if low is not None and high is not None:
        yield _as_number((low + high) / 2)
    yield from (_as_number(bound) for bound in (low, high) if bound is not None)
    if not whole:
        yield _as_number(first + sign * step / 2)
    distance = 0
    while True:
        distance += 1
        yield _as_number(first + sign * distance * step)
        if nearest == 0:
            yield _as_number(first - distance * step)


def _as_number(value: Fraction) -> int | float:
    # Beyond the floats there are only integers.
    whole = value.denominator == 1 or abs(value) > _LARGEST_FLOAT
    return int(value) if whole else float(value)


_LARGEST_FLOAT: Final = Fraction(float_info.max)
_BOUNDS: Final = frozenset({"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"})
