"""Converts the schema of an object to a grammar of elements: each property between its marks.

A text is written as it is, up to the mark behind it; it cannot contain that mark. Other values have
their spelling.
"""

from collections.abc import Iterator

from antiphon.schemas.elements import Elements, Place
from antiphon.schemas.grammars.forms import element_form
from antiphon.schemas.grammars.gbnf import Rules, literal
from antiphon.schemas.grammars.json_grammar import JsonGrammar
from antiphon.schemas.grammars.objects import Objects
from antiphon.schemas.grammars.strings import string
from antiphon.schemas.spelling import Quotes
from antiphon.schemas.values import DISJOINT_TYPES, type_of
from antiphon.schemas.view import Subschemas, View


class ElementGrammar(JsonGrammar):
    """Adds the rules for the objects of one schema, as elements, to a grammar."""

    def __init__(
        self, rules: Rules, schema: object, elements: Elements, *, tight: bool = False
    ) -> None:
        super().__init__(rules, schema, tight=tight)
        self._elements = elements
        self._form = element_form(rules, elements, self._value_of)

    def rule(self) -> str | None:
        """Return the rule for the elements of the whole schema, or None if no object fits."""
        return self._rule(self._objects)

    def _objects(self, view: View) -> str | None:
        return self._either([self._object(one) for one in self._alternatives.of(view)])

    def _object(self, view: View) -> str | None:
        self.unenforced |= view.unenforced
        if view.values is not None:
            values = [one for one in self._values(view) if self._is_writable(one)]
            return self._either([literal(self._elements.write(one)) for one in values])
        remaining, _ = self._without_negations(view)
        if remaining is None or "object" not in (remaining.implied_types or ("object",)):
            return None
        return Objects(self._context, remaining, self._form).rule()

    def _is_writable(self, value: object) -> bool:
        return isinstance(value, dict) and all(
            self._elements.can_name(name) and self._can_write(one, name)
            for name, one in value.items()
        )

    def _can_write(self, value: object, own: str) -> bool:
        if isinstance(value, str):
            return self._elements.is_writable(value, own)
        return self._elements.spelling(type_of(value)).can_write(value)

    def _value_of(self, subschemas: Subschemas, name: str | None) -> str | None:
        """Return the rule of a value with its marks; `None` if these need a name that is any."""
        if name is None and self._elements.repeats:
            return None
        view, own = self._document.view(subschemas), name or ""
        return self._either([self._value(one, own) for one in self._alternatives.of(view)])

    def _value(self, view: View, own: str) -> str | None:
        self.unenforced |= view.unenforced
        if view.values is not None:
            return self._either([self._literal(one, own) for one in self._values(view)])
        remaining, forbidden = self._without_negations(view)
        if remaining is None:
            return None
        types = remaining.implied_types or DISJOINT_TYPES
        return self._either([self._of_type(name, remaining, forbidden, own) for name in types])

    def _literal(self, value: object, own: str) -> str | None:
        kind = type_of(value)
        place = self._elements.places[kind]
        if not self._can_write(value, own):
            return None
        if not isinstance(value, str):
            text = self._elements.spelling(kind).write(value)
        else:
            text = self._elements.text(value)
        return literal(place.between + text + place.end(own))

    def _of_type(self, name: str, view: View, forbidden: tuple[str, ...], own: str) -> str | None:
        kind = "number" if name == "integer" else name
        place = self._elements.places[kind]
        if kind == "string" and self._elements.quoted is None:
            return self._either(
                [self._text(one, view, forbidden) for one in self._ends(place, own)]
            )
        with self._rules.spelled(self._elements.spelling(kind)):
            rule = self._write_type(name, view, forbidden)
        return None if rule is None else _joined(place.between, rule, place.end(own))

    def _ends(self, place: Place, own: str) -> Iterator[tuple[Quotes, str]]:
        """Yield the quotes that a text may have, and what stands behind them."""
        plain, wrapped = self._elements.text_end_of(own), self._elements.wrapped
        yield plain, place.end(own)[len(plain.closing) :]
        if wrapped is not None:
            yield wrapped, place.end(own)

    def _text(self, end: tuple[Quotes, str], view: View, forbidden: tuple[str, ...]) -> str | None:
        quotes, rest = end
        rule = self._note_unenforced(string(self._rules, self._document, view, forbidden, quotes))
        between = self._elements.places["string"].between
        return None if rule is None else _joined(between, rule, rest)


def _joined(before: str, rule: str, after: str) -> str:
    return " ".join(
        [*([literal(before)] if before else []), rule, *([literal(after)] if after else [])]
    )
