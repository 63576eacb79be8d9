"""The words of several schemas, joined to one view: of two bounds the stricter, all required names.

What cannot be said in one word stays a list: see `view`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Final

from antiphon.schemas.formats import FORMATS
from antiphon.schemas.steps import Steps
from antiphon.schemas.values import TYPES, decimal, identity
from antiphon.schemas.view import (
    SILENT,
    SPEAKING,
    UNENFORCED,
    UNSUPPORTED,
    Asked,
    Choice,
    Condition,
    Contains,
    Items,
    Mark,
    Properties,
    Schema,
    Union,
    View,
)

_UNENFORCED_KEYWORDS: Final[Mapping[int, str]] = {
    id(schema): word for word, schema in UNENFORCED.items()
}


def joined(groups: Asked, settled: frozenset[Mark], steps: Steps) -> View:
    """Join the words of schemas in which no `$ref` or `allOf` is left to follow."""
    draft = _Draft(steps)
    for place, group in enumerate(groups):
        for node in group:
            draft.read(node, place)
    return draft.view(groups, settled)


class _Draft:
    """A view in the making."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._group = 0
        self.words: dict[str, Any] = {}
        self.required: dict[str, None] = {}
        self.types: tuple[str, ...] | None = None
        self.values: dict[Hashable, Any] | None = None
        self.patterns: dict[str, None] = {}
        self.formats: dict[str, None] = {}
        # By the number of their group.
        self.parts: dict[int, list[Properties]] = {}
        self.items: dict[int, list[Items]] = {}
        self.names: dict[int, list[Any]] = {}
        self.contains: list[Contains] = []
        self.needs: dict[str, tuple[str, ...]] = {}
        self.choices: dict[Mark, Choice] = {}
        self.nots: list[Any] = []
        self.unenforced: set[str] = set()
        self.false = False

    def read(self, node: Any, group: int) -> None:
        self._group = group
        if node is False:
            self.false = True
            return
        self._steps.take(1 + len(node))
        for word in node:
            read = _READ.get(word)
            if read is not None:
                read(self, node)
            elif word in _JOINED:
                known = self.words.get(word)
                value = node[word]
                self.words[word] = value if known is None else _JOINED[word](known, value)
            elif word in UNSUPPORTED:
                self.unenforced.add(word)
        if not SPEAKING.isdisjoint(node):
            self.parts.setdefault(group, []).append(properties_of(node))

    def view(self, groups: Asked, settled: frozenset[Mark]) -> View:
        values, nots = _without(self.values, self.nots) if self.nots else (self.values, ())
        choices = tuple([one for mark, one in self.choices.items() if mark not in settled])
        return View(
            groups=groups,
            settled=settled,
            words=self.words,
            required=tuple(self.required),
            types=self.types,
            values=values,
            patterns=tuple(self.patterns),
            formats=tuple(self.formats),
            parts=tuple(map(tuple, self.parts.values())) if self.parts else (),
            items=tuple(map(tuple, self.items.values())) if self.items else (),
            names=tuple(map(tuple, self.names.values())) if self.names else (),
            contains=tuple(self.contains),
            needs=self.needs,
            choices=choices,
            nots=nots,
            unenforced=frozenset(self.unenforced),
            false=self.false,
            is_free=self._is_free(choices),
            known={},
        )

    def _is_free(self, choices: Sequence[Choice]) -> bool:
        if self.types is not None or self.values is not None or self.false:
            return False
        words = self.words or self.required or self.patterns or self.formats
        inside = self.parts or self.items or self.names or self.contains or self.needs
        return not (words or inside or choices or self.nots or self.unenforced)

    def read_type(self, node: Schema) -> None:
        given = node["type"]
        if isinstance(given, str) and given in TYPES and self.types is None:
            self.types = (given,)
            return
        names = given if isinstance(given, list) else [given]
        types = tuple(name for name in names if isinstance(name, str) and name in TYPES)
        if types:
            self.types = types if self.types is None else _common_types(self.types, types)

    def read_required(self, node: Schema) -> None:
        self._steps.take(len(node["required"]))
        self.required.update(dict.fromkeys(node["required"]))

    def read_const(self, node: Schema) -> None:
        self._read_values([node["const"]])

    def read_enum(self, node: Schema) -> None:
        self._read_values(node["enum"])

    def _read_values(self, values: Sequence[Any]) -> None:
        self._steps.take(len(values))
        found = {identity(value): value for value in values}
        known = self.values
        self.values = found if known is None else {key: known[key] for key in known if key in found}

    def read_pattern(self, node: Schema) -> None:
        self.patterns[node["pattern"]] = None

    def read_format(self, node: Schema) -> None:
        if node["format"] in FORMATS:
            self.formats[node["format"]] = None

    def read_names(self, node: Schema) -> None:
        self.names.setdefault(self._group, []).append(node["propertyNames"])

    def read_items(self, node: Schema) -> None:
        items = node["items"]
        if isinstance(items, list):
            self._read_items(items, node.get("additionalItems", True))
        else:
            self._read_items(node.get("prefixItems", ()), items)

    def read_first_items(self, node: Schema) -> None:
        if "items" not in node:
            self._read_items(node["prefixItems"], others=True)

    def _read_items(self, first: Sequence[Any], others: Any) -> None:
        self.items.setdefault(self._group, []).append(Items(first, others))

    def read_unenforced(self, node: Schema) -> None:
        # A caller may send the same word: it means nothing.
        if id(node) in _UNENFORCED_KEYWORDS:
            self.unenforced.add(_UNENFORCED_KEYWORDS[id(node)])

    def read_contains(self, node: Schema) -> None:
        most = node.get("maxContains")
        least = int(node.get("minContains", 1))
        self.contains.append(Contains(node["contains"], least, None if most is None else int(most)))

    def read_needs(self, node: Schema) -> None:
        for word in ("dependentRequired", "dependencies"):
            for name, needed in node.get(word, {}).items():
                if isinstance(needed, list):
                    self.needs[name] = (*self.needs.get(name, ()), *needed)

    def read_dependent(self, node: Schema) -> None:
        for word in ("dependentSchemas", "dependencies"):
            for name, part in node.get(word, {}).items():
                if part is not True and not isinstance(part, list):
                    mark = (word, id(node), name)
                    when = {"type": "object", "required": [name]}
                    self.choices.setdefault(mark, Condition(word, mark, when, part, otherwise=True))

    def read_dependencies(self, node: Schema) -> None:
        self.read_needs(node)
        self.read_dependent(node)

    def read_any(self, node: Schema) -> None:
        mark = ("anyOf", id(node))
        self.choices[mark] = Union("anyOf", mark, node["anyOf"])

    def read_one(self, node: Schema) -> None:
        mark = ("oneOf", id(node))
        self.choices[mark] = Union("oneOf", mark, node["oneOf"])

    def read_if(self, node: Schema) -> None:
        then, otherwise = node.get("then", True), node.get("else", True)
        if then is not True or otherwise is not True:
            mark = ("if", id(node))
            self.choices[mark] = Condition("if", mark, node["if"], then, otherwise)

    def read_not(self, node: Schema) -> None:
        wrong = node["not"]
        if isinstance(wrong, dict) and wrong.keys() - SILENT == {"anyOf"}:
            self._steps.take(len(wrong["anyOf"]))
            self.nots.extend(wrong["anyOf"])
        else:
            self.nots.append(wrong)


