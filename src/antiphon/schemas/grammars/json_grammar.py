"""Converts JSON schemas to grammars: every output is JSON and fits the schema.

A grammar may allow less than its schema. It allows values that do not fit only if `unenforced`
names the keywords that they may violate; the reader of the answer must check these. Whitespace is
fixed and numbers have a maximum number of digits, so that a model cannot extend either without end.
Properties come in the order of the schema, required ones first.

The work has two budgets. Views are made, expanded and compared within the steps of `Rules.share`; a
schema that needs more raises `TooComplexError`. The automata of strings have their own steps, for a
whole grammar; a string that needs more is left to the check.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

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
from antiphon.schemas.negation import apply_negations
from antiphon.schemas.spelling import Spelling
from antiphon.schemas.values import DISJOINT_TYPES
from antiphon.schemas.view import Subschemas, View

_Key: TypeAlias = tuple[int, Spelling]
"""A view by its `id()`, and the spelling in which it is written."""

DEPTH: Final = 72
"""The maximum depth of distinct views; deeper, any value is allowed."""


class JsonGrammar:
    """Adds the rules for the values of one schema to a grammar.

    A `tight` one allows less, so that fewer keywords stay unenforced.
    """

    def __init__(self, rules: Rules, schema: Any, *, tight: bool = False) -> None:
        self.unenforced: set[str] = set()
        self._rules = rules
        self._document = Document(schema, rules.steps)
        self._check = Check(self._document)
        self._alternatives = Alternatives(self._document, tight=tight)
        self._finiteness = Finiteness(self._document, self._alternatives)
        self._context = Context(
            rules, self._document, self._check, self._rule_of_all, self.unenforced, tight=tight
        )
        self._written_views: dict[_Key, str | None] = {}
        # Views in progress, with the name of their rule if it is used recursively.
        self._in_progress: dict[_Key, str | None] = {}
        self._emptied: set[_Key] = set()
        self._anything: dict[Spelling, str] = {}

    def rule(self) -> str | None:
        """Return the rule for the whole schema, or None if no value fits."""
        return self._rule(self._rule_of)

    def _rule(self, write: Callable[[View], str | None]) -> str | None:
        root = self._document.of(self._document.root)
        rule = write(root)
        empty: set[_Key] = set()
        while self._emptied:
            # A rule uses the name of a view that turned out to have no values.
            empty |= self._emptied
            self._emptied = set()
            self._written_views = dict.fromkeys(empty)
            rule = write(root)
        return rule

    def anything(self) -> str:
        """Return the rule for any JSON value."""
        spelling = self._rules.spelling
        if spelling not in self._anything:
            name = self._anything[spelling] = self._rules.reserve()
            alternatives = [
                sized(self._rules, 0, None)[0],
                self._rules.add(NUMBER),
                self._words((True, False, None)),
                any_object(self._rules, name),
                any_array(self._rules, name),
            ]
            self._rules.define(name, " | ".join(alternatives))
        return self._anything[spelling]

    def _rule_of_all(self, subschemas: Subschemas) -> str | None:
        return self._rule_of(self._document.view(subschemas))

    def _rule_of(self, view: View) -> str | None:
        key = (id(view), self._rules.spelling)
        if key in self._written_views:
            return self._written_views[key]
        if key in self._in_progress:
            return self._recursive_rule(view)
        if len(self._in_progress) > DEPTH:
            self.unenforced.add("$ref")
            return self.anything()
        self._in_progress[key] = None
        rule = self._write(view)
        name = self._in_progress.pop(key)
        if name is not None:
            if rule is None:
                self._emptied.add(key)
            else:
                rule = self._rules.define(name, rule)
        self._written_views[key] = rule
        return rule

    def _recursive_rule(self, view: View) -> str | None:
        """Return the name of the rule for a view in progress, if it has finite values."""
        if not self._finiteness.has_finite_value(view):
            return None
        key = (id(view), self._rules.spelling)
        name = self._in_progress[key] or self._rules.reserve()
        self._in_progress[key] = name
        return name

    def _write(self, view: View) -> str | None:
        if not view.choices:
            return None if view.impossible else self._write_without_choices(view)
        return self._either([self._rule_of(one) for one in self._alternatives.of(view)])

    def _either(self, rules: Sequence[str | None]) -> str | None:
        alternatives = [rule for rule in rules if rule is not None]
        return self._rules.add(either(alternatives)) if alternatives else None

    def _write_without_choices(self, view: View) -> str | None:
        """Write the rule for a view without choices."""
        self.unenforced |= view.unenforced
        if view.values is not None:
            return self._write_values(view)
        remaining, forbidden = self._without_negations(view)
        if remaining is None:
            return None
        types = remaining.implied_types or (DISJOINT_TYPES if forbidden else ())
        if not types:
            return self.anything()
        if len(types) == 1:
            return self._write_type(types[0], remaining, forbidden)
        return self._either([self._write_type(name, remaining, forbidden) for name in types])

    def _without_negations(self, view: View) -> tuple[View | None, tuple[str, ...]]:
        """Return a view without `not`, or None if no value fits, and the strings that are not."""
        if not view.negated:
            return view, ()
        return apply_negations(self._document, view, self.unenforced)

    def _write_type(self, name: str, view: View, forbidden: Sequence[str]) -> str | None:
        match name:
            case "object":
                return Objects(self._context, view).rule()
            case "array":
                return Arrays(self._context, view).rule()
            case "string":
                return self._note_unenforced(string(self._rules, self._document, view, forbidden))
            case "integer":
                return self._note_unenforced(integers(self._rules, view.keywords))
            case "number":
                return self._note_unenforced(numbers(self._rules, view.keywords))
        return self._rules.add(self._words((True, False) if name == "boolean" else (None,)))

    def _words(self, values: Sequence[bool | None]) -> str:
        return " | ".join(literal(self._rules.spelling.word(value)) for value in values)

    def _note_unenforced(self, result: tuple[str | None, tuple[str, ...]]) -> str | None:
        rule, unenforced = result
        self.unenforced.update(unenforced)
        return rule

    def _values(self, view: View) -> list[Any]:
        values = [*(view.values or {}).values()]
        if view.constraint_kinds != {"values"}:
            values = [value for value in values if self._check.fits(value, view)]
        return values

    def _write_values(self, view: View) -> str | None:
        spelling = self._rules.spelling
        values = filter(spelling.can_write, self._values(view))
        literals = [literal(spelling.write(one)) for one in values]
        return self._rules.add(either(literals)) if literals else None
