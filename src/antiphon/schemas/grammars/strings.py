"""Strings as grammars: by format, size and pattern, without forbidden strings.

A string stands between quotes, and what is not plain in it is escaped. Where nothing is escaped,
the string is any text up to its closing quote, or up to another mark.
"""

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
from antiphon.schemas.patterns import language
from antiphon.schemas.regular import (
    ANY,
    NOTHING,
    REST,
    Language,
    Span,
    both,
    neither,
    repeat,
    whole,
    widened,
)
from antiphon.schemas.spelling import Quotes
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

# What Python writes as a number (spaces, and what is not printed) is left out.
_PYTHON: Final = (
    r"\\\x00-\x1F\x7F-\xA0\xAD\u0600-\u0605\u061C\u1680\u180E\u2000-\u200F\u2028-\u202F\u205F-\u206F"
    r"\u3000\uD800-\uF8FF\uFEFF\uFFF0-\uFFFF"
)
_PYTHON_CHAR: Final = rf"[^'{_PYTHON}] | {literal(chr(92))} [\\nrt]"
_PYTHON_IN_DOUBLE: Final = rf"[^'{literal(chr(34))[1:-1]}{_PYTHON}] | {literal(chr(92))} [\\nrt]"

_UNBRACKETED: Final = r"[^<\x00-\x08\x0B\x0C\x0E-\x1F\x7F]"

# The characters that need no escape in a string, and the escapes of the others.
_PLAIN: Final[Mapping[str, Sequence[Span]]] = {
    "json": ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, 0x10FFFF)),
    "python": ((0x20, 0x26), (0x28, 0x5B), (0x5D, 0x7E), (0xA1, 0xAC), (0xAE, 0x5FF)),
    "none": ((0x09, 0x0A), (0x0D, 0x0D), (0x20, 0x7E), (0x80, 0xD7FF), (0xE000, 0x10FFFF)),
}
_ESCAPED: Final[Mapping[str, Mapping[int, str]]] = {
    "json": {ord(one): json.dumps(one)[1:-1] for one in '"\\\n\r\t\b\f'},
    "python": {ord(one): repr(one)[1:-1] for one in "\\\n\r\t"},
    "none": {},
}


def string(
    rules: Rules,
    document: Document,
    view: View,
    forbidden: Sequence[str] = (),
    quotes: Quotes | None = None,
) -> tuple[str | None, tuple[str, ...]]:
    """Return the rule for the strings of `view`, and the keywords that it does not enforce.

    The quotes are those of the spelling, or others.
    """
    quotes = quotes or rules.spelling.quotes
    least, most = sizes(view.keywords)
    if most is not None and most < least:
        return None, ()
    if not view.patterns and not forbidden and not quotes.is_limited:
        if not view.formats:
            return sized(rules, least, most, quotes)
        rule = _formatted(rules, view.formats, least, most, quotes)
        if rule is not None:
            return rule, ()
    return _matching(rules, document, view, forbidden, quotes)


def sized(
    rules: Rules, least: int, most: int | None, quotes: Quotes | None = None
) -> tuple[str, tuple[str, ...]]:
    """Return the rule for strings of `least` to `most` characters, and the unenforced keywords."""
    quotes = quotes or rules.spelling.quotes
    if quotes.escapes == "none":
        return _sized_until(rules, least, most, quotes)
    char = rules.add(CHAR if quotes.escapes == "json" else _PYTHON_CHAR)
    unenforced = _oversized(least, most)
    counted = times(char, min(least, MOST), _limited(most))
    body = f"{literal(quotes.opening)} {counted} {literal(quotes.closing)}"
    if quotes.escapes == "python" and (least, most) == (0, None):
        # A text with an apostrophe, and without a double quote, stands in double quotes.
        char = rules.add(_PYTHON_IN_DOUBLE)
        body += rf""" | "\"" {char}* "'" ({char} | "'")* "\"" """.rstrip()
    return rules.add(body), unenforced


def _oversized(least: int, most: int | None) -> tuple[str, ...]:
    """Return the keywords of sizes that a grammar does not count."""
    sizes_ = (("minLength", least), ("maxLength", most))
    return tuple(keyword for keyword, size in sizes_ if (size or 0) > MOST)


def _limited(most: int | None) -> int | None:
    return None if (most or 0) > MOST else most


def _sized_until(
    rules: Rules, least: int, most: int | None, quotes: Quotes
) -> tuple[str, tuple[str, ...]]:
    """Return the rule for any text up to its closing.

    A size that takes too many states is kept by a text without the bracket of the closing.
    """
    unenforced: tuple[str, ...] = ()
    if least or most is not None:
        rule = language_rule(rules, whole(repeat(ANY, least, most)), quotes)
        if rule:
            return rule, ()
        if "<" in quotes.closing:
            counted = times(rules.add(_UNBRACKETED), min(least, MOST), _limited(most))
            body = f"{literal(quotes.opening)} {counted} {literal(quotes.closing)}"
            return rules.add(body), _oversized(least, most)
        unenforced = ("minLength", "maxLength")
    if quotes.followers:
        return language_rule(rules, REST, quotes) or "", unenforced
    return rules.until(quotes.closing, '""', opening=quotes.opening), unenforced


