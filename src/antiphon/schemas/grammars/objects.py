"""Objects as grammars: required properties in order, then optional ones, then any others."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from antiphon.schemas.check import first_error
from antiphon.schemas.grammars import gbnf
from antiphon.schemas.grammars.gbnf import Rules, literal
from antiphon.schemas.grammars.strings import key, language_of, sized, texts
from antiphon.schemas.merging import Schema, part_of
from antiphon.schemas.patterns import PatternUnsupportedError, language
from antiphon.schemas.regular import REST, Language, both, neither

COMMA: Final = '", "'
NEXT: Final = f" {COMMA} "
COLON: Final = '": "'

MOST: Final = 1000
"""Properties that a grammar counts; nobody waits for more."""

NAMED: Final = 300
"""Characters of known names that are kept out of other names; beyond, there are no others."""


class Objects:
    """Writes the objects of one schema's parts; `inside` names the rule of a property's value."""

    def __init__(
        self, rules: Rules, inside: Callable[[Any], str | None], unkept: set[str], *, tight: bool
    ) -> None:
        self._rules = rules
        self._inside = inside
        self._unkept = unkept
        self._tight = tight
        self._looping: set[str] = set()

    def any_of(self, value: str) -> str:
        """Write any object of such values."""
        return f'"{{" {self._members([], [], f"{self._any_key()} {COLON} {value}", 0, None)} "}}"'

    def rule(self, schema: Schema) -> str | None:
        """Name the rule of the objects that `schema` allows; nothing if there are none."""
        required = _needed(schema)
        names = dict.fromkeys([*(schema.get("properties") or {}), *required])
        pairs = {name: self._pair(name, schema) for name in names}
        if any(pairs[name] is None for name in required):
            return None
        must = [pairs[name] or "" for name in names if name in required]
        may = [pair for name in names if name not in required if (pair := pairs[name])]
        self._mark(schema, names)
        least, most = self._sizes(schema)
        if most is not None:
            if len(must) > most or least > most:
                return None
            may = may[: most - len(must)]
        depending = {
            *(schema.get("dependentRequired") or {}),
            *(schema.get("dependentSchemas") or {}),
        }
        missing = max(0, least - len(must))
        return self._filled(schema, must, may, [*names, *(depending - names.keys())], missing)

    def _filled(
        self, schema: Schema, must: list[str], may: list[str], names: list[str], missing: int
    ) -> str | None:
        """Require what is optional and must come in some number, as far as there is of it.

        What a reference leads to may have no end if it must come, so it is the last resort.
        """
        plain = [pair for pair in may if pair not in self._looping][:missing]
        rest = [pair for pair in may if pair not in plain]
        said = self._written(schema, [*must, *plain], rest, names)
        if said is None and rest and missing > len(plain):
            self._unkept.add("minProperties")
            said = self._written(schema, [*must, *may[:missing]], may[missing:], names)
        return said

    def _written(
        self, schema: Schema, must: list[str], may: list[str], names: list[str]
    ) -> str | None:
        least, most = self._sizes(schema)
        missing = max(0, least - len(must))
        room = None if most is None else most - len(must) - len(may)
        other = "" if room == 0 else self._other(schema, names, wanted=missing > 0)
        if missing > 1:
            # The same name might come twice: so the names are given.
            given = list(islice(self._given(schema, names), missing))
            must, missing = [*must, *given], missing - len(given)
            if most is not None:
                may = may[: most - len(must)]
                room = most - len(must) - len(may)
        if missing and not other:
            return None
        if missing > 1:
            self._unkept.add("minProperties")
        other = "" if room == 0 else other
        return self._rules.add(f'"{{" {self._members(must, may, other, missing, room)} "}}"')

    def _sizes(self, schema: Schema) -> tuple[int, int | None]:
        """Return how many properties there are at least and at most, if they can be counted."""
        least, most = int(schema.get("minProperties", 0)), schema.get("maxProperties")
        if least > MOST:
            self._unkept.add("minProperties")
        return min(least, MOST), None if most is None or most > MOST else int(most)

    def _mark(self, schema: Schema, names: Mapping[str, None]) -> None:
        """Say what is not kept of what depends on which properties there are."""
        if any(name in names for name in schema.get("dependentSchemas") or {}):
            self._unkept.add("dependentSchemas")
        self._unkept.update(
            word for word in ("unevaluatedProperties", "$dynamicRef") if word in schema
        )

    def _pair(self, name: str, schema: Schema) -> str | None:
        if first_error(name, schema.get("propertyNames", True)) is not None:
            return None
        part = part_of(schema, name)
        value = self._inside(part)
        if value is None:
            return None
        pair = f"{literal(json.dumps(name, ensure_ascii=False) + ': ')} {value}"
        if '"$ref"' in json.dumps(part):
            self._looping.add(pair)
        return pair

    def _other(self, schema: Schema, names: list[str], *, wanted: bool) -> str:
        """Write a property of another name than `names`, if there may be any."""
        ways = [
            f"{name} {COLON} {value}"
            for of, part in self._others(schema, names, wanted=wanted)
            if (value := self._inside(part)) is not None
            if (name := self._key(of, names)) is not None
        ]
        return gbnf.either(ways) if ways else ""

    def _given(self, schema: Schema, names: list[str]) -> Iterator[str]:
        """Write properties of other names than `names`, each of one name."""
        for of, part in self._others(schema, names, wanted=True):
            value = self._inside(part)
            if value is not None:
                for name in texts(self._rules, of):
                    yield f"{literal(json.dumps(name, ensure_ascii=False) + ': ')} {value}"

    def _key(self, of: Language, names: Sequence[str]) -> str | None:
        if sum(map(len, names)) > NAMED:
            return None
        return self._any_key() if of == REST else key(self._rules, of)

    def _others(
        self, schema: Schema, names: Sequence[str], *, wanted: bool
    ) -> Iterator[tuple[Language, Any]]:
        """Yield the languages of other names, and the schemas of their values."""
        others = schema.get("additionalProperties", True)
        if schema.get("properties") and "additionalProperties" not in schema and not wanted:
            others = False  # it would take any, but nobody waits for them
        given = schema.get("patternProperties") or {}
        unnamed = schema.get("propertyNames", True) is False
        if unnamed or (others is False and not given) or (self._tight and not wanted):
            return
        try:
            free = language_of(schema.get("propertyNames", True), forbidden=names)
            patterns = {language(pattern): part for pattern, part in given.items()}
        except PatternUnsupportedError:
            self._unkept.add("patternProperties")
            return
        for one, part in patterns.items():
            apart = [neither(other) for other in patterns if other != one]
            yield both(free, one, *apart), part
        if others is not False:
            yield both(free, *map(neither, patterns)), others

    def _any_key(self) -> str:
        return sized(self._rules, 0, None)[0]

    def _members(
        self, must: Sequence[str], may: Sequence[str], other: str, least: int, most: int | None
    ) -> str:
        """Write all of `must`, then any of `may` in order, then so many others."""
        following = '""'
        if other:
            more = self._rules.add(f"{COMMA} {other}")
            following = self._rules.add(gbnf.times(more, least, most))
        alone = [self._alone(other, least, most)] if other else []
        for pair in reversed(may):
            alone.append(f"{pair} {following}")
            following = self._rules.add(f"({COMMA} {pair})? {following}")
        if must:
            return f"{NEXT.join(must)} {following}"
        needed = least > 0
        return f"({gbnf.either(alone)}){'' if needed else '?'}" if alone else ""

    def _alone(self, other: str, least: int, most: int | None) -> str:
        more = self._rules.add(f"{COMMA} {other}")
        return f"{other} {gbnf.times(more, max(0, least - 1), None if most is None else most - 1)}"


def _needed(schema: Schema) -> list[str]:
    """Name the required properties, and what they or optional ones make required.

    An optional property that needs others is written with them always: so it may come or not.
    """
    needed = list(dict.fromkeys(schema.get("required", ())))
    depending = schema.get("dependentRequired") or {}
    waiting = [*needed, *(schema.get("properties") or {})]
    seen = set(waiting)
    while waiting:
        for name in depending.get(waiting.pop(), ()):
            needed.append(name)
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return list(dict.fromkeys(needed))
