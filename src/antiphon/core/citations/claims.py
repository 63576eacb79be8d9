"""Turns an answer into passages: claims with their citations, and the text between them.

A mark cites the text before it in its sentence, back to the previous mark. A sentence without a
mark cites the piece that it quotes. Marks are taken out before stop sequences are looked for,
so the two do not meet; nothing else of the text is changed, added or lost.
"""

import re
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Final

import msgspec

from antiphon.core.citations.marks import Mark, MarkScanner, Token
from antiphon.core.citations.sentences import CLOSERS, cut
from antiphon.core.citations.sources import Sources
from antiphon.core.stop_sequences import StopScanner
from antiphon.wire.citations import Citation

# The text that may follow a claim in its block: the end of its sentence, and white space.
_END: Final = re.compile(rf"[.,;:!?\u2026\u3002\uff01\uff1f\u3001\uff0c\uff1b\uff1a{CLOSERS}]*")
_SPACE: Final = re.compile(r"\s*")
_WORD: Final = re.compile(r"\w")


class Passage(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer. It goes on in the block of the one before unless it `opens` one."""

    text: str
    citations: tuple[Citation, ...] = ()
    opens: bool = False


class Passages(msgspec.Struct, frozen=True, gc=False):
    """Passages that are certain, and the stop sequence that ended the last one, if one did."""

    passages: list[Passage]
    match: str | None = None


class ClaimScanner:
    """Turns text into passages. The result does not depend on how the text was cut."""

    __slots__ = ("_claims", "_fed", "_marks", "_passed", "_stops", "_waiting")

    def __init__(self, sources: Sources, stop_sequences: Sequence[str] = ()) -> None:
        self._marks = MarkScanner()
        self._stops = StopScanner(stop_sequences)
        self._claims = Claims(sources)
        # A mark waits until the text before it can no longer become a stop sequence.
        self._waiting: deque[tuple[int, Mark]] = deque()
        self._fed = 0
        self._passed = 0

    def feed(self, text: str) -> Passages:
        return self._scan(self._marks.feed(text))

    def flush(self) -> Passages:
        """End the text: return what was held back as a part of the answer."""
        scanned = self._scan(iter([self._marks.flush()]))
        if scanned.match is not None:
            return scanned
        rest = [*self._pass_on(self._stops.flush()), *self._claims.flush()]
        return Passages([*scanned.passages, *rest])

    def _scan(self, tokens: Iterator[Token]) -> Passages:
        passages: list[Passage] = []
        for token in tokens:
            if isinstance(token, Mark):
                self._waiting.append((self._fed, token))
                passages += self._pass_on("")
                continue
            self._fed += len(token)
            scan = self._stops.feed(token)
            passages += self._pass_on(scan.text)
            if scan.match is not None:
                return Passages([*passages, *self._claims.flush()], scan.match)
        return Passages(passages)

    def _pass_on(self, text: str) -> Iterator[Passage]:
        """Pass on text in which no stop sequence begins, and the marks inside of it."""
        while self._waiting and self._waiting[0][0] <= self._passed + len(text):
            position, mark = self._waiting.popleft()
            before, text = text[: position - self._passed], text[position - self._passed :]
            self._passed = position
            yield from self._claims.text(before)
            yield from self._claims.mark(mark.numbers)
        self._passed += len(text)
        yield from self._claims.text(text)


class Claims:
    """Gathers text up to the end of a sentence or to a mark, and adds its citations."""

    __slots__ = ("_cited", "_expected", "_held", "_sources")

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._held = ""
        # The citations of the open block, and a pattern of the text that still belongs to it.
        self._cited: tuple[Citation, ...] = ()
        self._expected: re.Pattern[str] | None = None

    def text(self, text: str) -> Iterator[Passage]:
        text = yield from self._ending(text)
        held, done = self._held + text, 0
        while (following := cut(held, _after_space(held, done), by_lines=True)) is not None:
            yield self._sentence(held[done:following])
            done = following
        self._held = held[done:]

    def mark(self, numbers: Sequence[int]) -> Iterator[Passage]:
        """Cite the text before a mark. Does nothing without such text or without such a piece."""
        opens = _WORD.search(self._held) is not None
        before = () if opens else self._cited
        more = tuple(one for one in self._sources.cite(numbers) if one not in before)
        if not (more and (opens or before)):
            return
        yield Passage(self._held, more, opens)
        self._held, self._cited, self._expected = "", before + more, _END

    def flush(self) -> Iterator[Passage]:
        """Return the end of the open block."""
        held, self._held = self._held, ""
        if held.strip():
            yield self._sentence(held)
        elif held:
            # A block of white space alone could not be sent back, so the open block takes it.
            yield Passage(held)
        self._cited, self._expected = (), None

    def _ending(self, text: str) -> Generator[Passage, None, str]:
        """Add the end of its sentence to the open claim; return the rest."""
        ending = 0
        while self._expected is not None:
            ending = _end_of(self._expected, text, ending)
            if ending == len(text):
                break
            self._expected = _SPACE if self._expected is _END else None
        if ending:
            yield Passage(text[:ending])
        return text[ending:]

    def _sentence(self, text: str) -> Passage:
        number = self._sources.quotes().find(text)
        citations = () if number is None else self._sources.cite((number,))
        opens = bool(citations or self._cited)
        self._cited = citations
        return Passage(text, citations, opens)


def _after_space(text: str, start: int) -> int:
    return _end_of(_SPACE, text, start)


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Return the end of the match of a pattern, which may be empty."""
    match = pattern.match(text, start)
    return start if match is None else match.end()
