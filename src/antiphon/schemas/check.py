"""Checks whether a JSON value fits a schema, and if not, finds the path and the keyword.

The check covers draft 2020-12, except `unevaluatedItems`, `unevaluatedProperties`, dynamic
references and references to other documents. Patterns run as automata; unsupported patterns are not
checked. The work is bounded by steps: one for each keyword and each value that it applies to, one
for each character and each pattern.
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
"""Steps for one value: enough for a text of as many characters or some 100,000 numbers."""

DEPTH: Final = 100
"""How deep choices may be nested in choices; each level takes a few calls."""

_Task: TypeAlias = tuple[Any, View, str]
"""A value, its view, and its path."""


def fits(value: Any, schema: Any, steps: Steps | None = None) -> bool:
    """Whether `value` fits `schema`. Raises `TooComplexError`."""
    return first_error(value, schema, steps) is None


def first_error(value: Any, schema: Any, steps: Steps | None = None) -> str | None:
    """Return the first error of `value`: a path and the keyword it violates, as in `.tags: enum`.

    The error contains nothing of the value but property names. Raises `TooComplexError` if the
    steps run out.
    """
    document = Document(schema, steps or Steps(CHECK))
    return Check(document).first_error(value, document.of(schema))


class Check:
    """Checks values against the views of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        # The results by value and view. A value that leads back to its view, through references
        # alone, does not fit.
        self._fitting: dict[tuple[int, int], bool] = {}
        self._branches: set[tuple[int, int]] = set()
        self._depth = 0

    def fits(self, value: Any, view: View) -> bool:
        """Whether `value` fits `view`."""
        return self.first_error(value, view) is None

    def first_error(self, value: Any, view: View) -> str | None:
        """Return the first error of `value`, or None if it fits."""
        self._fitting, self._branches, self._depth = {}, set(), 0
        return self._first_error(value, view, "")

    def _first_error(self, value: Any, view: View, path: str) -> str | None:
        if self._depth > DEPTH:
            raise TooComplexError
        self._depth += 1
        waiting: list[_Task] = [(value, view, path)]
        error: str | None = None
        while waiting and error is None:
            task = waiting.pop()
            error = next(self._errors(*task), None)
            if error is None:
                waiting.extend(reversed([*self._constrained_parts(*task)]))
        self._depth -= 1
        return error

    def _fits(self, value: Any, view: View) -> bool:
        key = (id(value), id(view))
        if key not in self._fitting:
            self._fitting[key] = False
            self._fitting[key] = self._first_error(value, view, "") is None
        return self._fitting[key]

    def _errors(self, value: Any, view: View, path: str) -> Iterator[str]:
        size = len(value) if isinstance(value, list | dict) else 0
        self._document.steps.take(1 + len(view.keywords) + size)
        if view.false:
            yield f"{path}: false"
        for keyword in _violated_keywords(value, view):
            yield f"{path}: {keyword}"
        if isinstance(value, str):
            yield from self._text_errors(value, view, path)
        for denied in view.negated:
            if self._fits(value, self._document.of(denied)):
                yield f"{path}: not"
        for choice in view.choices:
            yield from self._choice_errors(value, choice, path)
        if isinstance(value, dict):
            yield from self._object_errors(value, view, path)
        elif isinstance(value, list):
            yield from self._array_errors(value, view, path)

    def _text_errors(self, value: str, view: View, path: str) -> Iterator[str]:
        for pattern in view.patterns:
            if self._document.finds(pattern, value) is False:
                yield f"{path}: pattern"
        for name in view.formats:
            if not re.fullmatch(FORMATS[name].pattern, value, re.ASCII):
                yield f"{path}: format"

    def _choice_errors(self, value: Any, choice: Choice, path: str) -> Iterator[str]:
        document = self._document
        if isinstance(choice, Condition):
            holds = self._fits(value, document.of(choice.when))
            branch = document.of(choice.then if holds else choice.otherwise)
            yield from self._branch_errors(value, branch, path)
            return
        fitting = (self._fits(value, document.of(branch)) for branch in choice.branches)
        if not (any(fitting) if choice.keyword == "anyOf" else sum(fitting) == 1):
            yield f"{path}: {choice.keyword}"

    def _branch_errors(self, value: Any, view: View, path: str) -> Iterator[str]:
        """Yield the first error of a value against the view that a condition selects."""
        key = (id(value), id(view))
        error: str | None = f"{path}: if"
        if key not in self._branches:
            self._branches.add(key)
            error = self._first_error(value, view, path)
            self._branches.discard(key)
        if error is not None:
            yield error

    def _object_errors(self, value: dict[str, Any], view: View, path: str) -> Iterator[str]:
        missing = [name for name in view.required if name not in value]
        if missing:
            yield f"{path}.{missing[0]}: required"
        for name, needed in view.dependent_required.items():
            if name in value and not all(one in value for one in needed):
                yield f"{path}: dependentRequired"
        if view.property_names:
            names = self._document.view(view.property_names)
            if not all(self._fits(name, names) for name in value):
                yield f"{path}: propertyNames"

    def _array_errors(self, value: list[Any], view: View, path: str) -> Iterator[str]:
        for one in view.contains:
            wanted = self._document.of(one.schema)
            found = sum(self._fits(item, wanted) for item in value)
            if not one.least <= found <= (found if one.most is None else one.most):
                yield f"{path}: contains"

    def _constrained_parts(self, value: Any, view: View, path: str) -> Iterator[_Task]:
        """Yield the properties or items of a value that have constraints."""
        document = self._document
        if isinstance(value, dict) and view.properties:
            for name, own in value.items():
                part = document.property_view(view, name)
                if not part.is_unconstrained:
                    yield own, part, f"{path}.{name}"
        elif isinstance(value, list) and view.items:
            for index, own in enumerate(value):
                part = document.item_view(view, index)
                if not part.is_unconstrained:
                    yield own, part, f"{path}.{index}"


