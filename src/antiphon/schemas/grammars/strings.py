"""Strings as grammars: of a format, of a length, in a pattern, and none of some others."""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from antiphon.schemas.automata import Automaton, TooManyStepsError
from antiphon.schemas.check import FORMATS as CHECKED
from antiphon.schemas.grammars import gbnf
from antiphon.schemas.grammars.gbnf import Rules, literal, one_of, times
from antiphon.schemas.merging import SILENT, Schema
from antiphon.schemas.patterns import PatternUnsupportedError, language
from antiphon.schemas.regular import (
    ANY,
    NOTHING,
    REST,
    Language,
    Span,
    both,
    either,
    neither,
    repeat,
    whole,
    word,
)

MOST: Final = 1000
"""Characters that a grammar counts; each costs llama.cpp a rule."""

STATES: Final = 500
"""The size of the largest automaton that is written down."""

HEX: Final = "[0-9a-fA-F]"
# No surrogates: one alone is a text that cannot be sent.
CHAR: Final = (
    r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" '
    r"([0-9abcefABCEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2}))"
)

_DATE: Final = (
    '("19" | "20") [0-9]{2} "-" (("01" | "03" | "05" | "07" | "08" | "10" | "12") "-" '
    '("0" [1-9] | [12] [0-9] | "30" | "31") | ("04" | "06" | "09" | "11") "-" '
    '("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))'
)
_CLOCK: Final = '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9]'
_TIME: Final = f'{_CLOCK} ("." [0-9]{{1,6}})? ("Z" | [-+] ("0" [0-9] | "1" [0-2]) ":" [0-5] [0-9])'
_OCTET: Final = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9]{2} | [1-9] [0-9] | [0-9])'
_LABEL: Final = "[a-zA-Z0-9] ([a-zA-Z0-9-]{0,20} [a-zA-Z0-9])?"
FORMATS: Final[Mapping[str, tuple[str, int, int]]] = {
    "date": (_DATE, 10, 10),
    "time": (_TIME, 9, 21),
    "date-time": (f'{_DATE} "T" {_TIME}', 20, 32),
    "duration": (
        '"P" ([0-9]{1,4} [YMWD] | "T" [0-9]{1,4} [HMS] | [0-9]{1,4} "D" "T" [0-9]{1,4} [HMS])',
        *(3, 12),
    ),
    "email": (
        f'[a-zA-Z0-9_+-]{{1,20}} ("." [a-zA-Z0-9_+-]{{1,20}})? "@" {_LABEL} ("." {_LABEL}){{1,3}}',
        *(5, 133),
    ),
    "hostname": (f'{_LABEL} ("." {_LABEL}){{0,4}}', 1, 114),
    "uri": (
        (
            '[a-z] [a-z0-9+.-]{0,9} "://" [a-z0-9] [a-z0-9.-]{0,60} '
            '("/" [a-zA-Z0-9@!$&()*+,;=:._~/-]{0,200})? ("?" [a-zA-Z0-9=&_.-]{0,100})?'
        ),
        *(5, 376),
    ),
    "ipv4": (f'{_OCTET} ("." {_OCTET}){{3}}', 7, 15),
    "ipv6": (f'{HEX}{{1,4}} (":" {HEX}{{1,4}}){{7}}', 15, 39),
    "uuid": (f'{HEX}{{8}} ("-" {HEX}{{4}}){{3}} "-" {HEX}{{12}}', 36, 36),
}
"""How each format is written, and how many characters that has at least and at most."""

_LETTERS: Final = "[a-zA-Z0-9]+"
PATTERNS: Final[Mapping[str, str]] = {
    **CHECKED,
    "duration": r"P\d{1,4}[YMWD]",
    "email": rf"[a-zA-Z0-9_+-]+(\.[a-zA-Z0-9_+-]+)*@{_LETTERS}(\.{_LETTERS})+",
    "hostname": rf"{_LETTERS}(\.{_LETTERS})*",
    "uri": r"[a-z]+://[a-z0-9]+([.-][a-z0-9]+)*(/[a-zA-Z0-9_/.-]*)?",
    "ipv6": r"[0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){7}",
    "time": CHECKED["time"].removesuffix("?"),
}
"""How a format is written that more is asked of than the format."""

# What may stand in a JSON string as it is, and how the rest is written that models write.
_PLAIN: Final = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, 0x10FFFF))
_ESCAPED: Final[Mapping[int, str]] = {ord(one): json.dumps(one)[1:-1] for one in '"\\\n\r\t\b\f'}


