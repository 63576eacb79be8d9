"""Strings as grammars: by format, size and pattern, without forbidden strings."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from antiphon.schemas.automata import Automaton, texts
from antiphon.schemas.document import Document
from antiphon.schemas.formats import FORMATS
from antiphon.schemas.grammars import gbnf
from antiphon.schemas.grammars.gbnf import Rules, literal, one_of, times
from antiphon.schemas.languages import language_of, of_size, sizes
from antiphon.schemas.regular import NOTHING, REST, Language, Span, both, widened
from antiphon.schemas.steps import TooComplexError
from antiphon.schemas.view import View

MOST: Final = 1000
"""The maximum number of characters that a grammar counts; each costs llama.cpp a rule."""

STATES: Final = 500
"""The maximum number of states of an automaton that is written as rules."""

# No surrogates: a text with a lone one cannot be sent.
CHAR: Final = (
    r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" '
    r"([0-9abcefABCEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}))"
)

# The characters that need no escape in a JSON string, and the escapes of the others.
_PLAIN: Final = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, 0x10FFFF))
_ESCAPED: Final[Mapping[int, str]] = {ord(one): json.dumps(one)[1:-1] for one in '"\\\n\r\t\b\f'}


def string(
    rules: Rules, document: Document, view: View, forbidden: Sequence[str] = ()
) -> tuple[str | None, tuple[str, ...]]:
    """Return the rule for the strings of `view`, and the keywords that it does not enforce."""
    least, most = sizes(view.keywords)
    if most is not None and most < least:
        return None, ()
    if not view.patterns and not forbidden:
        if not view.formats:
            return sized(rules, least, most)
        rule = _formatted(rules, view.formats, least, most)
        if rule is not None:
            return rule, ()
    return _matching(rules, document, view, forbidden)


def sized(rules: Rules, least: int, most: int | None) -> tuple[str, tuple[str, ...]]:
    """Return the rule for strings of `least` to `most` characters, and the unenforced keywords."""
    char = rules.add(CHAR)
    unenforced = [
        keyword
        for keyword, size in (("minLength", least), ("maxLength", most))
        if (size or 0) > MOST
    ]
    counted = times(char, min(least, MOST), None if (most or 0) > MOST else most)
    return rules.add(rf'"\"" {counted} "\""'), tuple(unenforced)


def _formatted(rules: Rules, names: Sequence[str], least: int, most: int | None) -> str | None:
    form = FORMATS[names[0]]
    if len(names) > 1 or least > form.shortest or (most is not None and most < form.longest):
        return None
    return rules.add(rf'"\"" {form.rule} "\""')


def _matching(
    rules: Rules, document: Document, view: View, forbidden: Sequence[str]
) -> tuple[str | None, tuple[str, ...]]:
    """Write all constraints as one automaton, without those that would make it too large."""
    strings, unenforced = language_of(document, view, forbidden)
    least, most = sizes(view.keywords)
    if least or most is not None:
        name = language_rule(rules, both(strings, of_size(view)))
        if name != TOO_LARGE:
            return name, unenforced
        unenforced = (*unenforced, "minLength", "maxLength")
    name = language_rule(rules, strings)
    if name != TOO_LARGE:
        return name, unenforced
    wide = widened(strings)
    name = language_rule(rules, wide) if wide != strings else TOO_LARGE
    if name != TOO_LARGE:
        return name, (*unenforced, *_automaton_keywords(view, forbidden))
    return sized(rules, least, most)[0], (*unenforced, *_automaton_keywords(view, forbidden))


def _automaton_keywords(view: View, forbidden: Sequence[str]) -> Iterator[str]:
    keywords = (("pattern", view.patterns), ("format", view.formats), ("not", forbidden))
    return (keyword for keyword, is_present in keywords if is_present)


TOO_LARGE: Final = ""
"""Stands for the name of a rule if the automaton is too large to be written."""


def language_rule(rules: Rules, of: Language) -> str | None:
    """Return the rule for the JSON strings of a language, or None if there are none."""
    if of not in rules.languages:
        rules.languages[of] = _write_language(rules, of)
    return rules.languages[of]


def _write_language(rules: Rules, of: Language) -> str | None:
    try:
        automaton = Automaton(of, rules.automata)
        states = _states(automaton)
        return TOO_LARGE if states is None else _AutomatonWriter(rules, automaton, states).rule()
    except TooComplexError:
        return TOO_LARGE


def _states(automaton: Automaton) -> dict[int, list[tuple[int, tuple[Span, ...]]]] | None:
    """Return all states and their moves, or None if there are more than `STATES`."""
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


class _AutomatonWriter:
    """Writes an automaton as rules, one for each state that leads to the end of a text."""

    def __init__(
        self,
        rules: Rules,
        automaton: Automaton,
        moves: dict[int, list[tuple[int, tuple[Span, ...]]]],
    ) -> None:
        self._rules = rules
        self._start = automaton.start
        self._accepting = {state for state in moves if automaton.accepts(state)}
        self._moves = {
            state: [(to, char) for to, spans in targets if (char := _in_json(spans))]
            for state, targets in moves.items()
        }
        self._live = self._find_live_states()

    def rule(self) -> str | None:
        if self._start not in self._live:
            return None
        names = {state: self._rules.reserve() for state in self._moves if state in self._live}
        for state, name in names.items():
            alternatives = [
                f"{char} {names[to]}" for to, char in self._moves[state] if to in self._live
            ]
            if state in self._accepting:
                alternatives.append(r'"\""')
            self._rules.define(name, " | ".join(alternatives))
        return self._rules.add(rf'"\"" {names[self._start]}')

    def _find_live_states(self) -> set[int]:
        """Find the states that lead to an accepting state, from those backwards."""
        sources: dict[int, list[int]] = {}
        for state, targets in self._moves.items():
            for to, _ in targets:
                sources.setdefault(to, []).append(state)
        waiting = list(self._accepting)
        live = set(waiting)
        while waiting:
            new = [state for state in sources.get(waiting.pop(), ()) if state not in live]
            live.update(new)
            waiting.extend(new)
        return live


def _in_json(spans: tuple[Span, ...]) -> str:
    """Return the rule body for one character of `spans` in a JSON string, or an empty text."""
    plain = [
        (max(low, first), min(high, last))
        for low, high in spans
        for first, last in _PLAIN
        if max(low, first) <= min(high, last)
    ]
    alternatives = [one_of(plain)] if plain else []
    alternatives += [
        literal(escape)
        for code, escape in _ESCAPED.items()
        if any(low <= code <= high for low, high in spans)
    ]
    return gbnf.either(alternatives) if alternatives else ""


def names_in(rules: Rules, of: Language) -> Iterator[str]:
    """Yield texts of a language, until the steps of the automata run out."""
    with suppress(TooComplexError):
        yield from filter(None, texts(Automaton(of, rules.automata)))


def name_rule(rules: Rules, of: Language) -> str | None:
    """Return the rule for the property names of a language, or None if it cannot be written."""
    if of == REST:
        return sized(rules, 0, None)[0]
    name = language_rule(rules, of)
    return None if name in (TOO_LARGE, None) or of == NOTHING else name
