"""Objects as grammars: required properties in order, then optional ones, then any others."""

import json
from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from antiphon.schemas.grammars import gbnf
from antiphon.schemas.grammars.context import Context
from antiphon.schemas.grammars.gbnf import COMMA, NEXT, Rules, literal
from antiphon.schemas.grammars.names import OtherNames
from antiphon.schemas.grammars.strings import sized
from antiphon.schemas.view import View

COLON: Final = '": "'

MOST: Final = 1000
"""The maximum number of properties that a grammar counts; no model writes more."""


class _Others(msgspec.Struct, frozen=True):
    """The properties that the schema does not name: the rule for one, and their number."""

    pair: str
    least: int
    most: int | None


def any_object(rules: Rules, value: str) -> str:
    """Return the body of a rule for any object with such values."""
    other = f"{sized(rules, 0, None)[0]} {COLON} {value}"
    return f'"{{" {_members(rules, [], [], _Others(other, 0, None))} "}}"'


class Objects:
    """Writes the rules for the objects of one view."""

    def __init__(self, context: Context, view: View) -> None:
        self._context = context
        self._rules = context.rules
        self._view = view
        self._least, self._most = self._sizes()
        self._recursive: set[str] = set()

    def rule(self) -> str | None:
        """Return the rule for the objects, or None if no object fits."""
        view = self._view
        known = (name for group in view.properties for part in group for name in part.named)
        required_names = _all_required(view)
        names = dict.fromkeys([*known, *required_names])
        pairs = {name: self._pair(name) for name in names}
        if any(pairs[name] is None for name in required_names):
            return None
        required = [pairs[name] or "" for name in names if name in required_names]
        optional = [pair for name in names if name not in required_names if (pair := pairs[name])]
        if self._most is not None:
            if len(required) > self._most or self._least > self._most:
                return None
            optional = optional[: self._most - len(required)]
        others = OtherNames(
            self._context, view, list(dict.fromkeys([*names, *view.dependent_required]))
        )
        return self._with_minimum(required, optional, others)

    def _with_minimum(
        self, required: list[str], optional: list[str], others: OtherNames
    ) -> str | None:
        """Make optional properties required, until there are at least `minProperties`.

        A property behind a reference could recurse without end if it became required, so such
        properties come last.
        """
        missing = max(0, self._least - len(required))
        plain = [pair for pair in optional if pair not in self._recursive][:missing]
        rest = [pair for pair in optional if pair not in plain]
        rule = self._write([*required, *plain], rest, others)
        if rule is None and rest and missing > len(plain):
            rule = self._write([*required, *optional[:missing]], optional[missing:], others)
            if rule is not None:
                self._context.unenforced.add("minProperties")
        return rule

    def _write(self, required: list[str], optional: list[str], others: OtherNames) -> str | None:
        most = self._most
        missing = max(0, self._least - len(required))
        room = None if most is None else most - len(required) - len(optional)
        other = "" if room == 0 else _pair_rule(others.pairs(wanted=missing > 0))
        is_short = False
        if missing > 1:
            # One rule could repeat a name, so several missing properties get distinct names.
            given = [
                _write_pair(name, value) for name, value in islice(others.distinct_names(), missing)
            ]
            required, missing = [*required, *given], missing - len(given)
            is_short = missing > 0
            if most is not None:
                optional = optional[: most - len(required)]
                room = most - len(required) - len(optional)
        if missing and not other:
            return None
        if is_short:
            self._context.unenforced.add("minProperties")
        other = "" if room == 0 else other
        members = _members(self._rules, required, optional, _Others(other, missing, room))
        return self._rules.add(f'"{{" {members} "}}"')

    def _sizes(self) -> tuple[int, int | None]:
        """Return the minimum and maximum number of properties, within `MOST`."""
        keywords = self._view.keywords
        least, most = int(keywords.get("minProperties", 0)), keywords.get("maxProperties")
        if least > MOST:
            self._context.unenforced.add("minProperties")
        return min(least, MOST), None if most is None or most > MOST else int(most)

    def _pair(self, name: str) -> str | None:
        context, document = self._context, self._context.document
        names = self._view.property_names
        if names and not context.check.fits(name, document.view(names)):
            return None
        subschemas = document.property_subschemas(self._view, name)
        value = context.rule_of(subschemas)
        if value is None:
            return None
        pair = _write_pair(name, value)
        if self._least and document.has_reference(subschemas):
            self._recursive.add(pair)
        return pair


def _all_required(view: View) -> dict[str, None]:
    """Return the required properties, and those that any property depends on.

    The dependencies of an optional property are always written, so that it may come or not.
    """
    needed = dict.fromkeys(view.required)
    known = (name for group in view.properties for part in group for name in part.named)
    waiting = [*needed, *known]
    seen = set(waiting)
    while waiting:
        for name in view.dependent_required.get(waiting.pop(), ()):
            needed[name] = None
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return needed


def _write_pair(name: str, value: str) -> str:
    return f"{literal(json.dumps(name, ensure_ascii=False) + ': ')} {value}"


def _pair_rule(pairs: Sequence[tuple[str, str]]) -> str:
    return gbnf.either(f"{name} {COLON} {value}" for name, value in pairs) if pairs else ""


def _members(
    rules: Rules, required: Sequence[str], optional: Sequence[str], others: _Others
) -> str:
    """Return the body for all of `required`, then any of `optional` in order, then others."""
    least, most = others.least, others.most
    following = '""'
    first: list[str] = []
    if others.pair:
        more = rules.add(f"{COMMA} {others.pair}")
        following = rules.add(gbnf.times(more, least, most))
        fewer = gbnf.times(more, max(0, least - 1), None if most is None else most - 1)
        first.append(f"{others.pair} {fewer}")
    for pair in reversed(optional):
        first.append(f"{pair} {following}")
        following = rules.add(f"({COMMA} {pair})? {following}")
    if required:
        return f"{NEXT.join(required)} {following}"
    return f"({gbnf.either(first)}){'' if least else '?'}" if first else ""
