"""Regular languages: sets of texts that can be united, intersected, complemented and matched.

A language is a term. Its derivative by a character is the language of what may follow that
character; taking derivatives reads a text in one pass and yields a finite automaton (see
`automata`). So one automaton can enforce a pattern, a size and a list of forbidden strings, and
matching never backtracks.
"""

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

Span: TypeAlias = tuple[int, int]

LAST: Final = 0x10FFFF
END: Final = LAST + 1
"""A character that no text contains: it marks the end of a text."""


class Chars(msgspec.Struct, frozen=True):
    """One character of these spans of code points."""

    spans: tuple[Span, ...]


class Cat(msgspec.Struct, frozen=True):
    """The concatenation of parts; without parts, the empty text."""

    parts: tuple["Language", ...]


class Alt(msgspec.Struct, frozen=True):
    """The union of alternatives; without alternatives, no text at all."""

    alternatives: frozenset["Language"]


class Both(msgspec.Struct, frozen=True):
    """The intersection of languages."""

    languages: frozenset["Language"]


class Not(msgspec.Struct, frozen=True):
    """The complement of a language."""

    of: "Language"


class Repeat(msgspec.Struct, frozen=True):
    """A language repeated `least` to `most` times; without `most`, without a limit."""

    of: "Language"
    least: int
    most: int | None


Language: TypeAlias = Chars | Cat | Alt | Both | Not | Repeat

FEW: Final = 32
"""The largest upper limit of a repetition that `widened` keeps."""

EMPTY: Final = Cat(())
NOTHING: Final = Alt(frozenset())
# No surrogates: a text with a lone one cannot be sent.
ANY: Final = Chars(((0, 0xD7FF), (0xE000, LAST)))
ALL: Final = Chars(((0, 0xD7FF), (0xE000, END)))
"""Any character, or the end of the text."""
REST: Final = Repeat(ALL, 0, None)
"""Any text, with its end or without."""
ENDED: Final = Chars(((END, END),))
"""The end of a text."""


def chars(spans: Iterable[Span]) -> Language:
    """Return the language of one character of `spans`, which may overlap."""
    joined: list[Span] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], high))
        else:
            joined.append((low, high))
    return Chars(tuple(joined)) if joined else NOTHING


def outside(spans: Iterable[Span], within: Chars = ANY) -> Language:
    """Return the language of one character of `within` that is in none of `spans`."""
    without = chars(spans)
    removed = without.spans if isinstance(without, Chars) else ()
    edges = [-1, *(edge for low, high in removed for edge in (low - 1, high + 1)), END]
    between = zip(edges[::2], edges[1::2], strict=True)
    return chars(
        (max(low, first), min(high, last))
        for low, high in between
        for first, last in within.spans
        if max(low, first) <= min(high, last)
    )


def inside(spans: Iterable[Span]) -> Language:
    """Return the language of one character of `spans`, without surrogates."""
    others = outside(spans)
    return outside(others.spans) if isinstance(others, Chars) else ANY


def exactly(text: str) -> Language:
    """Return the language of one text; empty if the text contains a surrogate."""
    codes = list(map(ord, text))
    (_, low), (high, _) = ANY.spans
    if any(low < code < high for code in codes):
        return NOTHING
    found = [Chars(((code, code),)) for code in codes]
    return found[0] if len(found) == 1 else Cat(tuple(found))


def cat(*parts: Language) -> Language:
    """Return the concatenation of `parts`."""
    flat: list[Language] = []
    for part in parts:
        if part == NOTHING:
            return NOTHING
        flat.extend(part.parts if isinstance(part, Cat) else (part,))
    return flat[0] if len(flat) == 1 else Cat(tuple(flat))


def either(*alternatives: Language) -> Language:
    """Return the union of `alternatives`."""
    flat: set[Language] = set()
    spans: list[Span] = []
    for alternative in alternatives:
        for one in alternative.alternatives if isinstance(alternative, Alt) else (alternative,):
            if one == REST:
                return REST
            if isinstance(one, Chars):
                spans.extend(one.spans)
            else:
                flat.add(one)
    if spans:
        flat.add(chars(spans))
    return next(iter(flat)) if len(flat) == 1 else Alt(frozenset(flat))


def both(*languages: Language) -> Language:
    """Return the intersection of `languages`; without any, all texts."""
    flat: set[Language] = set()
    for language in languages:
        flat.update(language.languages if isinstance(language, Both) else (language,))
    flat.discard(REST)
    if NOTHING in flat:
        return NOTHING
    if not flat:
        return REST
    return next(iter(flat)) if len(flat) == 1 else Both(frozenset(flat))


def neither(of: Language) -> Language:
    """Return the complement of `of`."""
    if of == NOTHING:
        return REST
    if of == REST:
        return NOTHING
    return of.of if isinstance(of, Not) else Not(of)


def repeat(of: Language, least: int = 0, most: int | None = None) -> Language:
    """Return `of` repeated `least` to `most` times; without `most`, without a limit."""
    if most == 0 or of == EMPTY:
        return EMPTY
    if of == NOTHING:
        return NOTHING if least else EMPTY
    if isinstance(of, Repeat) and (of.least, of.most) == (0, None):
        return of
    return of if (least, most) == (1, 1) else Repeat(of, least, most)


def widened(of: Language) -> Language:
    """Return a language that contains `of` and counts less: large counts have no upper limit."""
    match of:
        case Cat(parts):
            return cat(*map(widened, parts))
        case Alt(alternatives):
            return either(*map(widened, alternatives))
        case Both(languages):
            return both(*map(widened, languages))
        case Repeat(one, least, most):
            return repeat(widened(one), least, None if (most or 0) > FEW else most)
    # A complement shrinks where its language grows.
    return of


def whole(of: Language) -> Language:
    """Return `of`, followed by the end of the text."""
    return cat(of, ENDED)


def is_nullable(of: Language) -> bool:
    """Whether `of` contains the empty text."""
    match of:
        case Chars():
            return False
        case Cat(parts):
            return all(map(is_nullable, parts))
        case Alt(alternatives):
            return any(map(is_nullable, alternatives))
        case Both(languages):
            return all(map(is_nullable, languages))
        case Not(other):
            return not is_nullable(other)
    return of.least == 0 or is_nullable(of.of)


def derive(of: Language, char: int) -> Language:
    """Return the derivative: the language of what may follow `char`."""
    match of:
        case Chars(spans):
            return EMPTY if any(low <= char <= high for low, high in spans) else NOTHING
        case Cat(parts):
            return _derive_parts(parts, char)
        case Alt(alternatives):
            return either(*(derive(alternative, char) for alternative in alternatives))
        case Both(languages):
            return both(*(derive(language, char) for language in languages))
        case Not(other):
            return neither(derive(other, char))
    rest = repeat(of.of, max(0, of.least - 1), None if of.most is None else of.most - 1)
    return cat(derive(of.of, char), rest)


def _derive_parts(parts: tuple[Language, ...], char: int) -> Language:
    alternatives: list[Language] = []
    for index, part in enumerate(parts):
        after = derive(part, char)
        if after != NOTHING:
            alternatives.append(cat(after, *parts[index + 1 :]))
        if not is_nullable(part):
            break
    return either(*alternatives)
