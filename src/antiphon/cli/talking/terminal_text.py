"""Text of a model on a terminal: harmless, and with its Markdown shown.

A model repeats what it has read, and a document may hold sequences that move a terminal's cursor or
write its clipboard. So no character that controls a terminal passes, except line breaks and tabs.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

BOLD: Final = "\x1b[1m"
DIM: Final = "\x1b[2m"
CODE: Final = "\x1b[36m"
PLAIN: Final = "\x1b[0m"
_LONGEST_MARK: Final = 12
_KEPT: Final = {"\n", "\t"}
# Characters of these kinds control a terminal, or the order in which it writes.
_CONTROLS: Final = {"Cc", "Cf", "Cs"}
# Joins letters and parts of emoji.
_JOINERS: Final = {"\u200c", "\u200d"}


def harmless(text: str) -> str:
    """Return a text without what controls a terminal; such characters are shown as their codes."""
    if text.isprintable():
        return text
    return "".join(_shown(one) for one in text)


def _shown(one: str) -> str:
    if one in _KEPT or one in _JOINERS or unicodedata.category(one) not in _CONTROLS:
        return one
    return "" if one == "\r" else ascii(one)[1:-1]


class MarkdownWriter:
    """Writes Markdown as it comes, cut anywhere, with bold, code and headings shown.

    It is a reader of characters: what a mark may still become waits, at most one mark long, and
    everything else is written at once. Links, tables and lists stay as they are written; a terminal
    can show them no better. Without `styled` the text stays as it is.
    """

    def __init__(self, write: Callable[[str], None], *, styled: bool) -> None:
        self._write = write
        self._styled = styled
        self._held = ""
        self._at_line_start = True
        self._in_fence = False
        self._in_code = False
        self._in_bold = False
        self._in_heading = False

    def feed(self, text: str) -> None:
        """Take the next piece of the text."""
        text = harmless(text)
        if not self._styled:
            self._write(text)
            return
        out: list[str] = []
        for one in text:
            self._take(one, out)
        if out:
            self._write("".join(out))

    def end(self) -> None:
        """Write what is held, and end every style."""
        out: list[str] = []
        if self._held:
            self._release(out)
        if self._in_fence or self._in_code or self._in_bold or self._in_heading:
            out.append(PLAIN)
        self._in_fence = self._in_code = self._in_bold = self._in_heading = False
        self._at_line_start = True
        if out:
            self._write("".join(out))

    def _take(self, one: str, out: list[str]) -> None:
        if self._held and (one != self._held[-1] or len(self._held) >= _LONGEST_MARK):
            self._release(out, follows=one)
        if one == "\n":
            self._end_line(out)
        elif self._begins_mark(one):
            self._held += one
        else:
            out.append(one)
            # A mark of a block may be indented.
            self._at_line_start = self._at_line_start and one == " "

    def _begins_mark(self, one: str) -> bool:
        if self._in_fence:
            return one == "`" and self._at_line_start
        if self._in_code:
            return one == "`"
        return one in "`*" or (one == "#" and self._at_line_start)

    def _end_line(self, out: list[str]) -> None:
        if self._in_heading or self._in_code or self._in_bold:
            # Neither goes on over a line: a lone mark in a text would style all of the rest.
            out.append(PLAIN)
        self._in_heading = self._in_code = self._in_bold = False
        out.append("\n")
        self._at_line_start = True

    def _release(self, out: list[str], follows: str = "") -> None:
        """Decide what the held characters are: a mark, or themselves."""
        held, self._held = self._held, ""
        started, self._at_line_start = self._at_line_start, False
        if held[0] == "`":
            self._backticks(held, out, started=started)
        elif held[0] == "#" and follows == " " and len(held) <= 6:  # noqa: PLR2004 - six levels
            self._in_heading = True
            out.append(BOLD + held)
        elif held == "**" and (self._in_bold or not follows.isspace()):
            self._in_bold = not self._in_bold
            out.append(BOLD if self._in_bold else self._style())
        else:
            out.append(held)

    def _backticks(self, held: str, out: list[str], *, started: bool) -> None:
        if len(held) >= 3 and started:  # noqa: PLR2004 - what a fence has
            self._in_fence = not self._in_fence
            out.append(f"{CODE}{held}" if self._in_fence else f"{held}{PLAIN}")
        elif len(held) == 1 and not self._in_fence:
            self._in_code = not self._in_code
            out.append(CODE if self._in_code else self._style())
        else:
            out.append(held)

    def _style(self) -> str:
        """Return what ends a style inside of a line and keeps the one around it."""
        return PLAIN + BOLD if self._in_heading or self._in_bold else PLAIN
