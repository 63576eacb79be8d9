"""A view: all constraints of a schema on one value, merged. Check, grammars and examples share it.

A view follows `allOf` and `$ref` and merges their keywords with those beside them, as draft 2020-12
requires: all of them apply, and `additionalProperties` covers the properties that its own schema
does not name. A view lists what it cannot merge: the choices (`anyOf`, `oneOf`, `if`, dependent
schemas) and the subschemas of `not`, `contains` and `propertyNames`. It also supports two keywords
of draft 7: `dependencies`, and `items` as a list.

In one case a view departs from the standard. Of two schemas in an `allOf`, one may close its object
(`additionalProperties: false`) to a property that the other names. If either requires the property,
the closed schema accepts it: read strictly, no value would fit. A closed schema stays closed to the
properties of the branches of `anyOf`, `oneOf` and `if`, because another branch may fit.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

Schema: TypeAlias = Mapping[str, Any]
Group: TypeAlias = tuple[Any, ...]
"""Schemas that apply together: those of one `allOf`, or a `$ref` and the schema beside it."""

Subschemas: TypeAlias = tuple[Group, ...]
"""Groups of schemas that all apply to the same value."""

Mark: TypeAlias = tuple[str, int] | tuple[str, int, str]
"""Identifies a choice: its keyword, the `id()` of its schema, and the property it depends on."""

INERT: Final = frozenset(
    {
        *("description", "title", "default", "examples", "$defs", "definitions", "$schema"),
        *("$comment", "$id", "$anchor", "deprecated", "readOnly", "writeOnly"),
    }
)
"""Keywords that constrain no value: annotations, identifiers, definitions."""

PROPERTY_KEYWORDS: Final = frozenset({"properties", "additionalProperties", "patternProperties"})
"""Keywords that constrain the values of properties."""

UNSUPPORTED: Final = frozenset(
    {"unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"}
)
"""Keywords that are neither enforced nor checked."""
UNENFORCED: Final[Mapping[str, Schema]] = {
    keyword: {"$unenforced": keyword}
    for keyword in ("$ref", "anyOf", "oneOf", "if", "dependentSchemas", "dependencies")
}
"""Stand-ins for omitted constraints: they constrain nothing and name the unenforced keyword."""


class Properties(msgspec.Struct, frozen=True):
    """The property keywords of one schema. `has_additional`: `additionalProperties` is present."""

    named: Schema
    patterns: Schema
    additional: Any
    has_additional: bool


class Items(msgspec.Struct, frozen=True):
    """The item keywords of one schema: schemas by position, and one for the remaining items."""

    prefix: Sequence[Any]
    rest: Any


class Contains(msgspec.Struct, frozen=True):
    """How many items of an array must fit a schema: `contains` with its bounds."""

    schema: Any
    least: int
    most: int | None


class Union(msgspec.Struct, frozen=True):
    """`anyOf` or `oneOf`: at least one branch must fit, with `oneOf` exactly one."""

    keyword: str
    mark: Mark
    branches: Sequence[Any]


class Condition(msgspec.Struct, frozen=True):
    """`if` or a dependent schema: a value that fits `when` must fit `then`, others `otherwise`."""

    keyword: str
    mark: Mark
    when: Any
    then: Any
    otherwise: Any


Choice: TypeAlias = Union | Condition


class View(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The merged constraints on one value.

    `keywords` maps each keyword that merges to a single value (bounds, sizes, `multipleOf`,
    `uniqueItems`) to that value. `types` and `values` list the allowed ones; None allows any.
    `properties`, `items` and `property_names` have one entry per group. `resolved` marks choices
    that have been made and do not apply again. `unenforced` names the keywords that the view leaves
    out. No value fits a view that is `false`; every value fits one that `is_unconstrained`.
    """

    groups: Subschemas
    resolved: frozenset[Mark]
    keywords: Schema
    required: tuple[str, ...]
    types: tuple[str, ...] | None
    values: Mapping[Hashable, Any] | None
    patterns: tuple[str, ...]
    formats: tuple[str, ...]
    properties: tuple[tuple[Properties, ...], ...]
    items: tuple[tuple[Items, ...], ...]
    property_names: Subschemas
    contains: tuple[Contains, ...]
    dependent_required: Mapping[str, tuple[str, ...]]
    choices: tuple[Choice, ...]
    negated: tuple[Any, ...]
    unenforced: frozenset[str]
    false: bool
    is_unconstrained: bool
    # Holds the subschemas and views derived from this one.
    cache: dict[Hashable, Any]

    @property
    def impossible(self) -> bool:
        """Whether the view alone shows that no value fits."""
        return self.false or self.types == () or self.values == {}

    @property
    def constraint_kinds(self) -> set[str]:
        """Return the kinds of constraints: types, values, required, and other for the rest."""
        of_text = self.patterns or self.formats
        inside = (
            self.properties
            or self.items
            or self.property_names
            or self.contains
            or self.dependent_required
        )
        other = (
            self.keywords or of_text or inside or self.choices or self.negated or self.unenforced
        )
        kinds = (
            ("types", self.types is not None),
            ("values", self.values is not None),
            ("required", self.required),
            ("other", other or self.false),
        )
        return {name for name, is_present in kinds if is_present}

    @property
    def implied_types(self) -> tuple[str, ...]:
        """Return the allowed types; without `type`, the type that the other keywords apply to."""
        if self.types is not None:
            return self.types
        of_objects = (
            self.properties or self.property_names or self.dependent_required or self.required
        )
        if of_objects or _OF_OBJECTS & self.keywords.keys():
            return ("object",)
        if self.items or self.contains or _OF_ARRAYS & self.keywords.keys():
            return ("array",)
        if self.patterns or self.formats or _OF_STRINGS & self.keywords.keys():
            return ("string",)
        return ("number",) if _OF_NUMBERS & self.keywords.keys() else ()


_OF_OBJECTS: Final = frozenset({"minProperties", "maxProperties"})
_OF_ARRAYS: Final = frozenset({"minItems", "maxItems", "uniqueItems"})
_OF_STRINGS: Final = frozenset({"minLength", "maxLength"})
_OF_NUMBERS: Final = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
