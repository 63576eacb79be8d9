"""Objects as grammars: required properties in order, then optional ones, then any others."""

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Final

import msgspec

from antiphon.schemas.grammars import gbnf
from antiphon.schemas.grammars.context import Context
from antiphon.schemas.grammars.forms import ObjectForm, form_of
from antiphon.schemas.grammars.gbnf import Rules
from antiphon.schemas.grammars.names import OtherNames
from antiphon.schemas.regular import REST
from antiphon.schemas.spelling import in_order
from antiphon.schemas.view import View

MOST: Final = 1000
"""The maximum number of properties that a grammar counts; no model writes more."""


class _Others(msgspec.Struct, frozen=True):
    """The properties that the schema does not name: the rule for one, and their number."""

    pair: str
    least: int
    most: int | None


def any_object(rules: Rules, value: str) -> str:
    """Return the body of a rule for any object with such values."""
    form = form_of(rules)
    other = f"{form.other(REST)} {value}"
    return f"{form.opening} {_members(rules, form, [], [], _Others(other, 0, None))} {form.closing}"


class Objects:
    """Writes the rules for the objects of one view, in the form of the spelling or another one."""

    def __init__(self, context: Context, view: View, form: ObjectForm | None = None) -> None:
        self._form = form or form_of(context.rules)
        self._context = context
        self._rules = context.rules
        self._view = view
        self._least, self._most = self._sizes()
        self._recursive: set[str] = set()
        self._names: dict[str, str] = {}

    def rule(self) -> str | None:
        """Return the rule for the objects, or None if no object fits."""
        view = self._view
        known = (name for group in view.properties for part in group for name in part.named)
        required_names = self._required_names()
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
            self._context,
            view,
            list(dict.fromkeys([*names, *view.dependent_required])),
            self._form,
        )
        return self._with_minimum(required, optional, others)

    def _required_names(self) -> Collection[str]:
        needed, may_lack = _all_required(self._view), self._form.may_lack
        if may_lack is None:
            return needed
        of = self._context.document.property_subschemas
        return [name for name in needed if not may_lack(of(self._view, name))]

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
                self._form.pair(name, value)
                for name, value in islice(others.distinct_names(), missing)
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
        members = self._members(required, optional, _Others(other, missing, room))
        return self._rules.add(f"{self._form.opening} {members} {self._form.closing}".strip())

    def _members(self, required: Sequence[str], optional: Sequence[str], others: _Others) -> str:
        if not self._form.sorts:
            return _members(self._rules, self._form, required, optional, others)
        key = self._names.get
        order = in_order(name for pair in (*required, *optional) if (name := key(pair)))
        pairs = {self._names[pair]: pair for pair in (*optional, *required) if pair in self._names}
        given = [pair for pair in required if pair not in self._names]
        return _sorted(
            self._rules,
            self._form,
            [(pairs[name], pairs[name] in required) for name in order]
            + [(pair, True) for pair in given],
            others,
        )

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
        if not self._form.is_name(name):
            return None
        if names and not context.check.fits(name, document.view(names)):
            return None
        subschemas = document.property_subschemas(self._view, name)
        own = self._form.value
        value = context.rule_of(subschemas) if own is None else own(subschemas, name)
        if value is None:
            return None
        pair = self._form.pair(name, value)
        self._names[pair] = name
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


def _pair_rule(pairs: Sequence[tuple[str, str]]) -> str:
    return gbnf.either(f"{name} {value}" for name, value in pairs) if pairs else ""


def _members(
    rules: Rules,
    form: ObjectForm,
    required: Sequence[str],
    optional: Sequence[str],
    others: _Others,
) -> str:
    """Return the body for all of `required`, then any of `optional` in order, then others."""
    least, most = others.least, others.most
    following = '""'
    first: list[str] = []
    comma = form.comma
    if others.pair:
        more = rules.add(f"{comma} {others.pair}".strip())
        following = rules.add(gbnf.times(more, least, most))
        fewer = gbnf.times(more, max(0, least - 1), None if most is None else most - 1)
        first.append(f"{others.pair} {fewer}")
    for pair in reversed(optional):
        first.append(f"{pair} {following}")
        following = rules.add(f"({comma} {pair})? {following}")
    if required:
        between = f" {comma} " if comma else " "
        return f"{between.join(required)} {following}"
    return f"({gbnf.either(first)}){'' if least else '?'}" if first else ""


def _sorted(
    rules: Rules, form: ObjectForm, pairs: Sequence[tuple[str, bool]], others: _Others
) -> str:
    """Return the body for pairs in this order, of which some are required, then others."""
    body = _members(rules, form, [], [], others)
    started = _members(rules, form, [""], [], others).strip() if others.pair else '""'
    fresh = body or '""'
    for pair, is_required in reversed(pairs):
        one = f"{pair} {started}"
        fresh = rules.add(one if is_required else f"{one} | {fresh}")
        started = rules.add(
            f"{form.comma} {one}" if is_required else f"({form.comma} {pair})? {started}"
        )
    return fresh