def _formatted(
    rules: Rules, names: Sequence[str], least: int, most: int | None, quotes: Quotes
) -> str | None:
    form = FORMATS[names[0]]
    if len(names) > 1 or least > form.shortest or (most is not None and most < form.longest):
        return None
    if quotes.escapes != "json" and len(quotes.closing) == 1:  # which a format may contain
        return None
    return rules.add(f"{literal(quotes.opening)} {form.rule} {literal(quotes.closing)}")


def _matching(
    rules: Rules, document: Document, view: View, forbidden: Sequence[str], quotes: Quotes
) -> tuple[str | None, tuple[str, ...]]:
    """Write all constraints as one automaton, without those that would make it too large."""
    strings, unenforced = language_of(document, view, forbidden)
    least, most = sizes(view.keywords)
    if least or most is not None:
        name = language_rule(rules, both(strings, of_size(view)), quotes)
        if name != TOO_LARGE:
            return name, unenforced
        unenforced = (*unenforced, "minLength", "maxLength")
    name = language_rule(rules, strings, quotes)
    if name != TOO_LARGE:
        return name, unenforced
    wide = widened(strings)
    name = language_rule(rules, wide, quotes) if wide != strings else TOO_LARGE
    if name != TOO_LARGE:
        return name, (*unenforced, *_automaton_keywords(view, forbidden))
    limited = quotes.is_limited
    rule = language_rule(rules, REST, quotes) if limited else sized(rules, least, most, quotes)[0]
    return rule, (*unenforced, *_automaton_keywords(view, forbidden))


def _automaton_keywords(view: View, forbidden: Sequence[str]) -> Iterator[str]:
    keywords = (("pattern", view.patterns), ("format", view.formats), ("not", forbidden))
    return (keyword for keyword, is_present in keywords if is_present)


TOO_LARGE: Final = ""
"""Stands for the name of a rule if the automaton is too large to be written."""


def language_rule(rules: Rules, of: Language, quotes: Quotes | None = None) -> str | None:
    """Return the rule for the strings of a language, or None if there are none."""
    key = (of, quotes or rules.spelling.quotes)
    if key not in rules.languages:
        rules.languages[key] = _write_language(rules, *key)
    return rules.languages[key]


def _write_language(rules: Rules, of: Language, quotes: Quotes) -> str | None:
    if quotes.escapes == "none" and quotes.closing:
        of = both(of, neither(language(quotes.end)))
    if quotes.without:
        of = both(of, neither(_any_of(quotes.without)))
    if quotes.having:
        of = both(of, _any_of(quotes.having))
    try:
        automaton = Automaton(of, rules.automata)
        states = _states(automaton)
        return (
            TOO_LARGE
            if states is None
            else _AutomatonWriter(rules, automaton, states, quotes).rule()
        )
    except TooComplexError:
        return TOO_LARGE


def _any_of(characters: str) -> Language:
    """Return the language of the texts with one of some characters."""
    escaped = "".join(f"\\u{ord(one):04x}" for one in characters)
    return language(f"[{escaped}]")


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
        quotes: Quotes,
    ) -> None:
        self._rules = rules
        self._quotes = quotes
        self._start = automaton.start
        self._accepting = {state for state in moves if automaton.accepts(state)}
        self._moves = {
            state: [(to, char) for to, spans in targets if (char := _between(quotes, spans))]
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
                alternatives.append(literal(self._quotes.closing))
            self._rules.define(name, " | ".join(alternatives))
        return self._rules.add(f"{literal(self._quotes.opening)} {names[self._start]}")

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


def _between(quotes: Quotes, spans: tuple[Span, ...]) -> str:
    """Return the rule body for one character of `spans` between quotes, or an empty text."""
    plain = [
        (max(low, first), min(high, last))
        for low, high in spans
        for first, last in _PLAIN[quotes.escapes]
        if max(low, first) <= min(high, last)
    ]
    alternatives = [one_of(plain)] if plain else []
    alternatives += [
        literal(escape)
        for code, escape in _ESCAPED[quotes.escapes].items()
        if any(low <= code <= high for low, high in spans)
    ]
    return gbnf.either(alternatives) if alternatives else ""


def names_in(rules: Rules, of: Language) -> Iterator[str]:
    """Yield texts of a language, until the steps of the automata run out."""
    with suppress(TooComplexError):
        yield from filter(None, texts(Automaton(of, rules.automata)))


def name_rule(rules: Rules, of: Language, quotes: Quotes | None = None) -> str | None:
    """Return the rule for the property names of a language, or None if it cannot be written."""
    if of == REST:
        return sized(rules, 0, None, quotes)[0]
    name = language_rule(rules, of, quotes)
    return None if name in (TOO_LARGE, None) or of == NOTHING else name
