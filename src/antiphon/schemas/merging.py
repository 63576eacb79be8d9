"""Merges the keywords of several schemas into one view: the stricter bound, all required names.

A view lists the constraints that do not merge: see `view`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Final

from antiphon.schemas.formats import FORMATS
from antiphon.schemas.steps import Steps
from antiphon.schemas.values import TYPES, decimal, identity
from antiphon.schemas.view import (
    INERT,
    PROPERTY_KEYWORDS,
    UNENFORCED,
    UNSUPPORTED,
    Choice,
    Condition,
    Contains,
    Items,
    Mark,
    Properties,
    Schema,
    Subschemas,
    Union,
    View,
)

_UNENFORCED_KEYWORDS: Final[Mapping[int, str]] = {
    id(schema): keyword for keyword, schema in UNENFORCED.items()
}


def merged(groups: Subschemas, resolved: frozenset[Mark], steps: Steps) -> View:
    """Merge the keywords of schemas whose `$ref` and `allOf` have been followed."""
    draft = _Draft(steps)
    for index, group in enumerate(groups):
        for node in group:
            draft.read(node, index)
    return draft.view(groups, resolved)


class _Draft:
    """Collects the constraints of a view, schema by schema."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._group = 0
        self.keywords: dict[str, Any] = {}
        self.required: dict[str, None] = {}
        self.types: tuple[str, ...] | None = None
        self.values: dict[Hashable, Any] | None = None
        self.patterns: dict[str, None] = {}
        self.formats: dict[str, None] = {}
        # By the index of the group.
        self.properties: dict[int, list[Properties]] = {}
        self.items: dict[int, list[Items]] = {}
        self.property_names: dict[int, list[Any]] = {}
        self.contains: list[Contains] = []
        self.dependent_required: dict[str, tuple[str, ...]] = {}
        self.choices: dict[Mark, Choice] = {}
        self.negated: list[Any] = []
        self.unenforced: set[str] = set()
        self.false = False

    def read(self, node: Any, group: int) -> None:
        self._group = group
        if node is False:
            self.false = True
            return
        self._steps.take(1 + len(node))
        for keyword in node:
            read = _READ.get(keyword)
            if read is not None:
                read(self, node)
            elif keyword in _MERGE:
                known = self.keywords.get(keyword)
                value = node[keyword]
                self.keywords[keyword] = value if known is None else _MERGE[keyword](known, value)
            elif keyword in UNSUPPORTED:
                self.unenforced.add(keyword)
        if not PROPERTY_KEYWORDS.isdisjoint(node):
            self.properties.setdefault(group, []).append(properties_of(node))

    def view(self, groups: Subschemas, resolved: frozenset[Mark]) -> View:
        values, negated = _without(self.values, self.negated) if self.negated else (self.values, ())
        choices = tuple([one for mark, one in self.choices.items() if mark not in resolved])
        return View(
            groups=groups,
            resolved=resolved,
            keywords=self.keywords,
            required=tuple(self.required),
            types=self.types,
            values=values,
            patterns=tuple(self.patterns),
            formats=tuple(self.formats),
            properties=tuple(map(tuple, self.properties.values())) if self.properties else (),
            items=tuple(map(tuple, self.items.values())) if self.items else (),
            property_names=tuple(map(tuple, self.property_names.values()))
            if self.property_names
            else (),
            contains=tuple(self.contains),
            dependent_required=self.dependent_required,
            choices=choices,
            negated=negated,
            unenforced=frozenset(self.unenforced),
            false=self.false,
            is_unconstrained=self._is_unconstrained(choices),
            cache={},
        )

    def _is_unconstrained(self, choices: Sequence[Choice]) -> bool:
        if self.types is not None or self.values is not None or self.false:
            return False
        of_value = self.keywords or self.required or self.patterns or self.formats
        inside = (
            self.properties
            or self.items
            or self.property_names
            or self.contains
            or self.dependent_required
        )
        return not (of_value or inside or choices or self.negated or self.unenforced)

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
        self._add_values([node["const"]])

    def read_enum(self, node: Schema) -> None:
        self._add_values(node["enum"])

    def _add_values(self, values: Sequence[Any]) -> None:
        self._steps.take(len(values))
        found = {identity(value): value for value in values}
        known = self.values
        self.values = found if known is None else {key: known[key] for key in known if key in found}

    def read_pattern(self, node: Schema) -> None:
        self.patterns[node["pattern"]] = None

    def read_format(self, node: Schema) -> None:
        if node["format"] in FORMATS:
            self.formats[node["format"]] = None

    def read_property_names(self, node: Schema) -> None:
        self.property_names.setdefault(self._group, []).append(node["propertyNames"])

    def read_items(self, node: Schema) -> None:
        items = node["items"]
        if isinstance(items, list):
            self._add_items(items, node.get("additionalItems", True))
        else:
            self._add_items(node.get("prefixItems", ()), items)

    def read_prefix_items(self, node: Schema) -> None:
        if "items" not in node:
            self._add_items(node["prefixItems"], rest=True)

    def _add_items(self, prefix: Sequence[Any], rest: Any) -> None:
        self.items.setdefault(self._group, []).append(Items(prefix, rest))

    def read_unenforced(self, node: Schema) -> None:
        # Only the stand-ins of `UNENFORCED` count: a caller may send the same keyword.
        if id(node) in _UNENFORCED_KEYWORDS:
            self.unenforced.add(_UNENFORCED_KEYWORDS[id(node)])

    def read_contains(self, node: Schema) -> None:
        most = node.get("maxContains")
        least = int(node.get("minContains", 1))
        self.contains.append(Contains(node["contains"], least, None if most is None else int(most)))

    def read_dependent_required(self, node: Schema) -> None:
        for keyword in ("dependentRequired", "dependencies"):
            for name, needed in node.get(keyword, {}).items():
                if isinstance(needed, list):
                    self.dependent_required[name] = (
                        *self.dependent_required.get(name, ()),
                        *needed,
                    )

    def read_dependent_schemas(self, node: Schema) -> None:
        for keyword in ("dependentSchemas", "dependencies"):
            for name, part in node.get(keyword, {}).items():
                if part is not True and not isinstance(part, list):
                    mark = (keyword, id(node), name)
                    when = {"type": "object", "required": [name]}
                    self.choices.setdefault(
                        mark, Condition(keyword, mark, when, part, otherwise=True)
                    )

    def read_dependencies(self, node: Schema) -> None:
        self.read_dependent_required(node)
        self.read_dependent_schemas(node)

    def read_any_of(self, node: Schema) -> None:
        mark = ("anyOf", id(node))
        self.choices[mark] = Union("anyOf", mark, node["anyOf"])

    def read_one_of(self, node: Schema) -> None:
        mark = ("oneOf", id(node))
        self.choices[mark] = Union("oneOf", mark, node["oneOf"])

    def read_if(self, node: Schema) -> None:
        then, otherwise = node.get("then", True), node.get("else", True)
        if then is not True or otherwise is not True:
            mark = ("if", id(node))
            self.choices[mark] = Condition("if", mark, node["if"], then, otherwise)

    def read_not(self, node: Schema) -> None:
        denied = node["not"]
        if isinstance(denied, dict) and denied.keys() - INERT == {"anyOf"}:
            self._steps.take(len(denied["anyOf"]))
            self.negated.extend(denied["anyOf"])
        else:
            self.negated.append(denied)


