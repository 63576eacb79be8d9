"""Strings as grammars: of a format, of a length, in a pattern, and none of some others."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from antiphon.schemas.automata import Automaton, texts
from antiphon.schemas.document import Document
from antiphon.schemas.formats import FORMATS
from antiphon.schemas.grammars import gbnf
from antiphon.schemas.grammars.gbnf import Rules, literal, one_of, times
from antiphon.schemas.languages import counted, language_of, sizes
from antiphon.schemas.regular import NOTHING, REST, Language, Span, both
from antiphon.schemas.steps import TooComplexError
from antiphon.schemas.view import View

MOST: Final = 1000
"""Characters that a grammar counts; each costs llama.cpp a rule."""

STATES: Final = 500
"""The size of the largest automaton that is written down."""

# No surrogates: one alone is a text that cannot be sent.
CHAR: Final = (
    r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" '
    r"([0-9abcefABCEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}))"
)

# What may stand in a JSON string as it is, and how the rest is written that models write.
_PLAIN: Final = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, 0x10FFFF))
_ESCAPED: Final[Mapping[int, str]] = {ord(one): json.dumps(one)[1:-1] for one in '"\\\n\r\t\b\f'}


def string(
    rules: Rules, document: Document, view: View, forbidden: Sequence[str] = ()
) -> tuple[str | None, tuple[str, ...]]:
    """Name the rule of the strings that `view` allows, and the words that it does not keep."""
    least, most = sizes(view.words)
    if most is not None and most < least:
        return None, ()
    if not view.patterns and not forbidden:
        if not view.formats:
            return sized(rules, least, most)
        said = _formatted(rules, view.formats, least, most)
        if said is not None:
            return said, ()
    return _matching(rules, document, view, forbidden)


def sized(rules: Rules, least: int, most: int | None) -> tuple[str, tuple[str, ...]]:
    """Name the rule of strings of so many characters."""
    char = rules.add(CHAR)
    left = [
        word for word, size in (("minLength", least), ("maxLength", most)) if (size or 0) > MOST
    ]
    counted = times(char, min(least, MOST), None if (most or 0) > MOST else most)
    return rules.add(rf'"\"" {counted} "\""'), tuple(left)


def _formatted(rules: Rules, names: Sequence[str], least: int, most: int | None) -> str | None:
    form = FORMATS[names[0]]
    if len(names) > 1 or least > form.shortest or (most is not None and most < form.longest):
        return None
    return rules.add(rf'"\"" {form.rule} "\""')


def _matching(
    rules: Rules, document: Document, view: View, forbidden: Sequence[str]
) -> tuple[str | None, tuple[str, ...]]:
    """Walk what has to come together; what makes the automaton too large is left out."""
    asked, left = language_of(document, view, forbidden)
    least, most = sizes(view.words)
    if least or most is not None:
        name = written(rules, both(asked, counted(view)))
        if name != TOO_LARGE:
            return name, left
        left = (*left, "minLength", "maxLength")
    name = written(rules, asked)
    if name != TOO_LARGE:
        return name, left
    return sized(rules, least, most)[0], (*left, *_not_written(view, forbidden))


def _not_written(view: View, forbidden: Sequence[str]) -> Iterator[str]:
    words = (("pattern", view.patterns), ("format", view.formats), ("not", forbidden))
    return (word for word, asked in words if asked)


TOO_LARGE: Final = ""
"""In the place of a rule's name: an automaton has more states than are written down."""


def written(rules: Rules, of: Language) -> str | None:
    """Name the rule of the JSON strings of a language; nothing if it has none."""
    if of not in rules.languages:
        rules.languages[of] = _written(rules, of)
    return rules.languages[of]


def _written(rules: Rules, of: Language) -> str | None:
    try:
        automaton = Automaton(of, rules.automata)
        states = _states(automaton)
        return TOO_LARGE if states is None else _Written(rules, automaton, states).rule()
    except TooComplexError:
        return TOO_LARGE


def _states(automaton: Automaton) -> dict[int, list[tuple[int, tuple[Span, ...]]]] | None:
    """Walk a language to the end; nothing if that is too far."""
    found: dict[int, list[tuple[int, tuple[Span, ...]]]] = {}
    waiting = [automaton.start]
    while waiting:
        state = waiting.pop()
        if state in found:
            continue
        found[state] = automaton.moves(state)
        if len(found) > STATES:
            return None
        waiting.extend(to for to, _ in found[state] if to not in found)
    return found


class _Written:
    """An automaton on its way to rules, one for each state from which a text can end."""

    def __init__(
        self,
        rules: Rules,
        automaton: Automaton,
        ways: dict[int, list[tuple[int, tuple[Span, ...]]]],
    ) -> None:
        self._rules = rules
        self._start = automaton.start
        self._ends = {state for state in ways if automaton.accepts(state)}
        self._ways = {
            state: [(to, said) for to, spans in leads if (said := _in_json(spans))]
            for state, leads in ways.items()
        }
        self._live = self._living()

    def rule(self) -> str | None:
        if self._start not in self._live:
            return None
        names = {state: self._rules.reserve() for state in self._ways if state in self._live}
        for state, name in names.items():
            ways = [f"{said} {names[to]}" for to, said in self._ways[state] if to in self._live]
            if state in self._ends:
                ways.append(r'"\""')
            self._rules.define(name, " | ".join(ways))
        return self._rules.add(rf'"\"" {names[self._start]}')

    def _living(self) -> set[int]:
        """Find the states that lead to an end, from the ends backwards."""
        sources: dict[int, list[int]] = {}
        for state, leads in self._ways.items():
            for to, _ in leads:
                sources.setdefault(to, []).append(state)
        waiting = list(self._ends)
        live = set(waiting)
        while waiting:
            new = [state for state in sources.get(waiting.pop(), ()) if state not in live]
            live.update(new)
            waiting.extend(new)
        return live


def _in_json(spans: tuple[Span, ...]) -> str:
    """Write one character of `spans` as JSON has it; empty if it has none of them."""
    plain = [
        (max(low, first), min(high, last))
        for low, high in spans
        for first, last in _PLAIN
        if max(low, first) <= min(high, last)
    ]
    ways = [one_of(plain)] if plain else []
    ways += [
        literal(said)
        for code, said in _ESCAPED.items()
        if any(low <= code <= high for low, high in spans)
    ]
    return gbnf.either(ways) if ways else ""


def names_in(rules: Rules, of: Language) -> Iterator[str]:
    """Yield texts of a language, as far as its automaton may be walked."""
    with suppress(TooComplexError):
        yield from filter(None, texts(Automaton(of, rules.automata)))


def key(rules: Rules, of: Language) -> str | None:
    """Name the rule of a property's name in a language; nothing if no name is in it."""
    if of == REST:
        return sized(rules, 0, None)[0]
    name = written(rules, of)
    return None if name in (TOO_LARGE, None) or of == NOTHING else name