_READ: Final[Mapping[str, Callable[[_Draft, Schema], None]]] = {
    "type": _Draft.read_type,
    "required": _Draft.read_required,
    "const": _Draft.read_const,
    "enum": _Draft.read_enum,
    "pattern": _Draft.read_pattern,
    "format": _Draft.read_format,
    "propertyNames": _Draft.read_names,
    "contains": _Draft.read_contains,
    "dependentRequired": _Draft.read_needs,
    "dependentSchemas": _Draft.read_dependent,
    "dependencies": _Draft.read_dependencies,
    "anyOf": _Draft.read_any,
    "oneOf": _Draft.read_one,
    "if": _Draft.read_if,
    "not": _Draft.read_not,
    "items": _Draft.read_items,
    "prefixItems": _Draft.read_first_items,
    "$unenforced": _Draft.read_unenforced,
}


def properties_of(node: Schema) -> Properties:
    """Return what a schema says of properties."""
    return Properties(
        node.get("properties", {}),
        node.get("patternProperties", {}),
        node.get("additionalProperties", True),
        "additionalProperties" in node,
    )


def _without(
    values: dict[Hashable, Any] | None, nots: Sequence[Any]
) -> tuple[dict[Hashable, Any] | None, tuple[Any, ...]]:
    """Leave out of known values those that are forbidden one by one."""
    if values is None:
        return None, tuple(nots)
    others: list[Any] = []
    for wrong in nots:
        listed = listed_values(wrong)
        if listed is None:
            others.append(wrong)
        else:
            gone = set(map(identity, listed))
            values = {key: value for key, value in values.items() if key not in gone}
    return values, tuple(others)


def listed_values(schema: Any) -> Sequence[Any] | None:
    """Return the values of a schema that lists them and asks for nothing else."""
    if not isinstance(schema, dict):
        return None
    words = schema.keys() - SILENT
    if words == {"const"}:
        return [schema["const"]]
    values: Sequence[Any] | None = schema["enum"] if words == {"enum"} else None
    return values


def _common_types(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """Name the types of both; an integer is a number."""
    both = [name for name in one if name in other]
    if "number" not in both:
        for some, others in ((one, other), (other, one)):
            if "integer" in some and "number" in others and "integer" not in both:
                both.append("integer")
    return tuple(both)


def _common_multiple(one: Any, other: Any) -> Fraction:
    a, b = decimal(one), decimal(other)
    return Fraction(lcm(a.numerator, b.numerator), gcd(a.denominator, b.denominator))


_JOINED: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "uniqueItems": lambda one, other: one or other,
    "multipleOf": _common_multiple,
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
