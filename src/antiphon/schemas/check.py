"""Whether a JSON value fits a schema, and if not, where it does not.

All of draft 2020-12 that can be asked of a value is looked at, besides `unevaluatedItems`,
`unevaluatedProperties`, dynamic references and references to elsewhere. Patterns are walked as
automata, so that no text takes long; the few that are none ask for nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from antiphon.schemas.automata import matches
from antiphon.schemas.merging import (
    DEPTH,
    Schema,
    is_of,
    part_of,
    resolve,
    same,
    together,
    types_of,
)
from antiphon.schemas.patterns import PatternUnsupportedError, language

_MONTHS: Final = r"((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)"
_DATE: Final = rf"\d{{4}}-{_MONTHS}|02-(0[1-9]|[12]\d))"
_TIME: Final = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?"
_OFFSET: Final = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_OCTET: Final = r"(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])"
FORMATS: Final[Mapping[str, str]] = {
    "date": _DATE,
    "time": rf"{_TIME}{_OFFSET}?",
    "date-time": rf"{_DATE}T{_TIME}{_OFFSET}",
    "duration": r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?",
    "email": r"[^@\s]+@[^@\s]+",
    "hostname": r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*:\S+",
    "ipv4": rf"{_OCTET}(\.{_OCTET}){{3}}",
    "ipv6": r"[0-9A-Fa-f:.]{2,45}",
    "uuid": r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
}


def fits(value: Any, schema: Any) -> bool:
    """Say whether `value` is what `schema` asks for."""
    return first_error(value, schema) is None


def first_error(value: Any, schema: Any, root: Any = None) -> str | None:
    """Say what `value` is not: a place in it and a word of `schema`, as `input.tags: enum`.

    Nothing of the value is repeated but the names of properties. References point into `root`.
    """
    return next(_Check(schema if root is None else root).faults(value, schema, "", 0), None)


class _Check:
    """One schema, whose `$ref`s point into it."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def _fits(self, value: Any, schema: Any, depth: int) -> bool:
        return next(self.faults(value, schema, "", depth), None) is None

    def faults(self, value: Any, schema: Any, where: str, depth: int) -> Iterator[str]:
        if schema is False:
            yield f"{where}: false"
        if not isinstance(schema, Mapping) or depth > DEPTH:
            return
        schema = together(schema, self._root)
        if "$ref" in schema:
            yield from self.faults(value, resolve(self._root, schema["$ref"]), where, depth + 1)
        for part in schema.get("allOf", ()):
            yield from self.faults(value, part, where, depth + 1)
        for keyword, wrong in _OF_VALUES.items():
            if keyword in schema and wrong(value, schema[keyword]):
                yield f"{where}: {keyword}"
        yield from self._of_choices(value, schema, where, depth + 1)
        if isinstance(value, dict):
            yield from self._of_object(value, schema, where, depth + 1)
        elif isinstance(value, list):
            yield from self._of_array(value, schema, where, depth + 1)

    def _of_choices(self, value: Any, schema: Schema, where: str, depth: int) -> Iterator[str]:
        if "anyOf" in schema and not any(self._fits(value, one, depth) for one in schema["anyOf"]):
            yield f"{where}: anyOf"
        if "oneOf" in schema and sum(self._fits(value, one, depth) for one in schema["oneOf"]) != 1:
            yield f"{where}: oneOf"
        if "not" in schema and self._fits(value, schema["not"], depth):
            yield f"{where}: not"
        if "if" in schema:
            branch = "then" if self._fits(value, schema["if"], depth) else "else"
            yield from self.faults(value, schema.get(branch, True), where, depth)

    def _of_object(
        self, value: dict[str, Any], schema: Schema, where: str, depth: int
    ) -> Iterator[str]:
        missing = [name for name in schema.get("required", ()) if name not in value]
        if missing:
            yield f"{where}.{missing[0]}: required"
        for name, needed in (schema.get("dependentRequired") or {}).items():
            if name in value and not all(one in value for one in needed):
                yield f"{where}: dependentRequired"
        for name, part in (schema.get("dependentSchemas") or {}).items():
            if name in value:
                yield from self.faults(value, part, where, depth)
        for name, own in value.items():
            if not self._fits(name, schema.get("propertyNames", True), depth):
                yield f"{where}: propertyNames"
            yield from self.faults(own, part_of(schema, name), f"{where}.{name}", depth)

    def _of_array(self, value: list[Any], schema: Schema, where: str, depth: int) -> Iterator[str]:
        first = schema.get("prefixItems", ())
        for place, item in enumerate(value):
            part = first[place] if place < len(first) else schema.get("items", True)
            yield from self.faults(item, part, f"{where}.{place}", depth)
        if "contains" in schema:
            found = sum(self._fits(item, schema["contains"], depth) for item in value)
            if not schema.get("minContains", 1) <= found <= schema.get("maxContains", found):
                yield f"{where}: contains"


def _repeats(value: Any, unique: Any) -> bool:
    if unique is not True or not isinstance(value, list):
        return False
    return any(same(one, other) for place, one in enumerate(value) for other in value[:place])


def _is_no_multiple(value: Any, step: Any) -> bool:
    """Compare as the decimal numbers that were written: binary ones have no tenths."""
    return is_of(value, "number") and Fraction(str(value)) % Fraction(str(step)) != 0


def _has_no(value: Any, pattern: Any) -> bool:
    if not isinstance(value, str) or not isinstance(pattern, str):
        return False
    try:
        return not matches(language(pattern), value)
    except PatternUnsupportedError:
        return False


def _is_not_of(value: Any, name: Any) -> bool:
    form = FORMATS.get(str(name))
    return isinstance(value, str) and form is not None and not re.fullmatch(form, value, re.ASCII)


def _sized(
    kind: type[str | list[Any] | dict[str, Any]], *, most: bool
) -> Callable[[Any, Any], bool]:
    def wrong(value: Any, size: Any) -> bool:
        return isinstance(value, kind) and (len(value) > size if most else len(value) < size)

    return wrong


def _bounded(wrong: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, bound: is_of(value, "number") and wrong(value, bound)


_OF_VALUES: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "type": lambda value, named: (
        bool(types := types_of({"type": named})) and not any(is_of(value, one) for one in types)
    ),
    "const": lambda value, const: not same(value, const),
    "enum": lambda value, enum: not any(same(value, member) for member in enum),
    "minLength": _sized(str, most=False),
    "maxLength": _sized(str, most=True),
    "pattern": _has_no,
    "format": _is_not_of,
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
