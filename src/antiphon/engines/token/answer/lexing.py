"""Find tags, JSON and calls in a text that grows, and that may have been cut anywhere."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from antiphon.engines.token.prompt.call_syntax import CallSyntax

SPACE: Final = " \t\r\n"
"""What JSON takes for space, and the only thing that is space here."""

FRAGMENT: Final = 48
"""Characters of an input that was checked whole and is sent in pieces."""


def leading_space(text: str) -> int:
    """Count the characters of space that `text` begins with."""
    return len(text) - len(text.lstrip(SPACE))


def overlap(text: str, tag: str) -> int:
    """Count the characters at the end of `text` that `tag` begins with, short of a whole tag."""
    longest = min(len(text), len(tag) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(tag[:n])), 0)


def find_tag(text: str, tag: str, *, ended: bool) -> tuple[int, bool]:
    """Return how many characters of `text` stand before `tag`, and whether it is there.

    If it is not there, the characters that may be its beginning are not counted, unless the text
    has `ended`. An empty tag is never there.
    """
    if not tag:
        return len(text), False
    at = text.find(tag)
    if at >= 0:
        return at, True
    return len(text) - (0 if ended else overlap(text, tag)), False


class Match(NamedTuple):
    """How many characters match, and whether that is all of what was looked for.

    If it is not all, and nothing of the text is left, more text may complete it.
    """

    length: int
    whole: bool


def match_spaced(text: str, *parts: str) -> Match:
    """Match the beginning of `text` with `parts` in a row, with any space before each of them."""
    at = 0
    for part in parts:
        start = at + leading_space(text[at:])
        if not text.startswith(part, start):
            rest = text[start:]
            return Match(len(text) if part.startswith(rest) else at, whole=False)
        at = start + len(part)
    return Match(at, whole=True)


class JsonEnd:
    """Finds where a JSON object or array ends, in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def find(self, piece: str) -> int | None:
        """Return how much of `piece` belongs to the value, or `None` if all of it does."""
        for place, character in enumerate(piece):
            if self._quoted:
                self._in_string(character)
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return place + 1
        return None

    def _in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._quoted = False


class CallEnd:
    """Finds where a call ends, its `closing` included, in a text that grows."""

    def __init__(self, closing: str) -> None:
        self._closing = (closing,) if closing else ()
        self._json = JsonEnd()
        self._scanned = 0
        self._json_end: int | None = None

    def find(self, text: str) -> int | None:
        """Return the length of the call at the beginning of `text`, once it is certain.

        What does not begin as JSON is no call, and its length that of the space before it. A
        call may lack its closing.
        """
        start = leading_space(text)
        if start == len(text):
            return None
        if text[start] != "{":
            return start
        if self._json_end is None:
            found = self._json.find(text[self._scanned :])
            self._json_end = None if found is None else self._scanned + found
            self._scanned = len(text)
        return None if self._json_end is None else self._closed(text, self._json_end)

    def _closed(self, text: str, end: int) -> int | None:
        closing = match_spaced(text[end:], *self._closing)
        if closing.whole:
            return end + closing.length
        return None if end + closing.length == len(text) else end


class CallHead(NamedTuple):
    """The head of a call: the tool that it names, and how long the head is."""

    name: str
    length: int


class HeadPattern:
    """Recognises the head of a call: its name, up to the brace of its input."""

    def __init__(self, syntax: CallSyntax) -> None:
        space = f"[{SPACE}]*"
        parts = (r"\{", '"name"', ":", r'("(?:[^"\\]|\\.)*")', ",", f'"{syntax.arguments}"', ":")
        self._pattern = re.compile("".join(space + part for part in parts) + space + r"(?=\{)")

    def match(self, text: str, limit: int | None = None) -> CallHead | None:
        """Read the head at the beginning of `text`, if it ends within `limit` characters."""
        head = self._pattern.match(text[:limit])
        if head is None:
            return None
        try:
            return CallHead(str(json.loads(head[1])), head.end())
        except ValueError:
            return None


def decode_call(text: str, syntax: CallSyntax) -> tuple[str, dict[str, Any]] | None:
    """Read the name and the input of a whole call behind its opening, if it is one."""
    if not text.endswith(syntax.closing):
        return None
    try:
        call: Any = json.loads(text.removesuffix(syntax.closing))
    except ValueError:
        return None
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    given = call.get(syntax.arguments, {})
    return (call["name"], given) if isinstance(given, dict) else None


def fragments(text: str) -> Iterator[str]:
    """Cut an input that was held into pieces of the size in which others are streamed."""
    for start in range(0, len(text), FRAGMENT):
        yield text[start : start + FRAGMENT]
