"""Regular languages: sets of texts that can be joined, cut out of one another, and walked.

A language is a term. Its derivative by a character is the language of what may follow that
character; walking derivatives reads a text in one pass and makes a finite automaton: `automata`
does that. So a pattern, a length and a list of forbidden words are kept together, and no text makes
the walk go back.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

Span: TypeAlias = tuple[int, int]

LAST: Final = 0x10FFFF
END: Final = LAST + 1
"""A character that no text has: what stands behind the last one."""


class Chars(msgspec.Struct, frozen=True):
    """One character, of these spans of code points."""

    spans: tuple[Span, ...]


class Cat(msgspec.Struct, frozen=True):
    """One part after the other; without parts, the empty text."""

    parts: tuple["Language", ...]


class Alt(msgspec.Struct, frozen=True):
    """Any of these; of none, no text at all."""

    ways: frozenset["Language"]


class Both(msgspec.Struct, frozen=True):
    """What is in all of these."""

    sides: frozenset["Language"]


class Not(msgspec.Struct, frozen=True):
    """Every text that is not in this."""

    of: "Language"


class Repeat(msgspec.Struct, frozen=True):
    """`least` to `most` times the same; without `most`, any number."""

    of: "Language"
    least: int
    most: int | None


Language: TypeAlias = Chars | Cat | Alt | Both | Not | Repeat

EMPTY: Final = Cat(())
NOTHING: Final = Alt(frozenset())
# Half of a surrogate pair is no character: a text with one cannot be sent.
ANY: Final = Chars(((0, 0xD7FF), (0xE000, LAST)))
ALL: Final = Chars(((0, 0xD7FF), (0xE000, END)))
"""Any character, and the one that no text has."""
REST: Final = Repeat(ALL, 0, None)
"""Anything, with its end or without."""
ENDED: Final = Chars(((END, END),))
"""Nothing but the end of a text."""


def chars(spans: Iterable[Span]) -> Language:
    """One character of any of `spans`, which may overlap."""
    joined: list[Span] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return Chars(tuple(joined)) if joined else NOTHING


def outside(spans: Iterable[Span], within: Chars = ANY) -> Language:
    """One character of `within` that is in none of `spans`."""
    without = chars(spans)
    gone = without.spans if isinstance(without, Chars) else ()
    edges = [-1, *(edge for low, high in gone for edge in (low - 1, high + 1)), END]
    between = zip(edges[::2], edges[1::2], strict=True)
    return chars(
        (max(low, first), min(high, last))
        for low, high in between
        for first, last in within.spans
        if max(low, first) <= min(high, last)
    )


def inside(spans: Iterable[Span]) -> Language:
    """One character of any of `spans`; what is no character in them is left out."""
    others = outside(spans)
    return outside(others.spans) if isinstance(others, Chars) else ANY


def word(text: str) -> Language:
    """Return the language of one text; one with half a surrogate pair is no text."""
    codes = list(map(ord, text))
    (_, low), (high, _) = ANY.spans
    if any(low < code < high for code in codes):
        return NOTHING
    found = [Chars(((code, code),)) for code in codes]
    return found[0] if len(found) == 1 else Cat(tuple(found))


def cat(*parts: Language) -> Language:
    """Say one after the other."""
    flat: list[Language] = []
    for part in parts:
        if part == NOTHING:
            return NOTHING
        flat.extend(part.parts if isinstance(part, Cat) else (part,))
    return flat[0] if len(flat) == 1 else Cat(tuple(flat))


def either(*ways: Language) -> Language:
    """Say any of `ways`."""
    flat: set[Language] = set()
    spans: list[Span] = []
    for way in ways:
        for one in way.ways if isinstance(way, Alt) else (way,):
            if one == REST:
                return REST
            if isinstance(one, Chars):
                spans.extend(one.spans)
            else:
                flat.add(one)
    if spans:
        flat.add(chars(spans))
    return next(iter(flat)) if len(flat) == 1 else Alt(frozenset(flat))


def both(*sides: Language) -> Language:
    """Say what is in all of `sides`; in none of them is anything."""
    flat: set[Language] = set()
    for side in sides:
        flat.update(side.sides if isinstance(side, Both) else (side,))
    flat.discard(REST)
    if NOTHING in flat:
        return NOTHING
    if not flat:
        return REST
    return next(iter(flat)) if len(flat) == 1 else Both(frozenset(flat))


def neither(of: Language) -> Language:
    """Say what is not in it."""
    if of == NOTHING:
        return REST
    if of == REST:
        return NOTHING
    return of.of if isinstance(of, Not) else Not(of)


def repeat(of: Language, least: int = 0, most: int | None = None) -> Language:
    """Say it `least` to `most` times, or any number from `least` on."""
    if most == 0 or of == EMPTY:
        return EMPTY
    if of == NOTHING:
        return NOTHING if least else EMPTY
    if isinstance(of, Repeat) and (of.least, of.most) == (0, None):
        return of
    return of if (least, most) == (1, 1) else Repeat(of, least, most)


def whole(of: Language) -> Language:
    """Say that a text ends where `of` does."""
    return cat(of, ENDED)


def is_nullable(of: Language) -> bool:
    """Whether the empty text is in it."""
    match of:
        case Chars():
            return False
        case Cat(parts):
            return all(map(is_nullable, parts))
        case Alt(ways):
            return any(map(is_nullable, ways))
        case Both(sides):
            return all(map(is_nullable, sides))
        case Not(other):
            return not is_nullable(other)
    return of.least == 0 or is_nullable(of.of)


def derive(of: Language, char: int) -> Language:
    """Return what may follow `char`."""
    match of:
        case Chars(spans):
            return EMPTY if any(low <= char <= high for low, high in spans) else NOTHING
        case Cat(parts):
            return _derive_parts(parts, char)
        case Alt(ways):
            return either(*(derive(way, char) for way in ways))
        case Both(sides):
            return both(*(derive(side, char) for side in sides))
        case Not(other):
            return neither(derive(other, char))
    rest = repeat(of.of, max(0, of.least - 1), None if of.most is None else of.most - 1)
    return cat(derive(of.of, char), rest)


def _derive_parts(parts: tuple[Language, ...], char: int) -> Language:
    ways: list[Language] = []
    for place, part in enumerate(parts):
        after = derive(part, char)
        if after != NOTHING:
            ways.append(cat(after, *parts[place + 1 :]))
        if not is_nullable(part):
            break
    return either(*ways)
