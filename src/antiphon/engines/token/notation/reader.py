"""Reads the arguments of calls while they are generated, and passes them on as JSON.

A text is passed on as it comes; any other value once it is whole.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from antiphon.schemas.elements import Elements
from antiphon.schemas.spelling import JSON, Quotes, Spelling
from antiphon.schemas.values import is_of, type_of

FOLLOWER: Final = 100
"""The maximum length of what stands behind a text, where it tells whether the text ends."""


_QUOTED: Final = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"")
_INSIDE: Final = re.compile(r'(?:[^"\\]|\\.)+', re.DOTALL)


class Progress(NamedTuple):
    """The characters that were read, the JSON of them, and whether the arguments have ended."""

    length: int
    json: str
    ended: bool


class ArgumentsReader(Protocol):
    """Reads arguments: each call gets what the one before has not read, and what came since."""

    def read(self, text: str) -> Progress: ...


class ValueEnd:
    """Finds the end of an object or an array in a text that grows."""

    def __init__(self, quotes: Quotes) -> None:
        double = (Quotes('"', '"', "python"),) if quotes.escapes == "python" else ()
        self._quotes = (quotes, *double)
        self._longest = max(len(quotes.opening), len(quotes.closing))
        self._at = 0
        self._depth = 0
        self._inside: Quotes | None = None
        self._ended = False

    def find(self, text: str) -> int | None:
        """Return the length of the value at the start of `text`, which grows, or None so far."""
        while self._at < len(text) and not self._ended:
            if len(text) - self._at < self._longest and self._may_be_cut(text[self._at :]):
                return None
            self._step(text)
            self._ended = self._depth == 0
        return self._at if self._ended else None

    def _may_be_cut(self, rest: str) -> bool:
        """Whether a quote may have begun at the end of the text."""
        quotes: Quotes = self._quotes[0]
        return quotes.opening.startswith(rest) or quotes.closing.startswith(rest)

    def settled(self, text: str) -> int:
        """Return how much of the text belongs to the value, whatever comes, and has been seen."""
        return min(self._at, len(text))

    def drop(self, length: int) -> None:
        """Note that the text begins with what is behind its first `length` characters now."""
        self._at -= length

    def _step(self, text: str) -> None:
        inside = self._inside
        if inside is not None:
            if inside.escapes != "none" and text[self._at] == "\\":
                self._at += 2
            elif text.startswith(inside.closing, self._at):
                self._at += len(inside.closing)
                self._inside = None
            else:
                self._at += 1
            return
        for quotes in self._quotes:
            if text.startswith(quotes.opening, self._at):
                self._at += len(quotes.opening)
                self._inside = quotes
                return
        self._depth += (text[self._at] in "[{") - (text[self._at] in "]}")
        self._at += 1


class ObjectReader:
    """Reads arguments that are one object. In the spelling of JSON it is passed on as it comes."""

    def __init__(self, spelling: Spelling) -> None:
        self._end = ValueEnd(spelling.quotes)

    def read(self, text: str) -> Progress:
        end = self._end.find(text)
        length = len(text) if end is None else end
        self._end.drop(length)
        return Progress(length, text[:length], end is not None)


class ElementReader:
    """Reads arguments that are elements.

    `kinds` tells which types of values a property may have, and so whether a text is one. `closers`
    are the texts that may follow the arguments.
    """

    def __init__(
        self,
        elements: Elements,
        kinds: Callable[[str], frozenset[str]],
        closers: Sequence[str],
    ) -> None:
        self._elements = elements
        self._kinds = kinds
        self._closers = [closer for closer in closers if closer]
        self._betweens = sorted({one.between for one in elements.places.values()}, key=len)
        self._quotes = self._plain = elements.text_end
        self._name_of_value = ""
        self._quoted = elements.quoted
        self._begun = False
        self._inside = False
        self._count = 0
        self._candidates: frozenset[str] = frozenset()
        self._allowed: frozenset[str] = frozenset()
        self._value_end: ValueEnd | None = None
        self._parts: list[str] = []  # of a value that is not whole
        self._ended = False

    def read(self, text: str) -> Progress:
        at, written = 0, ""
        while not self._ended:
            step = self._next(text[at:])
            if step is None:
                break
            at += step[0]
            written += step[1]
            if step[0] == 0 and not self._ended:
                break
        return Progress(at, written, self._ended)

    def _next(self, text: str) -> tuple[int, str] | None:
        """Return how much one more part takes, and its JSON; `None` if it is not whole."""
        elements = self._elements
        if not self._candidates:
            return self._name(text)
        if not self._begun:
            wrapped = elements.wrapped if "string" in self._candidates else None
            if self._quoted is not None and not self._tell_quote(text):
                return None
            if wrapped is not None and wrapped.opening.startswith(text[: len(wrapped.opening)]):
                return self._wrap(text, wrapped)
            self._begun = True
        if self._candidates == {"string"}:
            return self._text(text) if self._quoted is None else self._quoted_text(text)
        return self._value(text)

    def _tell_quote(self, text: str) -> bool:
        """Find out by its quote whether a value is a text; return false if that is undecided."""
        if text:
            kinds = self._candidates - {"string"}
            self._candidates = frozenset({"string"}) if text[0] in "\"'" else kinds
        return bool(text)

    def _quoted_text(self, text: str) -> tuple[int, str] | None:
        """Read a text in quotes; the JSON of one in those of JSON is passed on as it comes."""
        spelling, after = self._quoted or JSON, self._after("string")
        if spelling.quotes.escapes != "json":
            whole = _QUOTED.match(text)
            if whole is None or not text.startswith(after, whole.end()):
                return None
            self._end_value()
            return whole.end() + len(after), json.dumps(spelling.read(whole[0]), ensure_ascii=False)
        if not self._inside:
            self._inside = True
            return 1, text[0]
        inner = _INSIDE.match(text)
        length = 0 if inner is None else inner.end()
        if not text.startswith(f'"{after}', length):
            return (length, text[:length]) if length else None
        self._end_value()
        return length + 1 + len(after), text[: length + 1]

    def _wrap(self, text: str, wrapped: Quotes) -> tuple[int, str] | None:
        """Read what stands before a text with a wrap."""
        if len(text) < len(wrapped.opening):
            return None
        quote = "" if self._candidates == {"string"} else '"'
        self._candidates, self._quotes, self._begun = frozenset({"string"}), wrapped, True
        return len(wrapped.opening), quote

    def _name(self, text: str) -> tuple[int, str] | None:
        if not text:
            return None
        lead = (self._elements.separator if self._count else "") + self._elements.before
        if self._ends(text, lead):
            self._ended = True
            return 0, "}" if self._count else "{}"
        if len(text) <= len(lead) or (lead and any(one.startswith(text) for one in self._closers)):
            return None
        found = [
            (at, -len(mark), mark)
            for mark in self._betweens
            if (at := text.find(mark, len(lead))) >= 0
        ]
        if not found:
            return None
        at, _, mark = min(found)
        rest = text[at:]
        if any(len(rest) < len(one) and one.startswith(rest) for one in self._betweens):
            return None
        name = self._name_of_value = text[len(lead) : at]
        self._quotes = self._plain = self._elements.text_end_of(name)
        self._allowed = self._kinds(name)
        kinds = {"number" if kind == "integer" else kind for kind in self._allowed}
        places = self._elements.places.items()
        candidates = frozenset(kind for kind, place in places if place.between == mark)
        self._candidates = candidates & kinds or candidates
        begin = (", " if self._count else "{") + json.dumps(name, ensure_ascii=False) + ": "
        self._count += 1
        is_raw = self._candidates == {"string"} and self._quoted is None
        return at + len(mark), begin + ('"' if is_raw else "")

    def _ends(self, text: str, lead: str) -> bool:
        """Whether no element begins here."""
        if lead:
            apart = not text.startswith(lead) and not lead.startswith(text)
            return apart or any(map(text.startswith, self._closers))
        return any(text[0] == closer[0] for closer in self._closers)

    def _text(self, text: str) -> tuple[int, str] | None:
        after = self._after("string")
        if self._quotes is not self._plain:
            after = self._quotes.closing + after
        at = self._text_end(text)
        if at is None:
            at = self._certain(text)
            return (at, inside(text[:at])) if at else None
        if not text.startswith(after, at):
            return (at, inside(text[:at])) if at else None
        self._end_value()
        return at + len(after), inside(text[:at]) + '"'

    def _after(self, kind: str) -> str:
        """Return what stands behind the value that is read."""
        return self._elements.places[kind].end(self._name_of_value)

    def _end_value(self) -> None:
        self._candidates, self._value_end, self._parts = frozenset(), None, []
        self._quotes, self._begun, self._inside = self._plain, False, False

    def _text_end(self, text: str) -> int | None:
        found = re.search(self._quotes.end, text)
        return None if found is None else found.start()

    def _certain(self, text: str) -> int:
        """Return the number of characters that belong to a text, whatever comes."""
        mark = self._quotes.closing
        if self._quotes.followers:
            at = text.find(mark, max(0, len(text) - FOLLOWER))
            return at if at >= 0 else len(text) - begun(text, mark)
        return len(text) - begun(text, mark)

    def _value(self, text: str) -> tuple[int, str] | None:
        """Return a value that may be of several types, or is no text."""
        kind = min(self._candidates - {"string"})
        after = self._after(kind)
        end = self._end_of_value(text, after)
        if end is None:
            return self._part(text)
        if not text.startswith(after, end):
            return None
        value = self._valued("".join((*self._parts, text[:end])))
        self._end_value()
        return end + len(after), json.dumps(value, ensure_ascii=False)

    def _part(self, text: str) -> tuple[int, str] | None:
        """Keep what certainly belongs to a value that is not whole, so that it comes once."""
        certain = 0
        if "string" in self._candidates:
            certain = self._certain(text)
        elif self._value_end is not None:
            certain = self._value_end.settled(text)
            self._value_end.drop(certain)
        if certain == 0:
            return None
        self._parts.append(text[:certain])
        return certain, ""

    def _end_of_value(self, text: str, after: str) -> int | None:
        if "string" in self._candidates:
            return self._text_end(text)
        if self._value_end is None and text[:1] in ("[", "{"):
            kind = "array" if text[0] == "[" else "object"
            self._value_end = ValueEnd(self._elements.spelling(kind).quotes)
        if self._value_end is not None:
            return self._value_end.find(text)
        following = [after] if after else [self._elements.separator, *self._closers]
        found = [at for one in following if one and (at := text.find(one)) >= 0]
        return min(found, default=None)

    def _valued(self, text: str) -> Any:
        """Return the value that a text spells: of an allowed type, or else the text."""
        for kind in sorted(self._candidates - {"string"}):
            try:
                value = self._elements.spelling(kind).read(text)
            except ValueError:
                continue
            fits = kind in self._allowed or is_of(value, "integer") or "string" not in self._allowed
            if type_of(value) == kind and fits:
                return value
        return text


def begun(text: str, mark: str) -> int:
    """Return how much of `mark` a text ends with, less than all of it."""
    longest = min(len(text), len(mark) - 1)
    return next(n for n in range(longest, -1, -1) if text.endswith(mark[:n]))


def inside(text: str) -> str:
    """Return a text as it stands between the quotes of JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
