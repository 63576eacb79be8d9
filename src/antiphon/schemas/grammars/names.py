"""The names of properties that a view does not name, and what is asked of their values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

from antiphon.schemas.grammars.context import Context
from antiphon.schemas.grammars.strings import key, names_in, sized
from antiphon.schemas.languages import counted, language_of
from antiphon.schemas.regular import REST, Language, both, either, neither
from antiphon.schemas.view import Asked, Properties, View

NAMED: Final = 300
"""Characters of known names that are kept out of other names; beyond, there are no others."""

PATTERNS: Final = 16
"""Patterns that names are kept in one of; of more, a name may be in several, which is checked."""


class OtherNames:
    """The names besides `known` ones of one view's properties."""

    def __init__(self, context: Context, view: View, known: Sequence[str]) -> None:
        self._context = context
        self._view = view
        self._known = known

    def ways(self, *, wanted: bool) -> list[tuple[str, str]]:
        """Name the rules of a name and of its value, of each kind there is.

        Unless others are `wanted`, there are none where the view names some and says nothing of
        others: they would be allowed, and no caller waits for them.
        """
        if sum(map(len, self._known)) > NAMED:
            return []
        found: list[tuple[str, str]] = []
        for of, asked in self._kinds(wanted=wanted):
            value = self._context.inside(asked)
            name = None if value is None else self._key(of)
            if value is not None and name is not None:
                found.append((name, value))
        return found

    def given(self) -> Iterator[tuple[str, str]]:
        """Yield names, each once, and the rules of their values."""
        for of, asked in self._kinds(wanted=True):
            value = self._context.inside(asked)
            if value is not None:
                for name in names_in(self._context.rules, of):
                    yield name, value

    def _key(self, of: Language) -> str | None:
        rules = self._context.rules
        return sized(rules, 0, None)[0] if of == REST else key(rules, of)

    def _kinds(self, *, wanted: bool) -> Iterator[tuple[Language, Asked]]:
        """Yield the languages of other names, and what is asked of their values."""
        is_closed, spoken = self._is_closed(wanted=wanted), self._spoken()
        if (is_closed and not spoken) or (self._context.tight and not wanted):
            return
        free = self._free()
        patterns = self._languages(spoken)
        if free is None or patterns is None:
            return
        yield from self._in_patterns(free, patterns)
        if not is_closed:
            others = self._asked(lambda part: (part.others,))
            yield both(free, neither(either(*patterns))), others

    def _is_closed(self, *, wanted: bool) -> bool:
        """Whether there are none but those of patterns."""
        is_named = is_said = False
        for group in self._view.parts:
            for part in group:
                if part.others is False:
                    return True
                is_named |= bool(part.named)
                is_said |= part.closing
        return is_named and not is_said and not wanted

    def _spoken(self) -> dict[str, None]:
        return {
            pattern: None
            for group in self._view.parts
            for part in group
            for pattern in part.patterns
        }

    def _in_patterns(
        self, free: Language, patterns: dict[Language, list[str]]
    ) -> Iterator[tuple[Language, Asked]]:
        few = len(patterns) <= PATTERNS
        if not few:
            self._context.unenforced.add("patternProperties")
        for one, same in patterns.items():
            apart = [other for other in patterns if other != one] if few else []
            asked = self._asked(partial(_matching, same))
            yield both(free, one, *map(neither, apart)), asked

    def _asked(self, of: Callable[[Properties], Iterable[Any]]) -> Asked:
        groups = (chain.from_iterable(map(of, group)) for group in self._view.parts)
        asked = ({id(one): one for one in group if one is not True} for group in groups)
        return tuple(tuple(group.values()) for group in asked if group)

    def _free(self) -> Language | None:
        """Return the names that may be, known ones aside; nothing if that is no language."""
        names = self._context.document.view(self._view.names)
        found, left = language_of(self._context.document, names, self._known)
        if names.impossible or "string" not in (names.types or ("string",)):
            return None
        if left or names.choices or names.nots or names.unenforced:
            self._context.unenforced.add("propertyNames")
            return None
        return both(found, counted(names))

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
    """Return what a schema asks of a property whose name is in these patterns and no others."""
    found = [part.patterns[pattern] for pattern in patterns if pattern in part.patterns]
    return found or (part.others,)
