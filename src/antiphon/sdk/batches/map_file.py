"""The file of a map: what was asked, what was sent, what came back. It only grows.

    {"type":"map","version":1,"id":"…","server":"…"}
    {"type":"request","row":0,"request":{"custom_id":"…","params":{…}}}
    {"type":"part","part":0,"rows":[[0,999]],"at":…}      on the disk before the batch is created
    {"type":"batch","part":0,"batch":"msgbatch_…"}
    {"type":"result","row":0,"part":0,"result":{…}}
    {"type":"collected","part":0}

A later line about a row replaces an earlier one. A program that is killed leaves at most a torn
last line, which the next one cuts off. In memory a row takes some thirty bytes, whatever it holds.
"""

from __future__ import annotations

import os
import sys
from array import array
from typing import Final

import msgspec

from antiphon.sdk.batches.map_lines import (
    KINDS,
    NO_KIND,
    OTHER,
    VERSION,
    BatchLine,
    Collected,
    Header,
    Interrupted,
    Line,
    MapFileError,
    MapFileInUseError,
    Part,
    PartLine,
    RequestLine,
    ResultLine,
    ranges_of,
)

HEADER: Final = b'{"type":"map",'
"""How the file of each map begins."""
HELD: Final = 1 << 20
"""How many bytes may wait to be written together."""

CLOSED: Final = -1


class _Kind(msgspec.Struct):
    type: str


class _Id(msgspec.Struct):
    custom_id: str