_READ: Final[Mapping[str, Callable[[_Draft, Schema], None]]] = {
    "type": _Draft.read_type,
    "required": _Draft.read_required,
    "const": _Draft.read_const,
    "enum": _Draft.read_enum,
    "pattern": _Draft.read_pattern,
    "format": _Draft.read_format,
    "propertyNames": _Draft.read_property_names,
    "contains": _Draft.read_contains,
    "dependentRequired": _Draft.read_dependent_required,
    "dependentSchemas": _Draft.read_dependent_schemas,
    "dependencies": _Draft.read_dependencies,
    "anyOf": _Draft.read_any_of,
    "oneOf": _Draft.read_one_of,
    "if": _Draft.read_if,
    "not": _Draft.read_not,
    "items": _Draft.read_items,
    "prefixItems": _Draft.read_prefix_items,
    "$unenforced": _Draft.read_unenforced,
}


def properties_of(node: Schema) -> Properties:
    """Return the property keywords of a schema."""
    return Properties(
        node.get("properties", {}),
        node.get("patternProperties", {}),
        node.get("additionalProperties", True),
        "additionalProperties" in node,
    )


def _without(
    values: dict[Hashable, Any] | None, negated: Sequence[Any]
) -> tuple[dict[Hashable, Any] | None, tuple[Any, ...]]:
    """Remove the values that `not` lists; return the values, and the other schemas of `not`."""
    if values is None:
        return None, tuple(negated)
    others: list[Any] = []
    for denied in negated:
        listed = listed_values(denied)
        if listed is None:
            others.append(denied)
        else:
            removed = set(map(identity, listed))
            values = {key: value for key, value in values.items() if key not in removed}
    return values, tuple(others)


def listed_values(schema: Any) -> Sequence[Any] | None:
    """Return the values of a schema whose only constraint is `const` or `enum`; else None."""
    if not isinstance(schema, dict):
        return None
    keywords = schema.keys() - INERT
    if keywords == {"const"}:
        return [schema["const"]]
    values: Sequence[Any] | None = schema["enum"] if keywords == {"enum"} else None
    return values


def _common_types(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """Return the types allowed by both; `integer` is part of `number`."""
    both = [name for name in one if name in other]
    if "number" not in both:
        for some, others in ((one, other), (other, one)):
            if "integer" in some and "number" in others and "integer" not in both:
                both.append("integer")
    return tuple(both)


def _common_multiple(one: Any, other: Any) -> Fraction:
    a, b = decimal(one), decimal(other)
    return Fraction(lcm(a.numerator, b.numerator), gcd(a.denominator, b.denominator))


_MERGE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "uniqueItems": lambda one, other: one or other,
    "multipleOf": _common_multiple,
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}
