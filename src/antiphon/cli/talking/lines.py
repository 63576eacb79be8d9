"""What a person types: one turn, of one line or several.

Three quotes alone begin and end several lines, and a line that ends with a backslash goes on in the
next one. A pasted text of several lines is one turn, where the terminal brackets what is pasted.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

QUOTES = '"""'


class Lines:
    """Reads turns. `read` prints a prompt and returns a line; it raises `EOFError` at the end."""

    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read

    def turn(self) -> str:
        """Return the next turn. Raises `EOFError` at the end and `KeyboardInterrupt` for Ctrl-C."""
        line = self._read("> ")
        if line.strip() == QUOTES:
            return self._until_quotes()
        lines = []
        while line.endswith("\\"):
            lines.append(line[:-1])
            try:
                line = self._read("… ")
            except EOFError:
                line = ""
        return "\n".join([*lines, line])

    def _until_quotes(self) -> str:
        lines = []
        # The end of the input ends the text as well: what was typed is not lost.
        with suppress(EOFError):
            while (line := self._read("… ")).strip() != QUOTES:
                lines.append(line)
        return "\n".join(lines)


def open_lines(stdin: TextIO, stdout: TextIO) -> Lines:
    """Return the reader of a terminal, with editing and a history, or of another input."""
    if not (stdin.isatty() and stdout.isatty()):
        return Lines(_plain(stdin))
    # Imported for its effect on `input`; Windows and some builds have none. The history is of this
    # process: what people ask is written nowhere.
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415

    return Lines(input)


def _plain(stdin: TextIO) -> Callable[[str], str]:
    def read(_: str) -> str:
        line = stdin.readline()
        if not line:
            raise EOFError
        return line.removesuffix("\n")

    return read


def clear_prompt() -> None:
    """Begin a new line after Ctrl-C, so that what follows does not stand behind the prompt."""
    sys.stdout.write("\n")
    sys.stdout.flush()
