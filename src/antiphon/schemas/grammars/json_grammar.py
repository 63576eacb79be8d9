"""JSON schemas to grammars: whatever can be sampled is JSON, and fits.

A grammar may allow less than its schema, never what does not fit, unless it says so: `unenforced` has
the words of the schema that it does not keep, and the reader of the answer has to check it. Spaces
are fixed and numbers have so many digits at most: a model must not be able to go on with either for
ever. Properties come in the order of the schema, required ones first.

The work has two bounds. Views are made, split and compared in the steps of `Rules.share`; a schema
that needs more raises `TooComplexError`. Automata of strings have steps of their own, for a whole
grammar; a string that needs more is left to the check.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from antiphon.schemas.alternatives import Alternatives
from antiphon.schemas.check import Check
from antiphon.schemas.document import Document
from antiphon.schemas.finiteness import Finiteness
from antiphon.schemas.grammars.arrays import Arrays, any_array
from antiphon.schemas.grammars.context import Context
from antiphon.schemas.grammars.gbnf import Rules, either, literal
from antiphon.schemas.grammars.numbers import NUMBER, integers, numbers
from antiphon.schemas.grammars.objects import Objects, any_object
from antiphon.schemas.grammars.strings import sized, string
from antiphon.schemas.negation import permitted
from antiphon.schemas.values import APART
from antiphon.schemas.view import Asked, View

DEPTH: Final = 72
"""How deep schemas are followed that are different at every step."""


class JsonGrammar:
    """The rules of the values that one schema allows, added to those of a grammar.

    A `tight` one leaves out what could not be kept, as far as that is known.
    """

    def __init__(self, rules: Rules, schema: Any, *, tight: bool = False) -> None:
        self.unenforced: set[str] = set()
        self._rules = rules
        self._document = Document(schema, rules.steps)
        self._check = Check(self._document)
        self._alternatives = Alternatives(self._document, tight=tight)
        self._finiteness = Finiteness(self._document, self._alternatives)
        self._context = Context(
            rules, self._document, self._check, self._inside, self.unenforced, tight=tight
        )
        self._done: dict[int, str | None] = {}
        # Views on their way, and their names if something in them says them.
        self._open: dict[int, str | None] = {}
        self._mistaken: set[int] = set()
        self._anything: str | None = None

    def rule(self) -> str | None:
        """Name the rule of the whole schema; nothing if no value fits."""
        root = self._document.of(self._document.root)
        rule = self._of(root)
        void: set[int] = set()
        while self._mistaken:
            # Some rule says the name of one that has turned out to be of nothing.
            void |= self._mistaken
            self._mistaken = set()
            self._done = dict.fromkeys(void)
            rule = self._of(root)
        return rule

    def anything(self) -> str:
        """Name the rule of any JSON value."""
        if self._anything is None:
            name = self._anything = self._rules.reserve()
            ways = [
                sized(self._rules, 0, None)[0],
                self._rules.add(NUMBER),
                '"true" | "false" | "null"',
                any_object(self._rules, name),
                any_array(self._rules, name),
            ]
            self._rules.define(name, " | ".join(ways))
        return self._anything

    def _inside(self, asked: Asked) -> str | None:
        return self._of(self._document.view(asked))

    def _of(self, view: View) -> str | None:
        key = id(view)
        if key in self._done:
            return self._done[key]
        if key in self._open:
            return self._again(view)
        if len(self._open) > DEPTH:
            self.unenforced.add("$ref")
            return self.anything()
        self._open[key] = None
        rule = self._written(view)
        name = self._open.pop(key)
        if name is not None:
            if rule is None:
                self._mistaken.add(key)
            else:
                rule = self._rules.define(name, rule)
        self._done[key] = rule
        return rule

    def _again(self, view: View) -> str | None:
        """Name the rule of a view that is on its way, if a value of it has an end."""
        if not self._finiteness.has_end(view):
            return None
        name = self._open[id(view)] or self._rules.reserve()
        self._open[id(view)] = name
        return name

    def _written(self, view: View) -> str | None:
        if not view.choices:
            return None if view.impossible else self._simple(view)
        return self._either([self._of(way) for way in self._alternatives.of(view)])

    def _either(self, ways: Sequence[str | None]) -> str | None:
        said = [way for way in ways if way is not None]
        return self._rules.add(either(said)) if said else None

    def _simple(self, view: View) -> str | None:
        """Write what a view without choices allows."""
        self.unenforced |= view.unenforced
        if view.values is not None:
            return self._listed(view)
        forbidden: tuple[str, ...] = ()
        if view.nots:
            left, forbidden = permitted(self._document, view, self.unenforced)
            if left is None:
                return None
            view = left
        types = view.implied_types or (APART if forbidden else ())
        if not types:
            return self.anything()
        if len(types) == 1:
            return self._of_type(types[0], view, forbidden)
        return self._either([self._of_type(name, view, forbidden) for name in types])

    def _of_type(self, name: str, view: View, forbidden: Sequence[str]) -> str | None:
        match name:
            case "object":
                return Objects(self._context, view).rule()
            case "array":
                return Arrays(self._context, view).rule()
            case "string":
                return self._noted(string(self._rules, self._document, view, forbidden))
            case "integer":
                return self._noted(integers(self._rules, view.words))
            case "number":
                return self._noted(numbers(self._rules, view.words))
        return self._rules.add('"true" | "false"' if name == "boolean" else '"null"')

    def _noted(self, said: tuple[str | None, tuple[str, ...]]) -> str | None:
        rule, left = said
        self.unenforced.update(left)
        return rule

    def _listed(self, view: View) -> str | None:
        kept = [*(view.values or {}).values()]
        if view.asks != {"values"}:
            kept = [value for value in kept if self._check.fits(value, view)]
        ways = [literal(json.dumps(value, ensure_ascii=False)) for value in kept]
        return self._rules.add(either(ways)) if ways else None
