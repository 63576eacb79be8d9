"""Rules for the properties that a view does not name: their names and values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

from antiphon.schemas.grammars.context import Context
from antiphon.schemas.grammars.forms import ObjectForm
from antiphon.schemas.grammars.strings import names_in
from antiphon.schemas.languages import language_of, of_size
from antiphon.schemas.regular import Language, both, either, neither
from antiphon.schemas.view import Properties, Subschemas, View

NAMED: Final = 300
"""Characters of named properties that other names exclude; beyond, no other names are written."""

PATTERNS: Final = 16
"""Up to this many patterns, a name matches one only; beyond, overlaps are left to the check."""


class OtherNames:
    """Writes the rules for the properties of one view that are not `known`."""

    def __init__(
        self, context: Context, view: View, known: Sequence[str], form: ObjectForm
    ) -> None:
        self._form = form
        self._context = context
        self._view = view
        self._known = known

    def pairs(self, *, wanted: bool) -> list[tuple[str, str]]:
        """Return the pairs of rules, for a name and for its value.

        If the view names properties and does not mention others, none are written unless they are
        `wanted`: the schema allows them, but no caller expects them.
        """
        if sum(map(len, self._known)) > NAMED:
            return []
        found: list[tuple[str, str]] = []
        for of, subschemas in self._kinds(wanted=wanted):
            value = self._value(subschemas, None)
            name = None if value is None else self._form.other(of)
            if value is not None and name is not None:
                found.append((name, value))
        return found

    def distinct_names(self) -> Iterator[tuple[str, str]]:
        """Yield distinct names and the rules for their values."""
        for of, subschemas in self._kinds(wanted=True):
            for name in names_in(self._context.rules, of):
                value = self._value(subschemas, name)
                if value is None or not self._form.is_name(name):
                    break
                yield name, value

    def _value(self, subschemas: Subschemas, name: str | None) -> str | None:
        own = self._form.value
        return self._context.rule_of(subschemas) if own is None else own(subschemas, name)

    def _kinds(self, *, wanted: bool) -> Iterator[tuple[Language, Subschemas]]:
        """Yield the languages of other names, and the subschemas that apply to their values."""
        is_closed, known = self._is_closed(wanted=wanted), self._patterns()
        if (is_closed and not known) or (self._context.tight and not wanted):
            return
        free = self._free()
        patterns = self._languages(known)
        if free is None or patterns is None:
            return
        yield from self._in_patterns(free, patterns)
        if not is_closed:
            additional = self._applicable(lambda part: (part.additional,))
            yield both(free, neither(either(*patterns))), additional

    def _is_closed(self, *, wanted: bool) -> bool:
        """Whether all other names must match a pattern."""
        is_named = is_mentioned = False
        for group in self._view.properties:
            for part in group:
                if part.additional is False:
                    return True
                is_named |= bool(part.named)
                is_mentioned |= part.has_additional
        return is_named and not is_mentioned and not wanted

    def _patterns(self) -> dict[str, None]:
        return {
            pattern: None
            for group in self._view.properties
            for part in group
            for pattern in part.patterns
        }

    def _in_patterns(
        self, free: Language, patterns: dict[Language, list[str]]
    ) -> Iterator[tuple[Language, Subschemas]]:
        few = len(patterns) <= PATTERNS
        if not few:
            self._context.unenforced.add("patternProperties")
        for one, same in patterns.items():
            rivals = [other for other in patterns if other != one] if few else []
            subschemas = self._applicable(partial(_matching, same))
            yield both(free, one, *map(neither, rivals)), subschemas

    def _applicable(self, select: Callable[[Properties], Iterable[Any]]) -> Subschemas:
        groups = (chain.from_iterable(map(select, group)) for group in self._view.properties)
        distinct = ({id(one): one for one in group if one is not True} for group in groups)
        return tuple(tuple(group.values()) for group in distinct if group)

    def _free(self) -> Language | None:
        """Return the language of the allowed names except known ones, or None if there is none."""
        names = self._context.document.view(self._view.property_names)
        found, unenforced = language_of(self._context.document, names, self._known)
        if names.impossible or "string" not in (names.types or ("string",)):
            return None
        if unenforced or names.choices or names.negated or names.unenforced:
            self._context.unenforced.add("propertyNames")
            return None
        return both(found, of_size(names))

    def _languages(self, patterns: Iterable[str]) -> dict[Language, list[str]] | None:
        found: dict[Language, list[str]] = {}
        for pattern in patterns:
            of = self._context.document.language(pattern)
            if of is None:
                self._context.unenforced.add("patternProperties")
                return None
            found.setdefault(of, []).append(pattern)
        return found


def _matching(patterns: Sequence[str], part: Properties) -> Iterable[Any]:
    """Return the subschemas for a property whose name matches exactly these patterns."""
    found = [part.patterns[pattern] for pattern in patterns if pattern in part.patterns]
    return found or (part.additional,)