def _violated_keywords(value: Any, view: View) -> Iterator[str]:
    if view.types is not None and not any(is_of(value, name) for name in view.types):
        yield "type"
    if view.values is not None and identity(value) not in view.values:
        yield "const" if len(view.values) == 1 else "enum"
    for keyword, bound in view.keywords.items():
        if _IS_VIOLATED[keyword](value, bound):
            yield keyword


def _has_duplicates(value: Any, unique: Any) -> bool:
    return (
        unique is True and isinstance(value, list) and len(set(map(identity, value))) < len(value)
    )


def _is_not_multiple(value: Any, step: Any) -> bool:
    return is_of(value, "number") and decimal(value) % decimal(step) != 0


def _violates_size(
    kind: type[str | list[Any] | dict[str, Any]], *, most: bool
) -> Callable[[Any, Any], bool]:
    def is_violated(value: Any, size: Any) -> bool:
        return isinstance(value, kind) and (len(value) > size if most else len(value) < size)

    return is_violated


def _violates_bound(is_violated: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, bound: is_of(value, "number") and is_violated(value, bound)


_IS_VIOLATED: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "minLength": _violates_size(str, most=False),
    "maxLength": _violates_size(str, most=True),
    "minItems": _violates_size(list, most=False),
    "maxItems": _violates_size(list, most=True),
    "uniqueItems": _has_duplicates,
    "minProperties": _violates_size(dict, most=False),
    "maxProperties": _violates_size(dict, most=True),
    "minimum": _violates_bound(lambda value, bound: value < bound),
    "maximum": _violates_bound(lambda value, bound: value > bound),
    "exclusiveMinimum": _violates_bound(lambda value, bound: value <= bound),
    "exclusiveMaximum": _violates_bound(lambda value, bound: value >= bound),
    "multipleOf": _is_not_multiple,
}
