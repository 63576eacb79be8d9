"""The lines of the log on their way to a stream: many with one call, and none that fails anybody.

Lines that the stream does not take are counted, and the count is told once it takes some again.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO, TypeAlias

MOST_LINES = 1000
FLUSH_S = 0.1
# The event that tells how many lines were lost.
LOST = "log lines lost"

# A logged event: `timestamp` (ISO 8601, UTC), `level`, its fields, and `event`, which names it.
EventFields: TypeAlias = dict[str, Any]


class ByteStream(Protocol):
    """Takes bytes, as many as it can; it returns how many."""

    def write(self, data: memoryview, /) -> int | None: ...


class LineWriter:
    """Writes lines; in a running event loop, all lines of `FLUSH_S` with one call.

    A system call for each request would cost a tenth of its time. Warnings and errors are written
    at once, with all lines before them; a process that is killed loses `FLUSH_S` of other lines.

    Lines are lost while the stream takes none: its disk is full, or nobody reads the pipe any more.
    Before the next line that it takes, an event tells how many; `encode` makes a line of it.
    """

    def __init__(self, stream: ByteStream, encode: Callable[[EventFields], bytes]) -> None:
        self._stream = stream
        self._encode = encode
        self._lines: list[bytes] = []
        self._lost = 0
        self._broken = False  # the last line was written in part

    def info(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            self._flush_soon()
        elif len(self._lines) >= MOST_LINES:
            self.flush()

    def error(self, line: bytes) -> None:
        self._lines.append(line)
        self.flush()

    def flush(self) -> None:
        if not self._lines:
            return
        told = self._told() if self._lost else b""
        whole = told + b"\n".join(self._lines) + b"\n"
        self._lines.clear()
        taken = self._put(whole)
        if taken >= len(told):
            self._lost = 0
        if taken < len(whole):
            self._lost += whole.count(b"\n", max(taken, len(told)))

    def _told(self) -> bytes:
        fields = {"level": "warning", "lines": self._lost, "event": LOST}
        line = self._encode({"timestamp": datetime.now(UTC), **fields}) + b"\n"
        return b"\n" + line if self._broken else line

    def _put(self, whole: bytes) -> int:
        """Write bytes; return how many the stream has taken, which may be any number at a time."""
        at = 0
        with suppress(OSError, ValueError):  # ValueError: it is closed
            while at < len(whole) and (taken := self._stream.write(memoryview(whole)[at:])):
                at += taken
                self._broken = not whole.endswith(b"\n", at - 1, at)
        return at

    def _flush_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        except RuntimeError:  # no event loop runs that could flush later
            self.flush()


def unbuffered(stream: TextIO) -> ByteStream:
    """Return the file below a text: a buffer would keep what a full disk did not take."""
    raw: ByteStream = getattr(stream.buffer, "raw", stream.buffer)
    return raw
