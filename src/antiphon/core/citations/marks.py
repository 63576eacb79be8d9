"""The marks of citations: their form, and their removal from an answer.

A mark is `[source 3]`, or several numbers in one: `[source 3, 5-7]`, `[sources 3 and 5]`. The space
before it is a part of it. Anything else in brackets, as `[source code]`, is text.
"""

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

MOST: Final = 100
"""The most pieces that one mark may name."""

_ANOTHER: Final = r"(?: ?[,;&\u2013-] ?(?:and )?| and | )(?:sources? )?\d{1,7}"
_MARK: Final = re.compile(
    rf" ?\[sources? (\d{{1,7}}(?:{_ANOTHER}){{0,20}})\]", re.IGNORECASE | re.ASCII
)
_SPAN: Final = re.compile(r"(\d+)(?: ?[\u2013-] ?(?:sources? )?(\d+))?", re.IGNORECASE | re.ASCII)
# Text that may still become a mark. It matches a little more, which only delays that text.
_BEGUN: Final = re.compile(
    r" ?\[(?:s(?:o(?:u(?:r(?:c(?:e(?:[\d a-z,;&\u2013-]{0,500})?)?)?)?)?)?)?\Z| \Z",
    re.IGNORECASE | re.ASCII,
)


class Mark(msgspec.Struct, frozen=True, gc=False):
    """The numbers that a mark in the text named."""

    numbers: tuple[int, ...]


Token: TypeAlias = str | Mark


def mark(number: int) -> str:
    """Return the mark of one piece."""
    return f" [source {number}]"


class MarkScanner:
    """Separates text and marks. The result does not depend on how the text was cut."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> Iterator[Token]:
        """Yield text and marks that are certain; hold back what may become a mark."""
        buffer = self._held + text
        begun = _BEGUN.search(buffer)
        certain = len(buffer) if begun is None else begun.start()
        self._held = buffer[certain:]
        return tokens(buffer[:certain])

    def flush(self) -> str:
        """End the text: return an unfinished mark as text."""
        held, self._held = self._held, ""
        return held


def tokens(text: str) -> Iterator[Token]:
    """Yield the texts and marks of a whole text."""
    done = 0
    for found in _MARK.finditer(text):
        if found.start() > done:
            yield text[done : found.start()]
        yield Mark(_numbers(found[1]))
        done = found.end()
    if done < len(text):
        yield text[done:]


def _numbers(listed: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for first, last in _SPAN.findall(listed):
        numbers += range(int(first), min(int(last or first), int(first) + MOST) + 1)
    return tuple(numbers[:MOST])
