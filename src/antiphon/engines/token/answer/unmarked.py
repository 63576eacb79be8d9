"""Finds calls that a model writes as plain JSON, without the mark at which its calls begin.

Small models do so often: they know which tool to call, and write the object alone, or in a fence of
Markdown, or between tags of their own, where the mark should stand. Only the head is looked for:

    ```json
    {"name": "TOOL", "arguments": {

It stands at the beginning of a line and names a tool that can be called.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from antiphon.engines.token.answer.lexing import SPACE, match_spaced

ARGUMENTS: Final = ("arguments", "parameters", "input")
_LONGEST_MARK: Final = 40
_BEFORE: Final = re.compile(rf"(?:```[a-z_]*|<[a-z_]+>)?[{SPACE}]*(?:\{{(?=[{SPACE}]*\{{))?")
_BEFORE_BEGUN: Final = re.compile(
    rf"`{{1,2}}|```[a-z_]*[{SPACE}]*|<[a-z_]*|<[a-z_]+>[{SPACE}]*|\{{[{SPACE}]*"
)
_LINE: Final = re.compile(r"\n(?=[`<{])")


class Unmarked(NamedTuple):
    """The characters before the first head, or before what may still become one.

    `whole`: it is one.
    """

    before: int
    whole: bool


class UnmarkedCalls:
    """The heads of calls without their mark. `opening` is that mark."""

    def __init__(self, names: Iterable[str], opening: str) -> None:
        self._names = tuple(f'"{name}"' for name in names)
        self._opening = opening

    def first(self, text: str, *, at_start: bool) -> Unmarked:
        """Find the first head in a text, which is the beginning of the answer if `at_start`."""
        places = [0] if at_start else []
        for at in (*places, *(line.end() for line in _LINE.finditer(text))):
            found = self._at(text[at:])
            if found is not None:
                return Unmarked(at, found)
        return Unmarked(len(text), whole=False)

    def _at(self, text: str) -> bool | None:
        """Return whether a text begins with a whole head; `None` if it begins with none."""
        if text.startswith(self._opening):
            return None  # the mark itself
        if len(text) <= _LONGEST_MARK and _BEFORE_BEGUN.fullmatch(text):
            return False
        before = _BEFORE.match(text)
        rest = text[before.end() if before is not None else 0 :]
        matches = [
            match_spaced(rest, "{", '"name"', ":", name, ",", f'"{arguments}"', ":", "{")
            for name in self._names
            for arguments in ARGUMENTS
        ]
        if any(match.whole for match in matches):
            return True
        return False if any(match.length == len(rest) for match in matches) else None
