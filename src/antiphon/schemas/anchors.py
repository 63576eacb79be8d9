"""Parts of patterns with `^` and `$` in them, as languages without.

An anchor reads nothing: it holds at a place or it does not, however many stand there. So a part of
a pattern reads one language at the start of a text and another further on, where no `^` holds. Each
comes in two: what is read when anything may follow, and what is read only if it is the last of the
text, as before a `$`. Parts are put together by these four, and anchors are gone.
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
    """What a part reads at one place: with anything behind it, and with nothing behind it."""

    free: Language
    last: Language


class Part(msgspec.Struct, frozen=True):
    """A part of a pattern, at the start of a text and further on; one object if they are alike."""

    first: Reads
    later: Reads

    @property
    def languages(self) -> tuple[Language, ...]:
        """Return all languages of which it is made."""
        return (self.first.free, self.first.last, self.later.free, self.later.last)

    @property
    def is_plain(self) -> bool:
        """Whether it has no anchor."""
        return self.first is self.later and self.first.last == NOTHING


class Rest(msgspec.Struct, frozen=True):
    """All that follows, with the end of the text: at the start of a text, and further on."""

    first: Language
    later: Language


def plain(of: Language) -> Part:
    """Return the part that reads `of` everywhere."""
    reads = Reads(of, NOTHING)
    return Part(reads, reads)


_NEVER: Final = Reads(NOTHING, NOTHING)
_NOW: Final = Reads(EMPTY, NOTHING)
_SOME: Final = cat(ANY, repeat(ANY))
_AT_LAST: Final = Reads(NOTHING, EMPTY)
AT_BEGIN: Final = Part(_NOW, _NEVER)
AT_END: Final = Part(_AT_LAST, _AT_LAST)


def any_of(parts: Sequence[Part]) -> Part:
    """Read any of `parts`."""
    later = _united([part.later for part in parts])
    if all(part.first is part.later for part in parts):
        return Part(later, later)
    return Part(_united([part.first for part in parts]), later)


def in_turn(parts: Sequence[Part]) -> Part:
    """Read one part after the other."""
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
    """Put a run of plain parts, the last one first, in front of what follows it."""
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
    """Read a part `least` to `most` times."""
    if part.is_plain:
        return plain(repeat(part.first.free, least, most))
    if most == 0:
        return plain(EMPTY)
    # The first of them that reads something is at the start; those before it read nothing.
    before_it = 0 if is_nullable(part.first.free) else max(0, least - 1)
    others = _repeated_later(part.later, before_it, None if most is None else most - 1)
    first = _read_then(part.first, _NOW, others)
    if least == 0:
        first = Reads(either(first.free, EMPTY), first.last)
    return Part(first, _repeated_later(part.later, least, most))


def _repeated_later(reads: Reads, least: int, most: int | None) -> Reads:
    """Repeat where no `^` holds; those after one that must be the last read nothing."""
    if most == 0:
        return _NOW
    ahead = 0 if _reads_nothing(reads) else max(0, least - 1)
    several = repeat(reads.free, ahead, None if most is None else most - 1)
    return Reads(repeat(reads.free, least, most), cat(several, reads.last))


def before(part: Part, rest: Rest) -> Rest:
    """Return all that follows if `part` comes before `rest`."""
    later = _on(part.later, rest.later, rest.later)
    if part.first is part.later and rest.first is rest.later:
        return Rest(later, later)
    return Rest(_on(part.first, rest.first, rest.later), later)


def found_anywhere(rest: Rest) -> Language:
    """Return the texts that have `rest` somewhere in them."""
    if rest.first is rest.later:
        return REST if rest.later == REST else cat(repeat(ANY), rest.later)
    return either(rest.first, cat(_SOME, rest.later))


def _read_then(one: Reads, at_once: Reads, after: Reads) -> Reads:
    """Read `one`, and then `after`; or if it has read nothing, `at_once`."""
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
    """Read what must be the last, and then what can read nothing."""
    found = [_nonempty(last)] if _reads_nothing(after) else []
    if is_nullable(last) and _reads_nothing(at_once):
        found.append(EMPTY)
    return found


def _on(reads: Reads, at_once: Language, after: Language) -> Language:
    ways = [cat(_nonempty(reads.last), ENDED)] if _ends(after) else []
    if is_nullable(reads.last) and _ends(at_once):
        ways.append(ENDED)
    if at_once is after:
        return either(cat(reads.free, after), *ways)
    ways.append(cat(_nonempty(reads.free), after))
    if is_nullable(reads.free):
        ways.append(at_once)
    return either(*ways)


def _united(several: Sequence[Reads]) -> Reads:
    return Reads(either(*(one.free for one in several)), either(*(one.last for one in several)))


def _reads_nothing(reads: Reads) -> bool:
    return is_nullable(reads.free) or is_nullable(reads.last)


def _nonempty(of: Language) -> Language:
    """Return what is in `of` besides the empty text."""
    if of == EMPTY:
        return NOTHING
    return both(of, _SOME) if is_nullable(of) else of


def _ends(rest: Language) -> bool:
    """Whether the text may end here."""
    return is_nullable(derive(rest, END))
