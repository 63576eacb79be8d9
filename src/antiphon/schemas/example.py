"""A small value that a JSON schema allows, always the same.

It is made of the views that grammars and checks are made of, too: of each way the simplest values
are tried, and the first that the check takes is the one. Each piece of a value takes a step,
however often the schema asks for it, so that no schema makes one without end.
"""

from collections.abc import Hashable, Iterator
from fractions import Fraction
from itertools import chain, count, islice
from math import ceil
from typing import Any, Final

from antiphon.schemas.alternatives import Alternatives
from antiphon.schemas.automata import Automaton, shortest, texts
from antiphon.schemas.check import Check
from antiphon.schemas.document import Document, named_items
from antiphon.schemas.formats import FORMATS
from antiphon.schemas.languages import counted, language_of, sizes
from antiphon.schemas.regular import both
from antiphon.schemas.steps import Steps, TooComplexError
from antiphon.schemas.values import decimal, identity
from antiphon.schemas.view import Asked, Schema, View

DEPTH: Final = 48
"""How deep an example may be."""

TRIES: Final = 40
"""How many values of one type are tried."""


def example(schema: Any, steps: Steps | None = None) -> Any:
    """Make a value that fits `schema`, with nothing in it that is not required.

    Where none is found the value is null. Raises `TooComplexError` if a value would be too large,
    or too hard to find.
    """
    document = Document(schema, steps)
    found = _Maker(document).some(((schema,),), 1)
    return found[0] if found else None


