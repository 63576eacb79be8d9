"""Server-sent events: events to bytes, and bytes back to frames.

The decoder follows the WHATWG standard as far as streams of the API need it: lines end with LF,
CR or CRLF, lines that begin with a colon are comments, several `data` lines are joined by LF, and
a frame without data is dropped, and so is a byte order mark at the start.
"""

import re
from collections.abc import Sequence
from itertools import groupby

import msgspec

from antiphon.wire.events import Event
from antiphon.wire.plain_frames import plain_frames

_LINE_END = re.compile(rb"\r\n|\n|\r")


class _Heads(dict[type[Event], bytes]):
    """The beginnings of frames, each made when the first event of its type is written."""

    def __missing__(self, kind: type[Event]) -> bytes:
        head = self[kind] = f"event: {kind.__struct_config__.tag}\ndata: ".encode()
        return head


class EventEncoder:
    """Writes events as frames. Holds one JSON encoder, so that a stream reuses it."""

    __slots__ = ("_heads", "_to_json", "_to_lines")

    def __init__(self) -> None:
        encoder = msgspec.json.Encoder()
        self._to_json = encoder.encode
        self._to_lines = encoder.encode_lines
        self._heads = _Heads()

    def encode(self, event: Event) -> bytes:
        return b"%b%b\n\n" % (self._heads[type(event)], self._to_json(event))

    def encode_all(self, events: Sequence[Event]) -> bytes:
        """Write events one behind the other, as `encode` writes each.

        Those of one type in a row, which nearly all of a fast engine are, cost two calls together:
        the JSON of an event has no line break, so each line that is written is one event.
        """
        if len(events) == 1:
            return self.encode(events[0])
        frames: list[bytes] = []
        for kind, run in groupby(events, type):
            head = self._heads[kind]
            lines = self._to_lines(run)
            frames += (head, lines[:-1].replace(b"\n", b"\n\n" + head), b"\n\n")
        return b"".join(frames)


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream, not yet decoded."""

    event: str
    data: str


class FrameDecoder:
    """Turns bytes into frames, wherever the bytes were cut.

    A frame is returned with the byte that completes it: a CR ends a line at once, and an LF that
    follows it in the next chunk is its second half. Frames of the usual forms are read all at once.
    """

    __slots__ = ("_after_cr", "_begun", "_buffer", "_data", "_event")

    def __init__(self) -> None:
        self._after_cr = False
        self._begun = False
        self._buffer = bytearray()
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that this chunk completes."""
        if self._after_cr or b"\r" in chunk:
            return self._by_line(chunk)
        frames: list[Frame] = []
        if self._open:
            head, end, chunk = chunk.partition(b"\n\n")
            frames = self._by_line(head + end)
        whole, end, rest = chunk.rpartition(b"\n\n")
        if end:
            read = _plain(whole)
            if read is None:
                read = self._by_line(whole + end)
            self._begun = True
            frames = frames + read if frames else read
        return frames + self._by_line(rest) if rest else frames

    @property
    def _open(self) -> bool:
        """Whether a frame has begun."""
        return bool(self._buffer or self._data or self._event)

    def _by_line(self, chunk: bytes) -> list[Frame]:
        """Return the frames that end in a chunk, by all rules of the standard."""
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        # The buffer holds no line end, so only the new chunk has to be searched.
        *lines, rest = _LINE_END.split(chunk)
        frames = []
        for line in lines:
            whole = line
            if self._buffer:
                whole = bytes(self._buffer) + line
                self._buffer.clear()
            frame = self._line(whole.decode(errors="replace"))
            if frame is not None:
                frames.append(frame)
        self._buffer += rest
        return frames

    def rest(self) -> Frame | None:
        """Return the frame that the stream left without an end, as it is; the standard drops it."""
        last = bytes(self._buffer).decode(errors="replace")
        self._buffer.clear()
        if last:
            self._line(last)
        return self._dispatch()

    def _line(self, line: str) -> Frame | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix("\ufeff")
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


def _plain(frames: bytes) -> list[Frame] | None:
    """Return frames of the forms that are usual, or `None` if one has another."""
    found = plain_frames(frames)
    if found is None:
        return None
    names, data = found
    try:
        return list(map(Frame, map(bytes.decode, names), map(bytes.decode, data)))
    except UnicodeDecodeError:
        return None
