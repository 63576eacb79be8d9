"""Joins the halves of UTF-16 pairs that servers send in two pieces.

Texts have them as lone surrogates, JSON texts also as escapes. A half that stays alone is no
character, and becomes U+FFFD. Each character is looked at once or twice.
"""

import re
from typing import Final

REPLACEMENT: Final = "\ufffd"
_FIRST: Final = ("\ud800", "\udbff")
_HEX: Final = "[0-9a-fA-F]"
_HIGH: Final = rf"\\u[dD][89abAB]{_HEX}{{2}}"
_LOW: Final = rf"\\u[dD][c-fC-F]{_HEX}{{2}}"
_BEGUN: Final = rf"\\(?:u{_HEX}{{0,3}})?"
_ESCAPE: Final = re.compile(
    rf"(?P<begun>(?:{_HIGH})?(?:{_BEGUN})\Z|{_HIGH}\Z)|(?P<pair>{_HIGH}{_LOW})|"
    rf"(?P<half>{_HIGH}|{_LOW})|\\.",
    re.DOTALL,
)

_ALONE: Final = re.compile(_HIGH)


class TextHalves:
    """The halves in one text; `half` waits for the piece behind it."""

    __slots__ = ("half",)

    def __init__(self) -> None:
        self.half = ""

    def feed(self, text: str) -> str:
        """Return the next piece, without a half at its end."""
        if text.isascii() and not self.half:
            return text
        text = self.half + text
        self.half = ""
        if _FIRST[0] <= text[-1:] <= _FIRST[1]:
            text, self.half = text[:-1], text[-1]
        return joined(text)


class JsonHalves:
    """The halves in one JSON text."""

    __slots__ = ("_begun", "_halves")

    def __init__(self) -> None:
        self._begun = ""
        self._halves = TextHalves()

    def feed(self, text: str) -> str:
        """Return the next piece, whose last escape waits until it is whole."""
        text = self._begun + self._halves.feed(text)
        self._begun = ""
        return _ESCAPE.sub(self._escape, text) if "\\" in text else text

    def end(self) -> str:
        """Return the rest of the text: an escape that has no end."""
        rest, self._begun = self._begun, ""
        return _ALONE.sub(REPLACEMENT, rest)

    def _escape(self, found: re.Match[str]) -> str:
        if found.lastgroup == "begun":
            self._begun = found[0]
            return ""
        return r"\ufffd" if found.lastgroup == "half" else found[0]


def joined(text: str) -> str:
    """Return a text whose halves stand as pairs, or as U+FFFD if they are alone."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole_json(text: str) -> str:
    """Return a whole JSON text without halves."""
    halves = JsonHalves()
    return halves.feed(text) + halves.end()
