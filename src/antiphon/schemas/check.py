"""Whether a JSON value fits a schema, and if not, where it does not.

All of draft 2020-12 that can be asked of a value is looked at, besides `unevaluatedItems`,
`unevaluatedProperties`, dynamic references and references to elsewhere. Patterns are walked as
automata; the few that are none ask for nothing. The work is bounded by steps: one for each word of
a schema beside each value that it speaks of, and one for each character beside each pattern.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from antiphon.schemas.document import Document
from antiphon.schemas.formats import FORMATS
from antiphon.schemas.steps import Steps, TooComplexError
from antiphon.schemas.values import decimal, identity, is_of
from antiphon.schemas.view import Choice, Condition, View

CHECK: Final = 500_000
"""Steps for one value: that is a text of so many characters, or some hundred thousand numbers."""

DEPTH: Final = 100
"""How often alternatives are looked at inside of alternatives; each is a few calls deep."""

_Found: TypeAlias = tuple[Any, View, str]
"""A value, what it must be, and where it stands."""


def fits(value: Any, schema: Any, steps: Steps | None = None) -> bool:
    """Say whether `value` is what `schema` asks for; raises `TooComplexError`."""
    return first_error(value, schema, steps) is None


def first_error(value: Any, schema: Any, steps: Steps | None = None) -> str | None:
    """Say what `value` is not: a place in it and a word of `schema`, as `input.tags: enum`.

    Nothing of the value is repeated but the names of properties. Raises `TooComplexError` where
    more steps would be needed.
    """
    document = Document(schema, steps or Steps(CHECK))
    return Check(document).first_error(value, document.of(schema))


class Check:
    """Looks at values beside the views of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        # Which values fit which views. A value that comes back to the same view, by references
        # alone, fits it no better for that.
        self._fitting: dict[tuple[int, int], bool] = {}
        self._branches: set[tuple[int, int]] = set()
        self._depth = 0

    def fits(self, value: Any, view: View) -> bool:
        """Say whether `value` is what `view` asks for."""
        return self.first_error(value, view) is None

    def first_error(self, value: Any, view: View) -> str | None:
        """Say what `value` is not, if it does not fit."""
        self._fitting, self._branches, self._depth = {}, set(), 0
        return self._first(value, view, "")

    def _first(self, value: Any, view: View, where: str) -> str | None:
        if self._depth > DEPTH:
            raise TooComplexError
        self._depth += 1
        waiting: list[_Found] = [(value, view, where)]
        fault: str | None = None
        while waiting and fault is None:
            found = waiting.pop()
            fault = next(self._faults(*found), None)
            if fault is None:
                waiting.extend(reversed([*self._inside(*found)]))
        self._depth -= 1
        return fault

    def _fits(self, value: Any, view: View) -> bool:
        key = (id(value), id(view))
        if key not in self._fitting:
            self._fitting[key] = False
            self._fitting[key] = self._first(value, view, "") is None
        return self._fitting[key]

    def _faults(self, value: Any, view: View, where: str) -> Iterator[str]:
        size = len(value) if isinstance(value, list | dict) else 0
        self._document.steps.take(1 + len(view.words) + size)
        if view.false:
            yield f"{where}: false"
        for word in _wrong_words(value, view):
            yield f"{where}: {word}"
        if isinstance(value, str):
            yield from self._of_text(value, view, where)
        for wrong in view.nots:
            if self._fits(value, self._document.of(wrong)):
                yield f"{where}: not"
        for choice in view.choices:
            yield from self._of_choice(value, choice, where)
        if isinstance(value, dict):
            yield from self._of_object(value, view, where)
        elif isinstance(value, list):
            yield from self._of_array(value, view, where)

    def _of_text(self, value: str, view: View, where: str) -> Iterator[str]:
        for pattern in view.patterns:
            if self._document.finds(pattern, value) is False:
                yield f"{where}: pattern"
        for name in view.formats:
            if not re.fullmatch(FORMATS[name].pattern, value, re.ASCII):
                yield f"{where}: format"

    def _of_choice(self, value: Any, choice: Choice, where: str) -> Iterator[str]:
        document = self._document
        if isinstance(choice, Condition):
            holds = self._fits(value, document.of(choice.when))
            asked = document.of(choice.then if holds else choice.otherwise)
            yield from self._of_branch(value, asked, where)
            return
        fitting = (self._fits(value, document.of(way)) for way in choice.ways)
        if not (any(fitting) if choice.word == "anyOf" else sum(fitting) == 1):
            yield f"{where}: {choice.word}"

    def _of_branch(self, value: Any, view: View, where: str) -> Iterator[str]:
        """Say what is wrong beside a view that a condition asks for, and where."""
        key = (id(value), id(view))
        fault: str | None = f"{where}: if"
        if key not in self._branches:
            self._branches.add(key)
            fault = self._first(value, view, where)
            self._branches.discard(key)
        if fault is not None:
            yield fault

    def _of_object(self, value: dict[str, Any], view: View, where: str) -> Iterator[str]:
        missing = [name for name in view.required if name not in value]
        if missing:
            yield f"{where}.{missing[0]}: required"
        for name, needed in view.needs.items():
            if name in value and not all(one in value for one in needed):
                yield f"{where}: dependentRequired"
        if view.names:
            names = self._document.view(view.names)
            if not all(self._fits(name, names) for name in value):
                yield f"{where}: propertyNames"

    def _of_array(self, value: list[Any], view: View, where: str) -> Iterator[str]:
        for one in view.contains:
            asked = self._document.of(one.schema)
            found = sum(self._fits(item, asked) for item in value)
            if not one.least <= found <= (found if one.most is None else one.most):
                yield f"{where}: contains"

    def _inside(self, value: Any, view: View, where: str) -> Iterator[_Found]:
        """Yield the parts of a value of which something is asked."""
        document = self._document
        if isinstance(value, dict) and view.parts:
            for name, own in value.items():
                part = document.part(view, name)
                if not part.is_free:
                    yield own, part, f"{where}.{name}"
        elif isinstance(value, list) and view.items:
            for place, own in enumerate(value):
                part = document.item(view, place)
                if not part.is_free:
                    yield own, part, f"{where}.{place}"


