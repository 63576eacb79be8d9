"""Reads a form of parts (`multipart/form-data`, RFC 7578) while its body arrives.

    BEFORE ─► BOUNDARY ─► HEAD ─► CONTENT ─► BOUNDARY … ─► AFTER

Of a content nothing is kept but what may be the beginning of the next boundary; of a head, at most
`LARGEST_HEAD` bytes. A part that is a form itself is content like any other.
"""

import re
from enum import Enum, auto
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec

LARGEST_HEAD: Final = 8 * 1024
"""The most bytes of the head of a part, and of what stands before the first boundary."""
MOST_HEADERS: Final = 16
MOST_PARTS: Final = 16
LONGEST_PADDING: Final = 256
"""The most spaces behind a boundary."""

_LINE: Final = b"\r\n"
_END_OF_HEAD: Final = b"\r\n\r\n"
_BOUNDARY: Final = re.compile(
    r"""multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s";,]{1,70}))\s*(?:;.*)?""",
    re.IGNORECASE | re.ASCII,
)
# What RFC 2046 allows in a boundary.
_BOUNDARY_TEXT: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]*[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
_PARAMETER: Final = re.compile(r';\s*([A-Za-z0-9*_-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))\s*')
_ESCAPED: Final = re.compile(r'\\(["\\])')
_UTF_8: Final = re.compile(r"utf-8'[^']*'(.*)", re.IGNORECASE)


class MultipartError(ValueError):
    """A body that is no form of parts. The message is a sentence for the caller."""


class PartHead(msgspec.Struct, frozen=True):
    """The beginning of a part: the name of the field, and what the head says of a file."""

    name: str
    filename: str | None = None
    content_type: str | None = None


class PartContent(msgspec.Struct, frozen=True):
    """Some bytes of the part that began last."""

    data: bytes


class PartEnd(msgspec.Struct, frozen=True):
    """The end of the part that began last."""


MultipartEvent: TypeAlias = PartHead | PartContent | PartEnd


class _Place(Enum):
    BEFORE = auto()
    BOUNDARY = auto()
    HEAD = auto()
    CONTENT = auto()
    AFTER = auto()


def boundary_of(content_type: str | None) -> bytes:
    """Return the boundary that the `content-type` of a request names. Raises `MultipartError`."""
    found = _BOUNDARY.fullmatch(content_type or "")
    boundary = "" if found is None else found[1] or found[2]
    if not _BOUNDARY_TEXT.fullmatch(boundary):
        raise MultipartError("content-type: Input should be multipart/form-data with a boundary")
    return boundary.encode("ascii")


class MultipartReader:
    """Reads one form. However the body is cut into pieces, the parts have the same content."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # The first boundary may be the first line: as if a line had ended before it.
        self._rest = bytearray(_LINE)
        self._place = _Place.BEFORE
        self._parts = 0

    def feed(self, piece: bytes) -> list[MultipartEvent]:
        """Take the next piece of the body, and return what it tells. Raises `MultipartError`."""
        self._rest += piece
        events: list[MultipartEvent] = []
        while self._step(events):
            pass
        return events

    def end(self) -> None:
        """Raise `MultipartError` if the body ends before the form does."""
        if self._place is not _Place.AFTER:
            raise MultipartError("The form ends before its last boundary")

    def _step(self, events: list[MultipartEvent]) -> bool:
        """Read on from the place; return whether more may follow from what is there."""
        match self._place:
            case _Place.BEFORE:
                return self._before()
            case _Place.BOUNDARY:
                return self._boundary()
            case _Place.HEAD:
                return self._head(events)
            case _Place.CONTENT:
                return self._content(events)
            case _:
                self._rest.clear()
                return False

    def _before(self) -> bool:
        found = self._rest.find(self._delimiter, 0, LARGEST_HEAD + len(self._delimiter))
        if found < 0:
            if len(self._rest) >= LARGEST_HEAD + len(self._delimiter):
                raise MultipartError("The form does not begin with its boundary")
            return False
        del self._rest[: found + len(self._delimiter)]
        self._place = _Place.BOUNDARY
        return True

    def _boundary(self) -> bool:
        if self._rest.startswith(b"--"):
            self._place = _Place.AFTER
            return True
        found = self._rest.find(_LINE, 0, LONGEST_PADDING + len(_LINE))
        if found < 0 and len(self._rest) < LONGEST_PADDING + len(_LINE):
            return False
        if found < 0 or self._rest[:found].strip(b" \t"):
            raise MultipartError("A boundary of the form does not end its line")
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise MultipartError(f"The form has more than {MOST_PARTS} parts")
        # The line's end stays: a head without headers is that and an empty line.
        del self._rest[:found]
        self._place = _Place.HEAD
        return True

    def _head(self, events: list[MultipartEvent]) -> bool:
        found = self._rest.find(_END_OF_HEAD, 0, LARGEST_HEAD + len(_END_OF_HEAD))
        if found < 0:
            if len(self._rest) >= LARGEST_HEAD + len(_END_OF_HEAD):
                raise MultipartError("The head of a part is too large")
            return False
        events.append(_read_head(bytes(self._rest[len(_LINE) : found])))
        del self._rest[: found + len(_END_OF_HEAD)]
        self._place = _Place.CONTENT
        return True

    def _content(self, events: list[MultipartEvent]) -> bool:
        found = self._rest.find(self._delimiter)
        ready = found if found >= 0 else len(self._rest) - len(self._delimiter) + 1
        if ready > 0:
            events.append(PartContent(bytes(self._rest[:ready])))
            del self._rest[:ready]
        if found < 0:
            return False
        events.append(PartEnd())
        del self._rest[: len(self._delimiter)]
        self._place = _Place.BOUNDARY
        return True


def _read_head(head: bytes) -> PartHead:
    lines = head.split(_LINE) if head else []
    if len(lines) > MOST_HEADERS:
        raise MultipartError(f"A part of the form has more than {MOST_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        try:
            name, colon, value = line.decode().partition(":")
        except UnicodeDecodeError as error:
            raise MultipartError("The head of a part is not UTF-8") from error
        name = name.lower()
        if not colon or not name.strip() or name != name.strip() or name in headers:
            raise MultipartError("The head of a part cannot be read")
        headers[name] = value.strip(" \t")
    return _part_head(headers.get("content-disposition", ""), headers.get("content-type"))


def _part_head(disposition: str, content_type: str | None) -> PartHead:
    kind, _, _ = disposition.partition(";")
    given = _parameters(disposition[len(kind) :])
    if kind.strip().lower() != "form-data" or "name" not in given:
        raise MultipartError("A part of the form has no name")
    filename = given.get("filename")
    if "filename*" in given:
        filename = _extended(given["filename*"])
    return PartHead(given["name"], filename, content_type or None)


def _parameters(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _PARAMETER.match(text, at)
        if found is None or found[1].lower() in given:
            raise MultipartError("The head of a part cannot be read")
        quoted, plain = found[2], found[3]
        given[found[1].lower()] = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        at = found.end()
    return given


def _extended(text: str) -> str:
    """Return a name that is written `UTF-8''na%C3%AFve.txt` (RFC 8187)."""
    found = _UTF_8.fullmatch(text)
    try:
        if found is not None:
            return unquote_to_bytes(found[1]).decode()
    except UnicodeDecodeError:
        pass
    raise MultipartError("The name of a file is not UTF-8")
