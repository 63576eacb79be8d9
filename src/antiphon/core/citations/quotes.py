"""Finds the piece that a sentence quotes, for models that write no marks.

Words are compared without case and punctuation. A sentence quotes a piece when it shares a run of
`LONG` words with it, or of `SHORT` that are the whole sentence or the whole piece: shorter runs
are common phrases.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

LONG: Final = 8
SHORT: Final = 4

SEARCHES: Final = 16
"""How often the search for one sentence may read all pieces. A sentence of common words could begin
a quote at each word, and the pieces may have a megabyte."""

# Scripts that put no spaces between words: each character counts as one.
_DENSE: Final = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_DENSE}]|[^\W_{_DENSE}]+")


class Quotes:
    """The words of all pieces: a line for each piece, a space on each side of each word.

    `steps` counts the characters that were searched, and those that were searched for.
    """

    __slots__ = ("_begun", "_lines", "_most", "_starts", "steps")

    def __init__(self, pieces: Iterable[str]) -> None:
        # In a long text, a look-up in this set is a hundred times faster than a search.
        self._begun: set[int] = set()
        self._lines = "\n"
        self._starts = [0]
        self.steps = self._most = 0
        self.add(pieces)

    def add(self, pieces: Iterable[str]) -> None:
        """Add more pieces; the time is linear in theirs."""
        start, lines = len(self._lines), [self._lines]
        for piece in pieces:
            words = _words(piece)
            self._begun.update(map(hash, _runs(words)))
            lines.append(f"{_line(words)}\n")
            self._starts.append(start)
            start += len(lines[-1])
        self._lines = "".join(lines)

    def find(self, sentence: str) -> int | None:
        """Return the number of the piece, from 1, with the longest shared run; of two the first.

        The search ends after `SEARCHES`, with the longest run until then.
        """
        words = _words(sentence)
        # The runs that begin a sentence have half as many characters as its words times itself.
        self._most = self.steps + SEARCHES * len(self._lines) + 2 * len(words) * len(sentence)
        best = (0, 0)
        for first, begun in enumerate(_runs(words)):
            if self.steps >= self._most or len(words) - first <= best[0]:
                break
            if hash(begun) in self._begun:
                run = self._longest(words[first:], whole=first == 0)
                best = max(best, run, key=itemgetter(0))
        length, position = best
        return bisect_right(self._starts, position) - 1 if length else None

    def _longest(self, words: Sequence[str], *, whole: bool) -> tuple[int, int]:
        """Return the length and the position of the quote that these words begin with."""
        best = (0, 0)
        position = 0
        for length in range(SHORT, len(words) + 1):
            run = _line(words[:length])
            # A longer run cannot stand before the first position of the shorter one.
            position = self._find(run, position)
            if position < 0 or self.steps >= self._most:
                break
            if length >= LONG or (whole and length == len(words)):
                best = (length, position)
            elif (alone := self._find(f"\n{run}\n", 0)) >= 0:
                best = (length, alone + 1)
        return best

    def _find(self, run: str, start: int) -> int:
        found = self._lines.find(run, start)
        self.steps += len(run) + (len(self._lines) if found < 0 else found) - start
        return found


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield each run of `SHORT` words."""
    return zip(*(words[first:] for first in range(SHORT)), strict=False)


def _line(words: Sequence[str]) -> str:
    return f" {' '.join(words)} " if words else ""
