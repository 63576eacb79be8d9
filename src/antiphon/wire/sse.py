"""Server-sent events: events to bytes, and bytes back to frames.

The decoder follows the WHATWG standard as far as streams of the API need it: lines end with LF,
CR or CRLF, lines that begin with a colon are comments, several `data` lines are joined by LF, and
a frame without data is dropped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from antiphon.wire.events import Event

_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventEncoder:
    """Writes events as frames. Holds one JSON encoder, so that a stream reuses it."""

    __slots__ = ("_json", "_names")

    def __init__(self) -> None:
        self._json = msgspec.json.Encoder()
        self._names: dict[type[Event], bytes] = {}

    def encode(self, event: Event) -> bytes:
        kind = type(event)
        head = self._names.get(kind)
        if head is None:
            head = f"event: {kind.__struct_config__.tag}\ndata: ".encode()
            self._names[kind] = head
        return b"%b%b\n\n" % (head, self._json.encode(event))


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream, not yet decoded."""

    event: str
    data: str


class FrameDecoder:
    """Turns bytes into frames, wherever the bytes were cut."""

    __slots__ = ("_buffer", "_data", "_event")

    def __init__(self) -> None:
        self._buffer = b""
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Yield the frames that this chunk completes."""
        buffer = self._buffer + chunk
        start = 0
        for end in _LINE_END.finditer(buffer):
            # A CR at the very end may be the first half of a CRLF: wait for the next chunk.
            if end.end() == len(buffer) and end.group() == b"\r":
                break
            frame = self._line(buffer[start : end.start()].decode(errors="replace"))
            start = end.end()
            if frame is not None:
                yield frame
        self._buffer = buffer[start:]

    def _line(self, line: str) -> Frame | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        return None

    def _dispatch(self) -> Frame | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        return Frame(event or "message", "\n".join(data)) if data else None
