"""Reads the arguments of calls whose objects and arrays are elements, at any depth, as JSON.

What stands between two marks has no quotes: the schema of its place says what it is. A text is
passed on as it comes, any other value once it is whole.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from antiphon.engines.token.notation.reader import Progress, begun, inside
from antiphon.schemas.element_types import PartTypes
from antiphon.schemas.elements import PROPERTY, Elements
from antiphon.schemas.values import is_of, type_of

_SPELLED: Final = ("boolean", "number", "null")


class _Frame:
    """An object or an array that has begun, as the value of the element `name`."""

    def __init__(self, types: PartTypes, kind: Literal["object", "array"], name: str) -> None:
        self.name = name
        self._types = types
        self._is_object = kind == "object"
        self._written: list[str] = []

    def begin(self, name: str) -> tuple[str, PartTypes]:
        """Return the JSON before the value of the next element, and what this may be."""
        count = len(self._written)
        self._written.append(name)
        comma = ", " if count else ""
        if not self._is_object:
            return comma, self._types.item(count)
        return f"{comma}{_json(name)}: ", self._types.property(name)

    def end(self) -> str:
        """Return the JSON behind the last element; properties that are left out are `null`."""
        if not self._is_object:
            return "]"
        left_out = self._types.left_out(frozenset(self._written))
        pairs = ", ".join(f"{_json(name)}: null" for name in left_out)
        return f"{', ' if pairs and self._written else ''}{pairs}}}"


class NestedReader:
    """Reads nested elements.

    `types` says what the arguments may be. `closers` are the texts that may follow them.
    """

    def __init__(self, elements: Elements, types: PartTypes, closers: Sequence[str]) -> None:
        self._elements = elements
        self._place = elements.places["string"]
        self._end, _, self._behind_name = self._place.after.partition(PROPERTY)
        self._closers = [closer for closer in closers if closer]
        self._frames = [_Frame(types, "object", "")]
        self._opened = "{"  # the JSON that is due with the next element, or with the end
        self._name = ""
        self._value: PartTypes | None = None  # what the value that comes may be
        self._in_text = False
        self._behind_value = False
        self._parts: list[str] = []  # of a value that is not whole
        self._ended = False

    def read(self, text: str) -> Progress:
        at = 0
        written: list[str] = []
        while not self._ended:
            step = self._next(text, at)
            if step is None:
                break
            at += step[0]
            written.append(step[1])
        return Progress(at, "".join(written), self._ended)

    def _next(self, text: str, at: int) -> tuple[int, str] | None:
        """Return how much one more part takes, and its JSON; `None` if it is not whole."""
        if self._in_text:
            return self._text(text, at)
        if self._behind_value:
            return self._end_of_value(text, at)
        if self._value is not None:
            return self._begin_value(text, at, self._value)
        return self._element(text, at)

    def _element(self, text: str, at: int) -> tuple[int, str] | None:
        """Read the beginning of the next element, or the end of the object or array."""
        is_inner = len(self._frames) > 1
        ends = (self._end,) if is_inner else self._closers
        lead = (self._elements.separator if not self._opened else "") + self._elements.before
        if any(text.startswith(one, at) for one in ends):
            return self._leave()
        rest = text[at : at + max(map(len, (*ends, lead)))]
        if any(one != rest and one.startswith(rest) for one in (*ends, lead)):
            return None
        if not text.startswith(lead, at):
            return None if is_inner else self._leave()
        name_at = at + len(lead)
        name_end = text.find(self._place.between, name_at)
        if name_end < 0:
            return None
        name = self._name = text[name_at:name_end]
        begin, self._value = self._frames[-1].begin(name)
        opened, self._opened = self._opened, ""
        self._in_text = self._value.kinds == {"string"}
        quote = '"' if self._in_text else ""
        return name_end + len(self._place.between) - at, opened + begin + quote

    def _leave(self) -> tuple[int, str]:
        frame = self._frames.pop()
        opened, self._opened = self._opened, ""
        self._name = frame.name
        self._ended = not self._frames
        self._behind_value = not self._ended
        return 0, opened + frame.end()

    def _begin_value(self, text: str, at: int, types: PartTypes) -> tuple[int, str] | None:
        if not self._parts:
            if text.startswith(self._end, at):
                self._end_value()
                return 0, _empty(types)
            if self._end.startswith(text[at : at + len(self._end)]):
                return None
            if text.startswith(self._elements.before, at):
                return self._enter(text, at, types)
        return self._scalar(text, at, types)

    def _enter(self, text: str, at: int, types: PartTypes) -> tuple[int, str] | None:
        """Begin an object or an array, of which the first element stands here."""
        name_at = at + len(self._elements.before)
        name_end = text.find(self._place.between, name_at)
        if name_end < 0:
            return None
        kind = self._kind(types, text[name_at:name_end])
        self._frames.append(_Frame(types, kind, self._name))
        self._opened, self._value = "{" if kind == "object" else "[", None
        return 0, ""

    def _scalar(self, text: str, at: int, types: PartTypes) -> tuple[int, str] | None:
        mark = self._elements.mark
        end = text.find(mark, at)
        if end < 0:
            certain = len(text) - begun(text, mark)
            if certain <= at:
                return None
            self._parts.append(text[at:certain])
            return certain - at, ""
        value = self._valued("".join((*self._parts, text[at:end])), types.kinds)
        self._end_value()
        return end - at, json.dumps(value, ensure_ascii=False)

    def _kind(self, types: PartTypes, name: str) -> Literal["object", "array"]:
        """Return what a value is that begins with an element of this name."""
        if ("array" in types.kinds) != ("object" in types.kinds):
            return "array" if "array" in types.kinds else "object"
        return "array" if name == self._elements.item else "object"

    def _text(self, text: str, at: int) -> tuple[int, str] | None:
        mark = self._elements.mark
        end = text.find(mark, at)
        if end >= 0:
            self._end_value()
            return end - at, inside(text[at:end]) + '"'
        certain = len(text) - begun(text, mark)
        return (certain - at, inside(text[at:certain])) if certain > at else None

    def _end_value(self) -> None:
        self._value, self._in_text, self._behind_value, self._parts = None, False, True, []

    def _end_of_value(self, text: str, at: int) -> tuple[int, str] | None:
        """Read what stands behind a value; if its name is another one, the first counts."""
        if not text.startswith(self._end, at):
            return None
        end = at + len(self._end)
        if PROPERTY in self._place.after:
            end = text.find(self._behind_name, end)
            if end < 0:
                return None
            end += len(self._behind_name)
        self._behind_value = False
        return end - at, ""

    def _valued(self, text: str, kinds: frozenset[str]) -> Any:
        """Return the value that a text spells: of an allowed type, or else the text."""
        for kind in _SPELLED:
            if kind == "null" and "string" in kinds:
                continue
            try:
                value = self._elements.spelling(kind).read(text)
            except ValueError:
                continue
            names = {kind, "integer"} if is_of(value, "integer") else {kind}
            if type_of(value) == kind and (names & kinds or "string" not in kinds):
                return value
        return text


def _empty(types: PartTypes) -> str:
    """Return the JSON of a value without elements and without a text."""
    if "string" in types.kinds or not types.kinds & {"array", "object"}:
        return '""'
    return "[]" if "object" not in types.kinds else "{" + _Frame(types, "object", "").end()


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
