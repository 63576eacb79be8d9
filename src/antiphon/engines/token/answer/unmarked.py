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
LONGEST: Final = 1000
"""The maximum length of a head: a model may write space without an end, which would be held."""

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
            found = self._at(text[at : at + LONGEST], ends=len(text) - at > LONGEST)
            if found is not None:
                return Unmarked(at, found)
        return Unmarked(len(text), whole=False)

    def _at(self, text: str, *, ends: bool) -> bool | None:
        """Return whether a text begins with a whole head; `None` if it begins with none.

        `ends`: a head that is not whole in it is none.
        """
        if text.startswith(self._opening):
            return None  # the mark itself
        if _BEFORE_BEGUN.fullmatch(text):
            return None if ends else False
        before = _BEFORE.match(text)
        rest = text[before.end() if before is not None else 0 :]
        matches = [
            match_spaced(rest, "{", '"name"', ":", name, ",", f'"{arguments}"', ":", "{")
            for name in self._names
            for arguments in ARGUMENTS
        ]
        if any(match.whole for match in matches):
            return True
        is_open = not ends and any(match.length == len(rest) for match in matches)
        return False if is_open else None
