"""Finds tags, JSON and calls in a text that grows in pieces, cut at any character."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from antiphon.engines.token.notation.calls import CallHead
from antiphon.engines.token.prompt.call_syntax import CallSyntax

SPACE: Final = " \t\r\n"
"""The whitespace of JSON; no other character counts as space here."""

FRAGMENT: Final = 48
"""Characters per fragment of an input that was checked whole and is streamed."""


def leading_space(text: str) -> int:
    """Return the number of space characters at the start of `text`."""
    return len(text) - len(text.lstrip(SPACE))


def overlap(text: str, tag: str) -> int:
    """Return the length of the longest end of `text` that is a proper prefix of `tag`."""
    longest = min(len(text), len(tag) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(tag[:n])), 0)


def find_tag(text: str, tag: str, *, ended: bool) -> tuple[int, bool]:
    """Return the number of characters before `tag`, and whether `text` contains it.

    If it does not, characters at the end that may begin the tag are not counted, unless the text
    has `ended`. An empty tag is never found.
    """
    if not tag:
        return len(text), False
    at = text.find(tag)
    if at >= 0:
        return at, True
    return len(text) - (0 if ended else overlap(text, tag)), False


def find_first(text: str, tags: Iterable[str], *, ended: bool) -> tuple[int, bool]:
    """Return the same as `find_tag` for the first of several tags, none of which has another."""
    found = [find_tag(text, tag, ended=ended) for tag in tags]
    whole = [length for length, is_whole in found if is_whole]
    lengths = whole or [length for length, _ in found]
    return min(lengths, default=len(text)), bool(whole)


class Match(NamedTuple):
    """The length of a match, and whether it is whole.

    A partial match that reaches the end of the text may be completed by more text.
    """

    length: int
    whole: bool


def match_spaced(text: str, *parts: str) -> Match:
    """Match `parts` in sequence at the start of `text`, each after any space."""
    at = 0
    for part in parts:
        start = at + leading_space(text[at:])
        if not text.startswith(part, start):
            rest = text[start:]
            return Match(len(text) if part.startswith(rest) else at, whole=False)
        at = start + len(part)
    return Match(at, whole=True)


class JsonEnd:
    """Finds the end of a JSON object or array that arrives in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def find(self, piece: str) -> int | None:
        """Return the length of the value's part in `piece`, or None if the value has not ended."""
        for index, character in enumerate(piece):
            if self._quoted:
                self._in_string(character)
            elif character == '"':
                self._quoted = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return index + 1
        return None

    def _in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._quoted = False


class CallEnd:
    """Finds the end of a call, including its `closing`, in a text that comes in pieces."""

    def __init__(self, closing: str) -> None:
        self.begun = False
        self._closing = (closing,) if closing else ()
        self._json = JsonEnd()
        self._length = 0  # of what is certainly a part of the call
        self._ended = False
        self._behind = ""  # what stands behind the JSON

    def find(self, piece: str) -> int | None:
        """Look at the next piece; return the length of the call, or None if it is undecided.

        A text that does not start with a brace is no call: its length is that of the space before
        it. A call may lack its closing.
        """
        if not self.begun:
            space = leading_space(piece)
            self._length += space
            if space == len(piece):
                return None
            if piece[space] != "{":
                return self._length
            self.begun, piece = True, piece[space:]
        if not self._ended:
            found = self._json.find(piece)
            self._length += len(piece) if found is None else found
            if found is None:
                return None
            self._ended, piece = True, piece[found:]
        self._behind += piece
        closing = match_spaced(self._behind, *self._closing)
        if closing.whole:
            return self._length + closing.length
        return None if closing.length == len(self._behind) else self._length


class HeadPattern:
    """Recognises the head of a call: everything up to the brace of its input."""

    def __init__(self, syntax: CallSyntax) -> None:
        space = f"[{SPACE}]*"
        parts = (r"\{", '"name"', ":", r'("(?:[^"\\]|\\.)*")', ",", f'"{syntax.arguments}"', ":")
        self._pattern = re.compile("".join(space + part for part in parts) + space + r"(?=\{)")

    def match(self, text: str, limit: int | None = None) -> CallHead | None:
        """Return the head at the start of `text`, if it ends within `limit` characters."""
        head = self._pattern.match(text[:limit])
        if head is None:
            return None
        try:
            return CallHead(str(json.loads(head[1])), head.end())
        except ValueError:
            return None


def decode_call(text: str, syntax: CallSyntax) -> tuple[str, dict[str, Any]] | None:
    """Return the name and the input of a whole call without its opening, or None if malformed."""
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
    """Cut a buffered input into fragments of the size in which other inputs are streamed."""
    for start in range(0, len(text), FRAGMENT):
        yield text[start : start + FRAGMENT]
