"""Converts the schema of an object to a grammar of elements at every depth.

Each value ends with the mark that no text has; what stands behind the mark has the name of the
value, so the rule of a value is the same wherever it stands. `null` is left out: a property that
must be there and may be `null` may be missing, and no other value is `null`. Where an empty value
or a text could be read as one of another type, the check decides.
"""

import re
from collections.abc import Iterable, Sequence

from antiphon.schemas.element_types import names_null
from antiphon.schemas.elements import PROPERTY, Elements
from antiphon.schemas.grammars.arrays import Arrays
from antiphon.schemas.grammars.element_grammar import ElementGrammar
from antiphon.schemas.grammars.forms import BARE, nested_form, nested_list_form
from antiphon.schemas.grammars.gbnf import Rules, either, literal
from antiphon.schemas.grammars.objects import Objects
from antiphon.schemas.grammars.strings import name_rule, sized, string
from antiphon.schemas.patterns import language
from antiphon.schemas.regular import neither
from antiphon.schemas.spelling import Quotes
from antiphon.schemas.values import DISJOINT_TYPES, type_of
from antiphon.schemas.view import Subschemas, View


class NestedGrammar(ElementGrammar):
    """Adds the rules for the objects of one schema, as nested elements, to a grammar."""

    def __init__(
        self, rules: Rules, schema: object, elements: Elements, *, tight: bool = False
    ) -> None:
        super().__init__(rules, schema, elements, tight=tight)
        self._mark = literal(elements.mark)
        self._form = nested_form(rules, elements, self._value_of, self._may_lack)
        self._list = nested_list_form(rules, elements)
        self._any: str | None = None

    def anything(self) -> str:
        """Return the rule for any value; what is empty is a text, as nothing tells it apart."""
        if self._any is None:
            name = self._any = self._rules.reserve()
            elements, item = self._elements, f"^{re.escape(self._elements.item or '')}$"
            other = self._form.other(neither(language(item)))
            pair = self._rules.add(f"{other} {name} {self._rest(None)}")
            parts = (pair, self._list.item(name))
            comma = literal(elements.separator) if elements.separator else ""
            several = (f"{one} ({comma} {one})* {self._mark}" for one in parts)
            text = sized(self._rules, 0, None, elements.text_end)[0]
            self._rules.define(name, " | ".join([text, *several]))
        return self._any

    def _is_writable(self, value: object) -> bool:
        return isinstance(value, dict) and self._elements.can_carry(value)

    def _may_lack(self, subschemas: Subschemas) -> bool:
        return names_null(self._alternatives, self._document.view(subschemas))

    def _value_of(self, subschemas: Subschemas, name: str | None) -> str | None:
        rule = self._rule_of_all(subschemas)
        return None if rule is None else f"{rule} {self._rest(name)}".rstrip()

    def _rest(self, name: str | None) -> str:
        """Return what stands behind the mark of a value; without its name, that of any."""
        place = self._elements.places["string"]
        rest = place.after[len(self._elements.mark) :]
        if name is not None:
            return literal(rest.replace(PROPERTY, name)) if rest else ""
        any_name = name_rule(self._rules, BARE, Quotes("", "", "none"))
        texts = (literal(text) if text else "" for text in rest.split(PROPERTY))
        return f" {any_name} ".join(texts).strip()

    def _write(self, view: View) -> str | None:
        self._note_unclear(view)
        return super()._write(view)

    def _objects(self, view: View) -> str | None:
        self._note_unclear(view)
        return super()._objects(view)

    def _note_unclear(self, view: View) -> None:
        """Leave to the check what may be read as a value of another type, or of another object."""
        found = self._alternatives.of(view)
        kinds = {kind for one in found for kind in _kinds(one)} - {"null"}
        if len(kinds) > 1 and any(one.constraint_kinds - {"types"} for one in found):
            self.unenforced.add("type")
        if len(found) > 1 and any(map(self._lacks_any, found)):
            self.unenforced.add("required")

    def _lacks_any(self, view: View) -> bool:
        """Whether an object may lack a property that it must have."""
        of = self._document.property_view
        return any(names_null(self._alternatives, of(view, name)) for name in view.required)

    def _write_type(self, name: str, view: View, forbidden: Sequence[str]) -> str | None:
        match name:
            case "null":
                return None
            case "string":
                quotes = self._elements.text_end
                found = string(self._rules, self._document, view, forbidden, quotes)
                return self._note_unenforced(found)
            case "object":
                rule = Objects(self._context, view, self._form).rule()
            case "array":
                rule = Arrays(self._context, view, self._list).rule()
            case _:
                kind = "number" if name == "integer" else name
                with self._rules.spelled(self._elements.spelling(kind)):
                    rule = super()._write_type(name, view, forbidden)
        return None if rule is None else self._rules.add(f"{rule} {self._mark}")

    def _write_values(self, view: View) -> str | None:
        values = filter(self._elements.can_carry, self._values(view))
        mark = self._elements.mark
        literals = [literal(self._elements.value(one) + mark) for one in values]
        return self._rules.add(either(literals)) if literals else None


def _kinds(view: View) -> Iterable[str]:
    if view.values is None:
        return view.implied_types or DISJOINT_TYPES
    return map(type_of, view.values.values())
