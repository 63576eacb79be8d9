"""Bodies that are compressed, decompressed in pieces of a bounded size."""

import zlib
from collections import deque
from typing import Final

from antiphon.transport.base import ProtocolError

LARGEST_PIECE: Final = 256 * 1024
"""The most bytes that one step gives, whatever they were compressed to."""
_STEP: Final = 16 * 1024
"""The most compressed bytes that zlib is given in one step: it copies those that are left over."""
_GZIP: Final = 31
_RAW: Final = -15
_ZLIB: Final = 15

CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})


class Inflater:
    """Decompresses one body. What is fed is kept compressed until it is taken.

    Worst cases: a megabyte that becomes a gigabyte is given in 4,096 pieces, each of which costs a
    millisecond and is made when it is asked for; a body of empty gzip members costs a copy of up
    to 16 KiB for each 20 bytes.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._bits = _ZLIB if coding == "deflate" else _GZIP
        self._engine = zlib.decompressobj(self._bits)
        self._fed: deque[bytes] = deque()
        self._begin = b""
        self._rest = b""
        self._begun = False

    @property
    def drained(self) -> bool:
        """Whether nothing is left of what was fed."""
        return not (self._rest or self._fed)

    @property
    def whole(self) -> bool:
        """Whether the body could end here."""
        return self._engine.eof if self._begun else not self._begin

    def feed(self, data: bytes) -> None:
        if not self._begun:
            data = self._begin = self._begin + data
            if len(data) < 2:  # noqa: PLR2004 - the head of `deflate`
                return
            self._begun = True
            if self._coding == "deflate" and not _has_zlib_head(data):
                self._bits = _RAW
                self._engine = zlib.decompressobj(_RAW)
        self._fed.extend(data[at : at + _STEP] for at in range(0, len(data), _STEP))

    def take(self) -> bytes:
        """Return the next piece, or `b""` if more has to be fed for one."""
        while not self.drained:
            if piece := self._step():
                return piece
        # zlib holds back what did not fit into the last piece.
        return b"" if self._engine.eof else self._decompressed(b"")

    def _step(self) -> bytes:
        data = self._rest or self._fed.popleft()
        if self._engine.eof:  # another member
            if self._coding == "deflate":
                raise self._broken()
            self._engine = zlib.decompressobj(self._bits)
        piece = self._decompressed(data)
        self._rest = self._engine.unused_data if self._engine.eof else self._engine.unconsumed_tail
        return piece

    def _decompressed(self, data: bytes) -> bytes:
        try:
            return self._engine.decompress(data, LARGEST_PIECE)
        except zlib.error as error:
            raise self._broken() from error

    def _broken(self) -> ProtocolError:
        return ProtocolError(f"the answer is said to be {self._coding}, and it is not")


def _has_zlib_head(data: bytes) -> bool:
    """Return whether a body of `deflate` has the head that it should have; some servers omit it."""
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # noqa: PLR2004
