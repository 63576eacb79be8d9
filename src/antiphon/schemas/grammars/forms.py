"""The forms of objects: what stands around an object, between its properties and before a value."""

from collections.abc import Callable
from typing import Final

import msgspec

from antiphon.schemas.elements import Elements
from antiphon.schemas.grammars.gbnf import Rules, literal
from antiphon.schemas.grammars.strings import name_rule
from antiphon.schemas.patterns import language
from antiphon.schemas.regular import Language, both
from antiphon.schemas.spelling import Quotes
from antiphon.schemas.view import Subschemas

BARE: Final = language("^[A-Za-z0-9_.-]{1,64}$")
"""The names without quotes that a schema does not name."""


class ObjectForm(msgspec.Struct, frozen=True):
    """How an object is written. The texts are terminals, or empty.

    `name` writes the name of a property with all that stands before its value; `is_name` says
    whether it could be read back. `other` returns the rule for one of a language of names, or None
    if it cannot be written. `value` returns the rule of a value by the name of its property, `None`
    if that is any; without it, the value is spelled as others are. `may_lack` tells whether a
    required property may be left out, because that says its value.
    """

    opening: str
    closing: str
    comma: str
    sorts: bool
    name: Callable[[str], str]
    is_name: Callable[[str], bool]
    other: Callable[[Language], str | None]
    value: Callable[[Subschemas, str | None], str | None] | None = None
    may_lack: Callable[[Subschemas], bool] | None = None

    def pair(self, name: str, value: str) -> str:
        return f"{literal(self.name(name))} {value}"


class ListForm(msgspec.Struct, frozen=True):
    """How an array is written. The texts are terminals, or empty; `item` puts marks around one."""

    opening: str
    closing: str
    comma: str
    item: Callable[[str], str]


def list_form_of(rules: Rules) -> ListForm:
    """Return the form of arrays in the spelling of the rules."""
    return ListForm(rules.opening("["), rules.closing("]"), rules.comma, str)


def form_of(rules: Rules) -> ObjectForm:
    """Return the form of objects in the spelling of the rules."""
    spelling = rules.spelling
    colon = literal(spelling.colon)

    def other(of: Language) -> str | None:
        rule = _bare(rules, of) if spelling.bare_keys else name_rule(rules, of)
        return None if rule is None else f"{rule} {colon}"

    opening, closing = rules.opening("{"), rules.closing("}")
    return ObjectForm(
        opening, closing, rules.comma, spelling.sorts, spelling.key, spelling.can_name, other
    )


def element_form(
    rules: Rules, elements: Elements, value: Callable[[Subschemas, str | None], str | None]
) -> ObjectForm:
    """Return the form of an object whose properties are elements; a value has its marks."""
    before = elements.before

    def other(of: Language) -> str | None:
        rule = _bare(rules, of)
        return None if rule is None else f"{literal(before)} {rule}"

    comma = literal(elements.separator) if elements.separator else ""
    return ObjectForm(
        *("", "", comma, elements.sorts),
        *(lambda name: before + name, elements.can_name, other, value),
    )


def nested_form(
    rules: Rules,
    elements: Elements,
    value: Callable[[Subschemas, str | None], str | None],
    may_lack: Callable[[Subschemas], bool],
) -> ObjectForm:
    """Return the form of an object at any depth whose properties are elements.

    A value brings the mark with which it ends, and `value` adds the rest of what stands behind it.
    """
    between = elements.places["string"].between

    def other(of: Language) -> str | None:
        rule = _bare(rules, of)
        return None if rule is None else f"{literal(elements.before)} {rule} {literal(between)}"

    comma = literal(elements.separator) if elements.separator else ""
    return ObjectForm(
        *("", "", comma, elements.sorts),
        *(lambda name: elements.before + name + between, elements.can_name, other),
        *(value, may_lack),
    )


def nested_list_form(rules: Rules, elements: Elements) -> ListForm:
    """Return the form of an array whose items are elements; an item brings its mark."""
    name, place = elements.item or "", elements.places["string"]
    before = literal(elements.before + name + place.between)
    after = literal(place.end(name)[len(elements.mark) :])
    comma = literal(elements.separator) if elements.separator else ""
    return ListForm("", "", comma, lambda item: rules.add(f"{before} {item} {after}"))


def _bare(rules: Rules, of: Language) -> str | None:
    return name_rule(rules, both(of, BARE), Quotes("", "", "none"))
