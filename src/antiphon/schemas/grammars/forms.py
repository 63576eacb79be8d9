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
    if that is any; without it, the value is spelled as others are.
    """

    opening: str
    closing: str
    comma: str
    sorts: bool
    name: Callable[[str], str]
    is_name: Callable[[str], bool]
    other: Callable[[Language], str | None]
    value: Callable[[Subschemas, str | None], str | None] | None = None

    def pair(self, name: str, value: str) -> str:
        return f"{literal(self.name(name))} {value}"


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


def _bare(rules: Rules, of: Language) -> str | None:
    return name_rule(rules, both(of, BARE), Quotes("", "", "none"))