class MapFile:
    """The file of one map; without a path, one that no other run can find.

    `server` is the address that the map is for, and `new_id` the id of a map that begins here. Its
    methods may block. Once it is open it is locked.
    """

    def __init__(self, path: str | os.PathLike[str] | None, server: str, new_id: str) -> None:
        self._path, self._server, self._new_id = path, server, new_id
        self._name = "a temporary file" if path is None else os.fspath(path)
        self._descriptor = CLOSED
        self._held = bytearray()
        self._flushed = 0
        self._requests = array("q")
        self._results = array("q")
        self._result_parts = array("i")
        self._last_parts = array("i")
        self.kinds = array("b")
        self.tries = array("B")
        self.parts: list[Part] = []
        self.header = Header(version=VERSION, id="", server="")
        self._decoder = msgspec.json.Decoder(Line)
        self._encoder = msgspec.json.Encoder()

    def open(self) -> None:
        """Open the file and read what stands in it. Raises `MapFileError`, `OSError`."""
        self._descriptor = _descriptor(self._path)
        try:
            _lock(self._descriptor, self._name)
            self._load()
            self._begin()
        except BaseException:
            self._held.clear()
            self.close()
            raise

    @property
    def count(self) -> int:
        """How many rows have a request."""
        return len(self._requests)

    def close(self) -> None:
        """Write what is held, and unlock the file. Closing twice changes nothing."""
        if self._descriptor != CLOSED:
            try:
                self._flush()
            finally:
                descriptor, self._descriptor = self._descriptor, CLOSED
                os.close(descriptor)

    # What is asked

    def add_request(self, encoded: bytes) -> None:
        """Note the request of the next row."""
        row = self.count
        at = self._write(RequestLine(row=row, request=msgspec.Raw(encoded)))
        self._know_request(row, at)

    def request(self, row: int) -> bytes:
        """Return the request of a row as it was encoded."""
        line = self._line(self._requests[row])
        assert isinstance(line, RequestLine)  # noqa: S101 - what its offset says
        return bytes(line.request)

    def body(self, part: Part) -> bytes:
        """Return the body that creates the batch of a part: the same bytes every time."""
        return b'{"requests":[' + b",".join(map(self.request, part.rows())) + b"]}"

    def ids(self, part: Part) -> dict[str, int]:
        """Return the rows of a part by their `custom_id`."""
        decoder = msgspec.json.Decoder(_Id)
        return {decoder.decode(self.request(row)).custom_id: row for row in part.rows()}

    # What is sent

    def add_part(self, rows: list[int], at: float) -> Part:
        """Note the rows of a new part. They are on the disk when this returns."""
        part = Part(number=len(self.parts), ranges=ranges_of(rows), at=at)
        self._write(PartLine(part=part.number, rows=part.ranges, at=at))
        self._know_part(part)
        self.sync()
        return part

    def set_batch(self, part: Part, batch: str) -> None:
        part.batch = batch
        self._write(BatchLine(part=part.number, batch=batch))
        self.sync()

    def set_collected(self, part: Part) -> None:
        part.collected = True
        self._write(Collected(part=part.number))
        self.sync()

    def set_interrupted(self, part: Part) -> None:
        part.interrupted = True
        self._write(Interrupted(part=part.number))
        self.sync()

    # What comes back

    def add_result(self, row: int, part: Part, encoded: bytes) -> None:
        """Note the result of a row, unless it is there already."""
        if self._result_parts[row] != part.number:
            at = self._write(
                ResultLine(row=row, part=part.number, result=msgspec.Raw(encoded)),
            )
            self._know_result(row, part.number, at, encoded)

    def has_result(self, row: int, part: Part) -> bool:
        return self._result_parts[row] == part.number

    def is_last(self, row: int, part: Part) -> bool:
        """Whether a row went into no later part than this one."""
        return self._last_parts[row] == part.number

    def result(self, row: int) -> bytes:
        """Return the last result of a row, as the server wrote it."""
        line = self._line(self._results[row])
        assert isinstance(line, ResultLine)  # noqa: S101 - what its offset says
        return bytes(line.result)

    def sync(self) -> None:
        """Bring all of it to the disk: it is there after a power failure as well."""
        self._flush()
        os.fsync(self._descriptor)

    # The file

    def _write(self, line: Line) -> int:
        """Append a line; return where it stands."""
        at = self._flushed + len(self._held)
        self._held += self._encoder.encode(line) + b"\n"
        if len(self._held) >= HELD:
            self._flush()
        return at

    def _flush(self) -> None:
        """Write what is held. After an error or an interrupt all of it is still held."""
        view = memoryview(bytes(self._held))
        end, nothing = self._flushed + len(view), bytearray()
        os.lseek(self._descriptor, self._flushed, os.SEEK_SET)
        while view:
            view = view[os.write(self._descriptor, view) :]
        # No interrupt comes between two attributes that are set.
        self._held, self._flushed = nothing, end

    def _line(self, at: int) -> Line:
        if self._held:
            self._flush()
        parts: list[bytes] = []
        size = 4096
        os.lseek(self._descriptor, at, os.SEEK_SET)
        while True:
            found = os.read(self._descriptor, size)
            end = found.find(b"\n")
            parts.append(found if end < 0 else found[:end])
            if end >= 0 or not found:
                line: Line = self._decoder.decode(b"".join(parts))
                return line
            size = min(size * 4, HELD)

    def _load(self) -> None:
        """Read the file, and cut off a torn last line."""
        number = 0
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            for line in file:
                number += 1
                if not line.endswith(b"\n"):
                    if number == 1 and not HEADER.startswith(line[: len(HEADER)]):
                        raise MapFileError(f"{self._name}: this is no file of a map")
                    os.ftruncate(self._descriptor, self._flushed)
                    break
                try:
                    self._know(self._decoder.decode(line), self._flushed, first=number == 1)
                except (msgspec.DecodeError, IndexError) as error:
                    raise MapFileError(
                        f"{self._name}: line {number} is none of the file of a map: {error}"
                    ) from error
                self._flushed += len(line)

    def _begin(self) -> None:
        if not self._flushed:
            self.header = Header(version=VERSION, id=self._new_id, server=self._server)
            self._write(self.header)
            self.sync()
        if self.header.version != VERSION:
            raise MapFileError(
                f"{self._name}: it is of version {self.header.version}, and this program knows "
                f"version {VERSION}"
            )
        if self.header.server != self._server:
            raise MapFileError(
                f"{self._name}: its batches are at {self.header.server}, and this client is one of "
                f"{self._server}"
            )

    def _know(self, line: Line, at: int, *, first: bool) -> None:
        """Take over what a line of an earlier run says."""
        if isinstance(line, Header) != first:
            raise IndexError("the first line, and only it, is the header")
        match line:
            case Header():
                self.header = line
            case RequestLine(row):
                self._know_request(row, at)
            case PartLine(number, rows, sent):
                # Whether the server has seen it is not known until its batch stands here.
                self._know_part(Part(number=number, ranges=rows, at=sent, tried=True))
            case BatchLine(number, batch):
                self.parts[number].batch = batch
            case ResultLine(row, number, result):
                self._know_result(row, number, at, bytes(result))
            case Collected(number):
                self.parts[number].collected = True
            case Interrupted(number):
                self.parts[number].interrupted = True

    def _know_request(self, row: int, at: int) -> None:
        if row != self.count:
            raise IndexError(f"the request of row {row} stands where that of {self.count} belongs")
        self._requests.append(at)
        self._results.append(-1)
        self._result_parts.append(-1)
        self._last_parts.append(-1)
        self.kinds.append(NO_KIND)
        self.tries.append(0)

    def _know_part(self, part: Part) -> None:
        if part.number != len(self.parts):
            raise IndexError(f"part {part.number} stands where {len(self.parts)} belongs")
        self.parts.append(part)
        for row in part.rows():
            self._last_parts[row] = part.number
            self.tries[row] = min(self.tries[row] + 1, 255)

    def _know_result(self, row: int, part: int, at: int, encoded: bytes) -> None:
        self._results[row] = at
        self._result_parts[row] = part
        kind = msgspec.json.decode(encoded, type=_Kind).type
        self.kinds[row] = KINDS.get(kind, OTHER)


def _descriptor(path: str | os.PathLike[str] | None) -> int:
    if path is None:
        from tempfile import TemporaryFile  # noqa: PLC0415 - only a map without a file needs it

        with TemporaryFile() as file:
            return os.dup(file.fileno())
    # Requests and answers stand in it: they are nobody else's.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


def _lock(descriptor: int, name: str) -> None:
    """Lock a file as long as it is open. Raises `MapFileInUseError`."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - not on this platform

            os.lseek(descriptor, 1 << 62, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl  # noqa: PLC0415 - not on every platform

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise MapFileInUseError(f"{name}: another map works with this file") from error
