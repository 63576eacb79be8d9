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
"""Properties that a grammar counts; no model writes more."""


class _Others(msgspec.Struct, frozen=True):
    """Properties of other names: how each is written, if there may be any, and how many."""

    pair: str
    least: int
    most: int | None


def any_object(rules: Rules, value: str) -> str:
    """Write any object of such values."""
    other = f"{sized(rules, 0, None)[0]} {COLON} {value}"
    return f'"{{" {_members(rules, [], [], _Others(other, 0, None))} "}}"'


class Objects:
    """Writes the objects of one view."""

    def __init__(self, context: Context, view: View) -> None:
        self._context = context
        self._rules = context.rules
        self._view = view
        self._least, self._most = self._sizes()
        self._recursive: set[str] = set()

    def rule(self) -> str | None:
        """Name the rule of the objects; nothing if there are none."""
        view = self._view
        known = (name for group in view.parts for part in group for name in part.named)
        required = _needed(view)
        names = dict.fromkeys([*known, *required])
        pairs = {name: self._pair(name) for name in names}
        if any(pairs[name] is None for name in required):
            return None
        must = [pairs[name] or "" for name in names if name in required]
        may = [pair for name in names if name not in required if (pair := pairs[name])]
        if self._most is not None:
            if len(must) > self._most or self._least > self._most:
                return None
            may = may[: self._most - len(must)]
        others = OtherNames(self._context, view, list(dict.fromkeys([*names, *view.needs])))
        return self._filled(must, may, others)

    def _filled(self, must: list[str], may: list[str], others: OtherNames) -> str | None:
        """Require what is optional and must come in some number, as far as there is of it.

        What a reference leads to may have no end if it must come, so it is the last resort.
        """
        missing = max(0, self._least - len(must))
        plain = [pair for pair in may if pair not in self._recursive][:missing]
        rest = [pair for pair in may if pair not in plain]
        said = self._written([*must, *plain], rest, others)
        if said is None and rest and missing > len(plain):
            said = self._written([*must, *may[:missing]], may[missing:], others)
            if said is not None:
                self._context.unenforced.add("minProperties")
        return said

    def _written(self, must: list[str], may: list[str], others: OtherNames) -> str | None:
        most = self._most
        missing = max(0, self._least - len(must))
        room = None if most is None else most - len(must) - len(may)
        other = "" if room == 0 else _pair_of(others.ways(wanted=missing > 0))
        is_short = False
        if missing > 1:
            # The same name might come twice: so the names are given.
            given = [_named(name, value) for name, value in islice(others.given(), missing)]
            must, missing = [*must, *given], missing - len(given)
            is_short = missing > 0
            if most is not None:
                may = may[: most - len(must)]
                room = most - len(must) - len(may)
        if missing and not other:
            return None
        if is_short:
            self._context.unenforced.add("minProperties")
        other = "" if room == 0 else other
        members = _members(self._rules, must, may, _Others(other, missing, room))
        return self._rules.add(f'"{{" {members} "}}"')

    def _sizes(self) -> tuple[int, int | None]:
        """Return how many properties there are at least and at most, if they can be counted."""
        words = self._view.words
        least, most = int(words.get("minProperties", 0)), words.get("maxProperties")
        if least > MOST:
            self._context.unenforced.add("minProperties")
        return min(least, MOST), None if most is None or most > MOST else int(most)

    def _pair(self, name: str) -> str | None:
        context, document = self._context, self._context.document
        names = self._view.names
        if names and not context.check.fits(name, document.view(names)):
            return None
        asked = document.part_of(self._view, name)
        value = context.inside(asked)
        if value is None:
            return None
        pair = _named(name, value)
        if self._least and document.has_reference(asked):
            self._recursive.add(pair)
        return pair


def _needed(view: View) -> dict[str, None]:
    """Name the required properties, and what they or optional ones make required.

    An optional property that needs others is written with them always: so it may come or not.
    """
    needed = dict.fromkeys(view.required)
    known = (name for group in view.parts for part in group for name in part.named)
    waiting = [*needed, *known]
    seen = set(waiting)
    while waiting:
        for name in view.needs.get(waiting.pop(), ()):
            needed[name] = None
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return needed


def _named(name: str, value: str) -> str:
    return f"{literal(json.dumps(name, ensure_ascii=False) + ': ')} {value}"


def _pair_of(ways: Sequence[tuple[str, str]]) -> str:
    return gbnf.either(f"{name} {COLON} {value}" for name, value in ways) if ways else ""


def _members(rules: Rules, must: Sequence[str], may: Sequence[str], others: _Others) -> str:
    """Write all of `must`, then any of `may` in order, then others."""
    least, most = others.least, others.most
    following = '""'
    alone: list[str] = []
    if others.pair:
        more = rules.add(f"{COMMA} {others.pair}")
        following = rules.add(gbnf.times(more, least, most))
        fewer = gbnf.times(more, max(0, least - 1), None if most is None else most - 1)
        alone.append(f"{others.pair} {fewer}")
    for pair in reversed(may):
        alone.append(f"{pair} {following}")
        following = rules.add(f"({COMMA} {pair})? {following}")
    if must:
        return f"{NEXT.join(must)} {following}"
    return f"({gbnf.either(alone)}){'' if least else '?'}" if alone else ""