def _wrong_words(value: Any, view: View) -> Iterator[str]:
    if view.types is not None and not any(is_of(value, name) for name in view.types):
        yield "type"
    if view.values is not None and identity(value) not in view.values:
        yield "const" if len(view.values) == 1 else "enum"
    for word, bound in view.words.items():
        if _OF_VALUES[word](value, bound):
            yield word


def _repeats(value: Any, unique: Any) -> bool:
    return (
        unique is True and isinstance(value, list) and len(set(map(identity, value))) < len(value)
    )


def _is_no_multiple(value: Any, step: Any) -> bool:
    return is_of(value, "number") and decimal(value) % decimal(step) != 0


def _sized(
    kind: type[str | list[Any] | dict[str, Any]], *, most: bool
) -> Callable[[Any, Any], bool]:
    def wrong(value: Any, size: Any) -> bool:
        return isinstance(value, kind) and (len(value) > size if most else len(value) < size)

    return wrong


def _bounded(wrong: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, bound: is_of(value, "number") and wrong(value, bound)


_OF_VALUES: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "minLength": _sized(str, most=False),
    "maxLength": _sized(str, most=True),
    "minItems": _sized(list, most=False),
    "maxItems": _sized(list, most=True),
    "uniqueItems": _repeats,
    "minProperties": _sized(dict, most=False),
    "maxProperties": _sized(dict, most=True),
    "minimum": _bounded(lambda value, bound: value < bound),
    "maximum": _bounded(lambda value, bound: value > bound),
    "exclusiveMinimum": _bounded(lambda value, bound: value <= bound),
    "exclusiveMaximum": _bounded(lambda value, bound: value >= bound),
    "multipleOf": _is_no_multiple,
}