class _Maker:
    """Makes values of the views of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._check = Check(document)
        self._alternatives = Alternatives(document)
        self._depth = 0
        # Views on their way: a way that comes back to one has no end.
        self._open: set[int] = set()
        self._known: dict[tuple[int, int], tuple[list[Any], int]] = {}

    def some(self, asked: Asked, wanted: int) -> list[Any]:
        """Return so many different values that fit; fewer if no more are found."""
        view = self._document.view(asked)
        key = (id(view), wanted)
        steps = self._document.steps
        if key in self._known:
            found, cost = self._known[key]
            steps.take(cost)
        elif id(view) in self._open:
            return []
        else:
            before = steps.taken
            found = self._found(view, wanted)
            if len(found) == wanted:
                self._known[key] = found, steps.taken - before
        return found

    def _found(self, view: View, wanted: int) -> list[Any]:
        if self._depth > DEPTH:
            raise TooComplexError
        self._depth += 1
        self._open.add(id(view))
        found: dict[Hashable, Any] = {}
        tried = chain.from_iterable(map(self._tried, self._alternatives.of(view)))
        for value in tried:
            if self._check.fits(value, view):
                found.setdefault(identity(value), value)
            if len(found) == wanted:
                break
        self._open.discard(id(view))
        self._depth -= 1
        return [*found.values()]

    def _tried(self, view: View) -> Iterator[Any]:
        if view.values is not None:
            return iter(view.values.values())
        return self._of_types(view)

    def _of_types(self, view: View) -> Iterator[Any]:
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
                    yield from islice(_numbers(view.words, whole=name == "integer"), TRIES)

    def _objects(self, view: View) -> Iterator[dict[str, Any]]:
        made: dict[str, Any] = {}
        for name in _needed(view):
            found = self.some(self._document.part_of(view, name), 1)
            if not found:
                return
            made[name] = found[0]
        least = int(view.words.get("minProperties", 0))
        self._document.steps.take(max(0, least - len(made)))
        tried = self._more_names(view) if least > len(made) else iter(())
        # A view that takes none of so many takes no other.
        for name in islice(tried, least + TRIES):
            if name not in made:
                found = self.some(self._document.part_of(view, name), 1)
                made.update((name, value) for value in found)
            if len(made) >= least:
                break
        yield made

    def _more_names(self, view: View) -> Iterator[str]:
        parts = [part for group in view.parts for part in group]
        named = (name for part in parts for name in part.named)
        patterns = ({"pattern": pattern} for part in parts for pattern in part.patterns)
        made = (self._document.made(str(one), one) for one in ({"type": "string"}, *patterns))
        found = (self.some(((one,), *view.names), TRIES) for one in made)
        free = (f"p{number}" for number in count())
        names = chain(named, chain.from_iterable(found), free)
        allowed = self._document.view(view.names)
        return (
            name
            for name in names
            if isinstance(name, str) and name not in view.needs and self._check.fits(name, allowed)
        )

    def _arrays(self, view: View) -> Iterator[list[Any]]:
        document = self._document
        known = named_items(view)
        made: list[Any] = []
        for place in range(min(known, int(view.words.get("maxItems", known)))):
            found = self.some(document.item_at(view, place), 1)
            if not found:
                break
            made += found
        rest = document.item_at(view, known)
        for one in view.contains:
            made += self._alike((*rest, (one.schema,)), one.least)
        missing = max(0, int(view.words.get("minItems", 0)) - len(made))
        unique = "uniqueItems" in view.words
        made += self._different(rest, missing, made) if unique else self._alike(rest, missing)
        yield made

    def _alike(self, asked: Asked, wanted: int) -> Iterator[Any]:
        self._document.steps.take(wanted)
        return chain.from_iterable(self.some(asked, 1) for _ in range(wanted))

    def _different(self, asked: Asked, wanted: int, made: list[Any]) -> list[Any]:
        self._document.steps.take(wanted)
        known = set(map(identity, made))
        found = self.some(asked, wanted + len(known))
        return [value for value in found if identity(value) not in known][:wanted]

    def _strings(self, view: View) -> Iterator[str]:
        least, most = sizes(view.words)
        self._document.steps.take(least)
        if not view.patterns:
            text = FORMATS[view.formats[0]].example if view.formats else "text"
            text = text.ljust(least, "x")[:most]
            yield text
            if not view.formats:
                yield from (text + "x" * more for more in range(1, TRIES))
        of, _ = language_of(self._document, view, ())
        automaton = Automaton(both(of, counted(view)), self._document.steps)
        found = shortest(automaton)
        if found is not None:
            yield found
            yield from texts(automaton)


_SIMPLEST: Final = ("null", "boolean", "number", "string", "array", "object")


def _needed(view: View) -> list[str]:
    """Name the required properties, and those that they require."""
    names = dict.fromkeys(view.required)
    waiting = [*names]
    while waiting:
        new = [name for name in view.needs.get(waiting.pop(), ()) if name not in names]
        names.update(dict.fromkeys(new))
        waiting += new
    return [*names]


def _numbers(words: Schema, *, whole: bool) -> Iterator[Any]:
    """Yield numbers, of which the first between the bounds is as near to zero as may be."""
    given = {word: decimal(value) for word, value in words.items() if word in _BOUNDS}
    lows = [given[word] for word in ("minimum", "exclusiveMinimum") if word in given]
    highs = [given[word] for word in ("maximum", "exclusiveMaximum") if word in given]
    low, high = max(lows, default=None), min(highs, default=None)
    step = decimal(words.get("multipleOf", 1))
    if whole:
        step = Fraction(step.numerator)
    nearest = max(low or Fraction(0), Fraction(0)) or min(high or Fraction(0), Fraction(0))
    sign = 1 if nearest >= 0 else -1
    first = sign * ceil(abs(nearest) / step) * step
    yield _plain(first)
    if low is not None and high is not None:
        yield _plain((low + high) / 2)
    yield from (_plain(bound) for bound in (low, high) if bound is not None)
    if not whole:
        yield _plain(first + sign * step / 2)
    away = 0
    while True:
        away += 1
        yield _plain(first + sign * away * step)
        if nearest == 0:
            yield _plain(first - away * step)


def _plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


_BOUNDS: Final = frozenset({"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"})
