"""What schemas say of one value, all in one: the view that check, grammars and examples share.

`allOf` and `$ref` are followed and their words joined with those beside them, as the standard
(draft 2020-12) says: all must hold, and `additionalProperties` speaks of what its own schema does
not name. What cannot be joined stays a list: choices (`anyOf`, `oneOf`, `if`, what depends on a
property), and what `not`, `contains` and `propertyNames` ask. Of draft 7, `dependencies` and a list
of `items` are understood, too. A part of `allOf` that is closed to other properties is open to one
that another part has and any requires: by the letter nothing would fit, and its author meant
something. It stays closed to the ways of `anyOf`, `oneOf` and `if`, of which others may fit.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

Schema: TypeAlias = Mapping[str, Any]
Group: TypeAlias = tuple[Any, ...]
"""Schemas that were written to hold together: of one `allOf`, or a `$ref` and what is beside it."""

Asked: TypeAlias = tuple[Group, ...]
"""Groups of schemas that all must hold."""

Mark: TypeAlias = tuple[str, int] | tuple[str, int, str]
"""Which choice it is: its word, the identity of its schema, and the property that brings it."""

SILENT: Final = frozenset(
    {
        *("description", "title", "default", "examples", "$defs", "definitions", "$schema"),
        *("$comment", "$id", "$anchor", "deprecated", "readOnly", "writeOnly"),
    }
)
"""Words of a schema that ask for nothing."""

SPEAKING: Final = frozenset({"properties", "additionalProperties", "patternProperties"})
"""Words of a schema that speak of the values of properties."""

UNSUPPORTED: Final = frozenset(
    {"unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"}
)
UNENFORCED: Final[Mapping[str, Schema]] = {
    word: {"$unenforced": word}
    for word in ("$ref", "anyOf", "oneOf", "if", "dependentSchemas", "dependencies")
}
"""In the place of what is left out of a view: it asks for nothing, and names the word."""


class Properties(msgspec.Struct, frozen=True):
    """What one schema says of properties; `closing` if it speaks of `others` at all."""

    named: Schema
    patterns: Schema
    others: Any
    closing: bool


class Items(msgspec.Struct, frozen=True):
    """What one schema says of the items of an array."""

    first: Sequence[Any]
    others: Any


class Contains(msgspec.Struct, frozen=True):
    """How many items of an array must fit a schema."""

    schema: Any
    least: int
    most: int | None


class Union(msgspec.Struct, frozen=True):
    """`anyOf` or `oneOf`: ways of which one must hold, and with `oneOf` no more."""

    word: str
    mark: Mark
    ways: Sequence[Any]


class Condition(msgspec.Struct, frozen=True):
    """`if` one schema holds `then` another must, and `otherwise` a third."""

    word: str
    mark: Mark
    when: Any
    then: Any
    otherwise: Any


Choice: TypeAlias = Union | Condition


class View(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """What a value must be. A choice that is `settled` has been made: it is not asked again.

    `words` are those that hold a number, joined: of two bounds the stricter one. `types` and
    `values` are those of which a value must have one, if any are named. `parts`, `items` and
    `names` have an entry for each group, with what each of its schemas says. `unenforced` are words
    that ask for something and are not understood. Of one that `is_free` nothing is asked, and no
    value fits a `false` one.
    """

    groups: Asked
    settled: frozenset[Mark]
    words: Schema
    required: tuple[str, ...]
    types: tuple[str, ...] | None
    values: Mapping[Hashable, Any] | None
    patterns: tuple[str, ...]
    formats: tuple[str, ...]
    parts: tuple[tuple[Properties, ...], ...]
    items: tuple[tuple[Items, ...], ...]
    names: Asked
    contains: tuple[Contains, ...]
    needs: Mapping[str, tuple[str, ...]]
    choices: tuple[Choice, ...]
    nots: tuple[Any, ...]
    unenforced: frozenset[str]
    false: bool
    is_free: bool
    # What has been worked out of it before.
    known: dict[Hashable, Any]

    @property
    def impossible(self) -> bool:
        """Whether it is plain that no value fits."""
        return self.false or self.types == () or self.values == {}

    @property
    def asks(self) -> set[str]:
        """Name what is asked: types, values, required properties, and anything else as `more`."""
        of_text = self.patterns or self.formats
        inside = self.parts or self.items or self.names or self.contains or self.needs
        more = self.words or of_text or inside or self.choices or self.nots or self.unenforced
        named = (
            ("types", self.types is not None),
            ("values", self.values is not None),
            ("required", self.required),
            ("more", more or self.false),
        )
        return {name for name, is_asked in named if is_asked}

    @property
    def implied_types(self) -> tuple[str, ...]:
        """Name the types of a value; if none is named, the one that the other words speak of."""
        if self.types is not None:
            return self.types
        speaks = self.parts or self.names or self.needs or self.required
        if speaks or _OF_OBJECTS & self.words.keys():
            return ("object",)
        if self.items or self.contains or _OF_ARRAYS & self.words.keys():
            return ("array",)
        if self.patterns or self.formats or _OF_STRINGS & self.words.keys():
            return ("string",)
        return ("number",) if _OF_NUMBERS & self.words.keys() else ()


_OF_OBJECTS: Final = frozenset({"minProperties", "maxProperties"})
_OF_ARRAYS: Final = frozenset({"minItems", "maxItems", "uniqueItems"})
_OF_STRINGS: Final = frozenset({"minLength", "maxLength"})
_OF_NUMBERS: Final = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
