"""Cuts text into sentences. A wrong cut only makes a citation finer or coarser.

A sentence ends at a stop that is followed by space and a character that may begin a sentence, at a
stop of a script without spaces, and at an empty line. Its end depends on nothing behind the first
character of the next sentence, so that text can be cut while it arrives.
"""

import re
from collections.abc import Iterator
from typing import Final

LONGEST: Final = 2000
"""Characters after which a text without sentences is cut between two words."""

CLOSERS: Final = r"\"')\]}\u201d\u2019\u00bb\u300d\u300f\uff09"
# Each alternative takes all that it can, so that no text takes longer than its length.
_END: Final = re.compile(
    rf"(?P<stop>[.!?\u2026]++[{CLOSERS}]*+)(?P<space>\s*+)"
    rf"|(?P<full>[\u3002\uff01\uff1f]++[{CLOSERS}]*+)\s*+"
    r"|(?P<gap>\s++)"
)
_LAST_WORD: Final = re.compile(r"(\w+)\.\Z")
# Often followed by a capital letter; before a small letter no sentence ends anyway.
_ABBREVIATIONS: Final = frozenset(
    "mr mrs ms dr prof st no vs fig figs eq sec ch vol pp ca cf approx inc ltd co jr sr".split()  # noqa: SIM905 - twenty words
)


def cut(text: str, start: int, *, by_lines: bool = False) -> int | None:
    """Return where the sentence after the one at `start` begins, or `None` while that is open.

    With `by_lines` every line ends a sentence: models do not wrap theirs, documents do.
    """
    lines = 1 if by_lines else 2
    limit = start + LONGEST
    for match in _END.finditer(text, start, limit + 1):
        begins = match.end()
        if begins > limit or begins >= len(text):
            break
        if match.start() > start and _ends(text, start, match, lines):
            return begins
    if len(text) <= limit:
        return None
    # The last space may be the first character; a piece of nothing would be cut for ever.
    space = max(text.rfind(" ", start + 1, limit), text.rfind("\n", start + 1, limit))
    return limit if space < 0 else space + 1


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each sentence of a whole text begins and ends, without the space around it."""
    start = 0
    while start < len(text):
        following = cut(text, start)
        end = len(text) if following is None else following
        part = text[start:end]
        if stripped := part.strip():
            first = start + len(part) - len(part.lstrip())
            yield first, first + len(stripped)
        start = end


def _ends(text: str, start: int, match: re.Match[str], lines: int) -> bool:
    if match["full"] is not None:
        return True
    if match[0].count("\n") >= lines:
        return True
    if not match["space"] or text[match.end()].islower():
        return False
    word = _LAST_WORD.search(text, max(start, match.start() - 12), match.start() + 1)
    if match["stop"] != "." or word is None:
        return True
    # A number at the beginning counts an item; a single letter is the initial of a name.
    counts = word[1].isdecimal() and not text[start : word.start()].strip()
    initial = len(word[1]) == 1 and word[1].isalpha()
    return not (counts or initial or word[1].lower() in _ABBREVIATIONS)