def string(
    rules: Rules, schema: Schema, forbidden: Iterable[str] = ()
) -> tuple[str | None, tuple[str, ...]]:
    """Name the rule of the strings that `schema` allows, and the words that it does not keep."""
    form = schema.get("format")
    least, most = sizes(schema)
    if most is not None and most < least:
        return None, ()
    bare = "pattern" not in schema and not forbidden
    if bare and form in FORMATS:
        said = _formatted(rules, str(form), least, most)
        if said is not None:
            return said, ()
    if bare and form not in CHECKED:
        return sized(rules, least, most)
    return _matching(rules, schema, forbidden)


def sizes(schema: Schema) -> tuple[int, int | None]:
    """Return how many characters a string has at least and at most."""
    most = schema.get("maxLength")
    return int(schema.get("minLength", 0)), None if most is None else int(most)


def sized(rules: Rules, least: int, most: int | None) -> tuple[str, tuple[str, ...]]:
    """Name the rule of strings of so many characters."""
    char = rules.add(CHAR)
    left = [
        word for word, size in (("minLength", least), ("maxLength", most)) if (size or 0) > MOST
    ]
    counted = times(char, min(least, MOST), None if (most or 0) > MOST else most)
    return rules.add(rf'"\"" {counted} "\""'), tuple(left)


def _formatted(rules: Rules, form: str, least: int, most: int | None) -> str | None:
    said, shortest, longest = FORMATS[form]
    if least > shortest or (most is not None and most < longest):
        return None
    return rules.add(rf'"\"" {said} "\""')


def _matching(
    rules: Rules, schema: Schema, forbidden: Iterable[str]
) -> tuple[str | None, tuple[str, ...]]:
    """Walk what has to come together; what makes the automaton too large is left out."""
    asked, left = _asked(schema, forbidden)
    least, most = sizes(schema)
    if least or most is not None:
        counted = whole(repeat(ANY, least, most))
        name = written(rules, both(asked, counted))
        if name != TOO_LARGE:
            return name, left
        left = (*left, "minLength", "maxLength")
    name = written(rules, asked)
    if name != TOO_LARGE:
        return name, left
    return sized(rules, least, most)[0], (*left, "pattern")


def _asked(schema: Schema, forbidden: Iterable[str]) -> tuple[Language, tuple[str, ...]]:
    left: list[str] = []
    sides = [neither(whole(either(*map(word, forbidden))))]
    if "pattern" in schema:
        try:
            sides.append(language(schema["pattern"]))
        except PatternUnsupportedError:
            left.append("pattern")
    if schema.get("format") in PATTERNS:
        sides.append(language(f"^(?:{PATTERNS[schema['format']]})$"))
    return both(*sides), tuple(left)


def language_of(schema: Any, forbidden: Iterable[str]) -> Language:
    """Return the language of a property's name; raises for what is not one."""
    schema = schema if isinstance(schema, Mapping) else {}
    if schema.keys() - KEYED:
        raise PatternUnsupportedError("a name is more than a pattern")
    sides = [neither(whole(either(*map(word, forbidden))))]
    if "pattern" in schema:
        sides.append(language(schema["pattern"]))
    if "enum" in schema:
        sides.append(whole(either(*(word(one) for one in schema["enum"] if isinstance(one, str)))))
    if "minLength" in schema or "maxLength" in schema:
        sides.append(whole(repeat(ANY, *sizes(schema))))
    return both(*sides)


KEYED: Final = SILENT | {"type", "pattern", "enum", "minLength", "maxLength"}

TOO_LARGE: Final = ""
"""In the place of a rule's name: an automaton has more states than are written down."""


def written(rules: Rules, of: Language) -> str | None:
    """Name the rule of the JSON strings of a language; nothing if it has none."""
    if of not in rules.languages:
        rules.languages[of] = _written(rules, of)
    return rules.languages[of]


def _written(rules: Rules, of: Language) -> str | None:
    try:
        automaton = Automaton(of, rules.steps)
        states = _states(automaton)
        return TOO_LARGE if states is None else _Written(rules, automaton, states).rule()
    except TooManyStepsError:
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


def texts(rules: Rules, of: Language) -> Iterator[str]:
    """Yield texts of a language, short ones first and of letters where there is a choice."""
    try:
        automaton = Automaton(of, rules.steps)
        waiting = deque([("", automaton.start)])
        for _ in range(STATES):
            if not waiting:
                return
            text, state = waiting.popleft()
            if text and automaton.accepts(state):
                yield text
            for to, spans in automaton.moves(state):
                waiting.extend((text + char, to) for char in _shown(spans))
    except TooManyStepsError:
        return


def _shown(spans: tuple[Span, ...]) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    found = "".join(one for one in letters if any(low <= ord(one) <= high for low, high in spans))
    return found[:8] or chr(spans[0][0])


def key(rules: Rules, of: Language) -> str | None:
    """Name the rule of a property's name in a language; nothing if no name is in it."""
    if of == REST:
        return sized(rules, 0, None)[0]
    name = written(rules, of)
    return None if name in (TOO_LARGE, None) or of == NOTHING else name
