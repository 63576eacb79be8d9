"""Turns the bytes of a stream into events, wherever the bytes were cut. No input or output.

Frames of usual forms are taken apart all at once (`wire.plain_frames`), and one call decodes the
JSON of all of them. Anything else that the standard of server-sent events allows is read line by
line.
"""

from __future__ import annotations

from typing import get_args

import msgspec

from antiphon.sdk.call import NOT_JSON
from antiphon.sdk.types.base import CAME
from antiphon.sdk.types.decoding import attach, convert_member, decoder_of
from antiphon.sdk.types.events import (
    CitationsDelta,
    RawContentBlockDeltaEvent,
    StreamItem,
    UnknownEvent,
)
from antiphon.wire.plain_frames import plain_frames

LARGEST_FRAME = 64 << 20
"""The most bytes of one event. A fetched PDF of 32 MB, the largest there is, fits in."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DONE = b"[DONE]"
"""What streams of another vocabulary end with; some proxies write it here as well."""

KNOWN = frozenset(member.__struct_config__.tag for member in get_args(StreamItem))


class EventReader:
    """Reads the events of one stream.

    `fault` says what is wrong with the bytes behind the events that were returned; nothing follows
    it. `waiting` is the number of bytes of an event that has not come to its end.
    """

    __slots__ = (
        "_after_cr",
        "_begun",
        "_decode_lines",
        "_parts",
        "fault",
        "waiting",
    )

    def __init__(self) -> None:
        self._decode_lines = decoder_of(StreamItem).decode_lines
        self._parts: list[bytes] = []
        self.waiting = 0
        self._after_cr = False
        self._begun = False
        self.fault: str | None = None

    def feed(self, chunk: bytes) -> list[StreamItem]:
        """Return the events that this chunk completes."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        parts = self._parts
        # The end of a frame may lie across two chunks; what came before has been searched.
        if b"\n\n" not in chunk and not (
            parts and parts[-1].endswith(b"\n") and chunk.startswith(b"\n")
        ):
            self._keep(chunk)
            return []
        if parts:
            parts.append(chunk)
            chunk = b"".join(parts)
            parts.clear()
            self.waiting = 0
        frames, _, rest = chunk.rpartition(b"\n\n")
        self._keep(rest)
        return self._events(frames)

    def rest(self) -> list[StreamItem]:
        """Return the event that a stream left without its last line break, if it is whole."""
        left = b"".join(self._parts)
        self._parts.clear()
        events = self._events(left.rstrip(b"\n")) if left.strip() else []
        self.fault = None
        return events

    def _keep(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._parts.append(chunk)
        self.waiting += len(chunk)
        if self.waiting > LARGEST_FRAME:
            self.fault = f"an event has more than {LARGEST_FRAME} bytes"

    def _with_lf(self, chunk: bytes) -> bytes:
        """Return a chunk with LF for each end of a line. A CR ends one at once."""
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _events(self, frames: bytes) -> list[StreamItem]:
        plain = plain_frames(frames)
        texts = None if plain is None else plain[1]
        if texts is None or not all(texts) or DONE in texts:
            texts = self._read_lines(frames)
        self._begun = True
        if not texts:
            return []
        joined = b"\n".join(texts)
        if joined.count(b"\n") >= len(texts):  # a text of several lines
            return self._one_by_one(texts)
        try:
            events: list[StreamItem] = self._decode_lines(joined)
        except NOT_JSON:
            return self._one_by_one(texts)
        if len(events) != len(texts):  # a text of spaces is none
            return self._one_by_one(texts)
        for event, text in zip(events, texts, strict=True):
            # Nearly all events are of this kind, and are not taken apart for what is unknown.
            if type(event) is RawContentBlockDeltaEvent and type(event.delta) is not CitationsDelta:
                event.__dict__[CAME] = text
            else:
                attach(event, text)
        return events

    def _one_by_one(self, texts: list[bytes]) -> list[StreamItem]:
        """Decode events of which one is unknown, or none of the API."""
        events: list[StreamItem] = []
        for text in texts:
            if text.strip() in {b"", DONE}:
                continue
            try:
                value = msgspec.json.decode(text)
            except NOT_JSON as error:
                self.fault = f"an event is not JSON: {error}"
                break
            if not isinstance(value, dict) or not isinstance(value.get("type"), str):
                self.fault = "an event is not an object with a type"
                break
            event = convert_member(StreamItem, value)
            if isinstance(event, UnknownEvent) and event.type in KNOWN:
                self.fault = f"an event of the type {event.type} lacks what belongs to it"
                break
            events.append(event)
        return events

    def _read_lines(self, frames: bytes) -> list[bytes]:
        """Return the data of frames by the rules of the standard."""
        if not self._begun:
            frames = frames.removeprefix(BYTE_ORDER_MARK)
        found = []
        for frame in frames.split(b"\n\n"):
            data = []
            for line in frame.split(b"\n"):
                name, _, value = line.partition(b":")
                if name == b"data":
                    data.append(value.removeprefix(b" "))
            # JSON of several lines is one value; its line breaks are only between tokens.
            text = b" ".join(data).strip()
            if text and text != DONE:
                found.append(text)
        return found
