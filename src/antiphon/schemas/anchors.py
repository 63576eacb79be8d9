"""Removes the anchors `^` and `$` from the parts of a pattern, by splitting each part by position.

An anchor reads no character: it holds at a position or not, however often it is repeated. So a part
has one language at the start of a text and another further on, where no `^` holds. Each of the two
is split again: what the part reads if anything may follow, and what it reads only at the end of the
text, as before a `$`. Concatenation and repetition combine these four languages.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from antiphon.schemas.regular import (
    ANY,
    EMPTY,
    END,
    ENDED,
    NOTHING,
    REST,
    Language,
    both,
    cat,
    derive,
    either,
    is_nullable,
    repeat,
)


class Reads(msgspec.Struct, frozen=True):
    """The languages of a part at one position: if anything may follow, and at the end only."""

    free: Language
    last: Language


class Part(msgspec.Struct, frozen=True):
    """A part of a pattern, at the start of a text and further on; one object if they are equal."""

    first: Reads
    later: Reads

    @property
    def languages(self) -> tuple[Language, ...]:
        """Return the four languages of the part."""
        return (self.first.free, self.first.last, self.later.free, self.later.last)

    @property
    def is_plain(self) -> bool:
        """Whether the part has no anchor."""
        return self.first is self.later and self.first.last == NOTHING


class Rest(msgspec.Struct, frozen=True):
    """The rest of a text up to its end: at the start of a text, and further on."""

    first: Language
    later: Language


def plain(of: Language) -> Part:
    """Return the part that reads `of` at every position."""
    reads = Reads(of, NOTHING)
    return Part(reads, reads)


_NEVER: Final = Reads(NOTHING, NOTHING)
_NOW: Final = Reads(EMPTY, NOTHING)
_SOME: Final = cat(ANY, repeat(ANY))
_AT_LAST: Final = Reads(NOTHING, EMPTY)
AT_BEGIN: Final = Part(_NOW, _NEVER)
AT_END: Final = Part(_AT_LAST, _AT_LAST)


def any_of(parts: Sequence[Part]) -> Part:
    """Return the union of `parts`."""
    later = _united([part.later for part in parts])
    if all(part.first is part.later for part in parts):
        return Part(later, later)
    return Part(_united([part.first for part in parts]), later)


def in_turn(parts: Sequence[Part]) -> Part:
    """Return the concatenation of `parts`."""
    found: Part | None = None
    run: list[Language] = []
    for part in reversed(parts):
        if part.is_plain:
            run.append(part.first.free)
            continue
        found = _then(part, _joined(run, found))
        run = []
    return _joined(run, found) or plain(EMPTY)


def _joined(run: list[Language], found: Part | None) -> Part | None:
    """Prepend a run of plain parts, in reverse order, to the part that follows."""
    if not run:
        return found
    one = plain(cat(*reversed(run)))
    return one if found is None else _then(one, found)


def _then(part: Part, following: Part | None) -> Part:
    if following is None:
        return part
    later = _read_then(part.later, following.later, following.later)
    if part.first is part.later and following.first is following.later:
        return Part(later, later)
    return Part(_read_then(part.first, following.first, following.later), later)


def repeated(part: Part, least: int, most: int | None) -> Part:
    """Return `part` repeated `least` to `most` times."""
    if part.is_plain:
        return plain(repeat(part.first.free, least, most))
    if most == 0:
        return plain(EMPTY)
    # The first repetition that reads a character is at the start; those before it read nothing.
    before_it = 0 if is_nullable(part.first.free) else max(0, least - 1)
    others = _repeated_later(part.later, before_it, None if most is None else most - 1)
    first = _read_then(part.first, _NOW, others)
    if least == 0:
        first = Reads(either(first.free, EMPTY), first.last)
    return Part(first, _repeated_later(part.later, least, most))


def _repeated_later(reads: Reads, least: int, most: int | None) -> Reads:
    """Repeat where no `^` holds; the repetitions after one at the end of the text read nothing."""
    if most == 0:
        return _NOW
    ahead = 0 if _reads_nothing(reads) else max(0, least - 1)
    several = repeat(reads.free, ahead, None if most is None else most - 1)
    return Reads(repeat(reads.free, least, most), cat(several, reads.last))


def before(part: Part, rest: Rest) -> Rest:
    """Return the rest that consists of `part` and `rest`."""
    later = _on(part.later, rest.later, rest.later)
    if part.first is part.later and rest.first is rest.later:
        return Rest(later, later)
    return Rest(_on(part.first, rest.first, rest.later), later)


def found_anywhere(rest: Rest) -> Language:
    """Return the language of the texts that contain `rest` at any position."""
    if rest.first is rest.later:
        return REST if rest.later == REST else cat(repeat(ANY), rest.later)
    return either(rest.first, cat(_SOME, rest.later))


def _read_then(one: Reads, at_once: Reads, after: Reads) -> Reads:
    """Concatenate `one` and `after`, or `at_once` if `one` has read nothing."""
    last = _last_then(one.last, at_once, after)
    if at_once is after:
        return Reads(cat(one.free, after.free), either(cat(one.free, after.last), *last))
    some = _nonempty(one.free)
    free = [cat(some, after.free)]
    last.append(cat(some, after.last))
    if is_nullable(one.free):
        free.append(at_once.free)
        last.append(at_once.last)
    return Reads(either(*free), either(*last))


def _last_then(last: Language, at_once: Reads, after: Reads) -> list[Language]:
    """Concatenate a language that ends the text with parts that can read nothing."""
    found = [_nonempty(last)] if _reads_nothing(after) else []
    if is_nullable(last) and _reads_nothing(at_once):
        found.append(EMPTY)
    return found


def _on(reads: Reads, at_once: Language, after: Language) -> Language:
    alternatives = [cat(_nonempty(reads.last), ENDED)] if _ends(after) else []
    if is_nullable(reads.last) and _ends(at_once):
        alternatives.append(ENDED)
    if at_once is after:
        return either(cat(reads.free, after), *alternatives)
    alternatives.append(cat(_nonempty(reads.free), after))
    if is_nullable(reads.free):
        alternatives.append(at_once)
    return either(*alternatives)


def _united(several: Sequence[Reads]) -> Reads:
    return Reads(either(*(one.free for one in several)), either(*(one.last for one in several)))


def _reads_nothing(reads: Reads) -> bool:
    return is_nullable(reads.free) or is_nullable(reads.last)


def _nonempty(of: Language) -> Language:
    """Return `of` without the empty text."""
    if of == EMPTY:
        return NOTHING
    return both(of, _SOME) if is_nullable(of) else of


def _ends(rest: Language) -> bool:
    """Whether the text may end at this position."""
    return is_nullable(derive(rest, END))
