"""Finds calls in the text of an answer: their heads, their inputs and their ends.

The calls of a notation are enforced by a grammar, so each character counts here.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from antiphon.core.prompt import Tool
from antiphon.engines.token.notation.nested_reader import NestedReader
from antiphon.engines.token.notation.notation import Match, Notation, match, named_again
from antiphon.engines.token.notation.reader import ArgumentsReader, ElementReader, ObjectReader
from antiphon.schemas.element_types import PartTypes
from antiphon.schemas.elements import kinds_of
from antiphon.schemas.steps import Steps


class CallHead(NamedTuple):
    """The head of a call: the name of its tool, its length, and its identifier if it has one."""

    name: str
    length: int
    identifier: str = ""


class FoundCall(NamedTuple):
    """A call in a text: its length, name and input if it is well formed, and if more follow.

    `within`: what follows is another call of the same section, without an opening. The identifiers
    are that of the call and that of the next one, as far as they are written.
    """

    length: int
    call: tuple[str, dict[str, Any]] | None
    within: bool = False
    identifier: str = ""
    following: str = ""


class Closing(NamedTuple):
    """What stands behind an input: its length; it may not be whole yet if `open`."""

    length: int
    found: bool
    open: bool = False
    within: bool = False
    identifier: str = ""
    following: str = ""


class CallScan(Protocol):
    """Finds the end of one call. It has `begun` if it is certain what ends the call."""

    @property
    def begun(self) -> bool: ...

    def skim(self, piece: str) -> bool:
        """Look at what comes next of the text; return whether `find` may now find the call.

        So a text that grows by many pieces is not copied for each of them.
        """
        ...

    def find(self, text: str, *, ended: bool) -> FoundCall | None:
        """Return the call at the start of a text that grows, or None if it is undecided.

        The text has `ended` if nothing comes any more.
        """
        ...


class Calls(Protocol):
    """The calls of an answer. `within` a section, a call has no opening."""

    def head(self, text: str, limit: int | None = None, *, within: bool = False) -> CallHead | None:
        """Return the head at the start of `text`, if it ends within `limit` characters."""
        ...

    def may_begin(self, text: str) -> bool:
        """Whether a text behind an opening is a call, or may become one."""
        ...

    def scan(self, *, within: bool = False) -> CallScan: ...

    def reader(self, name: str) -> ArgumentsReader:
        """Return a reader for the input of one call of a tool."""
        ...

    def closing(self, text: str, name: str) -> Closing:
        """Find what stands behind the input of a call of a tool, at the start of `text`."""
        ...


_CONTROL: Final = re.compile(r"<\|[a-z]+\|>")
_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")


class NotedCalls:
    """The calls of a notation. The types of properties come from the schemas of the tools."""

    def __init__(self, notation: Notation, tools: Mapping[str, Tool]) -> None:
        self._notation = notation
        self._tools = tools
        self._kinds: dict[str, Callable[[str], frozenset[str]]] = {}
        self._types: dict[str, PartTypes] = {}

    def head(self, text: str, limit: int | None = None, *, within: bool = False) -> CallHead | None:
        begun = Match(0) if within else match(text, 0, self._notation.lead)
        if begun.end is None:
            return None
        name = _TOOL_NAME.match(text, begun.end)
        if name is None:
            return None
        middle = self._middle(text, name)
        # A name may go on in the next piece where nothing stands behind it.
        if middle.end is None or (not self._notation.middle and middle.end == len(text)):
            return None
        if limit is not None and middle.end > limit:
            return None
        return CallHead(name[0], middle.end, begun.identifier or middle.identifier)

    def _middle(self, text: str, name: re.Match[str]) -> Match:
        """Find what stands behind a name, in either order."""
        at, variant = name.end(), self._notation.variant
        found = match(text, at, named_again(self._notation.middle, name[0]))
        if found.end is not None or variant is None:
            return found
        space = variant.middle[: len(variant.middle) - len(variant.middle.lstrip())]
        marked = _CONTROL.match(text, at + len(space)) if text.startswith(space, at) else None
        if marked is not None:
            return match(text, marked.end(), variant.middle[len(space) :])
        return match(text, at, variant.middle)

    def may_begin(self, text: str) -> bool:
        begun = match(text, 0, self._notation.lead)
        return begun.open or begun.end is not None

    def scan(self, *, within: bool = False) -> "_NotedScan":
        return _NotedScan(self, within=within)

    def reader(self, name: str) -> ArgumentsReader:
        notation = self._notation
        if notation.elements is None:
            return ObjectReader(notation.spelling)
        tool = self._tools.get(name)
        schema: Any = True if tool is None else tool.input_schema
        closers = [named_again(one, name) for one in (notation.closing, notation.separator or "")]
        if notation.elements.item is not None:
            if name not in self._types:
                self._types[name] = PartTypes.of(schema, Steps())
            return NestedReader(notation.elements, self._types[name], closers)
        if name not in self._kinds:
            self._kinds[name] = kinds_of(schema, Steps())
        return ElementReader(notation.elements, self._kinds[name], closers)

    def closing(self, text: str, name: str) -> Closing:
        notation = self._notation
        closed = match(text, 0, named_again(notation.closing, name))
        more = Match(None)
        if notation.separator is not None:
            more = match(text, 0, named_again(notation.separator, name))
        # One may begin with the other.
        within = (more.end or 0) > (closed.end or 0)
        end = max(more.end or 0, closed.end or 0)
        found = more.end is not None or closed.end is not None
        last = more if within else closed
        return Closing(
            end,
            found,
            open=more.open or closed.open,
            within=within,
            identifier=last.identifier,
            following=last.following,
        )


class _NotedScan:
    """Reads a call part by part: head, arguments, closing."""

    def __init__(self, calls: NotedCalls, *, within: bool) -> None:
        self._calls = calls
        self._within = within
        self._head: CallHead | None = None
        self._reader: ArgumentsReader | None = None
        self._seen = 0
        self._unread = ""
        self._json: list[str] = []
        self._ended = False

    @property
    def begun(self) -> bool:
        return self._reader is not None

    def skim(self, piece: str) -> bool:
        self._seen += len(piece)
        self._unread += piece
        if self._reader is None:
            self._head = self._calls.head(self._unread, within=self._within)
            if self._head is None:
                return False
            self._reader = self._calls.reader(self._head.name)
            self._unread = self._unread[self._head.length :]
        if not self._ended:
            found = self._reader.read(self._unread)
            self._unread = self._unread[found.length :]
            self._json.append(found.json)
            self._ended = found.ended
        return self._ended

    def find(self, text: str, *, ended: bool) -> FoundCall | None:
        found = self.skim(text[self._seen :])
        return self._closed(ended=ended) if found else None

    def _closed(self, *, ended: bool) -> FoundCall | None:
        closing = self._calls.closing(self._unread, self._head.name if self._head else "")
        if closing.open and not (ended and closing.found):
            return None
        read = self._seen - len(self._unread)
        length = read + (closing.length if closing.found else 0)
        own = closing.identifier or (self._head.identifier if self._head else "")
        return FoundCall(length, self._call(), closing.within, own, closing.following)

    def _call(self) -> tuple[str, dict[str, Any]] | None:
        try:
            given = json.loads("".join(self._json))
        except ValueError:
            return None
        name = self._head.name if self._head else ""
        return (name, given) if isinstance(given, dict) else None
