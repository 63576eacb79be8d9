"""Finds where values end in JSON that arrives in pieces, before it is decoded."""

from itertools import accumulate, compress, repeat
from operator import not_
from typing import Final

_BRACKETS: Final = b"{}[]"
_OTHERS: Final = bytes(set(range(256)) - set(_BRACKETS))
_WITHOUT_BRACKETS: Final = bytes.maketrans(_BRACKETS, b"    ")
_ALIKE: Final = bytes.maketrans(b"}[]", b"{{{")
# As signed bytes these are 1 for each opening bracket and -1 for each closing one.
_CHANGES: Final = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")


class ValueEnds:
    """Finds where the objects and arrays of one array end. `feed` gets the bytes behind its `[`.

    Brackets are only counted, so text that is no JSON gets an answer too: whoever decodes the value
    finds the fault. Behind the end of the array the answers mean nothing.

    No byte is looked at twice, and there is no step in Python for a byte, a string or a bracket:
    the work is done by methods of `bytes` and by iterators in C. A piece of n bytes takes memory
    for n/2 strings or n brackets, about 100 bytes each.
    """

    __slots__ = ("_depth", "_escaped", "_inside")

    def __init__(self) -> None:
        self._depth = 0
        # Whether the last piece ended inside of a string, and there behind a backslash.
        self._inside = False
        self._escaped = False

    def feed(self, piece: bytes) -> list[int]:
        """Return the offsets in a piece that stand just behind an object or array of the array."""
        if not piece:
            return []
        outside = self._outside(piece)
        changes = memoryview(outside.translate(_CHANGES, _OTHERS)).cast("b")
        depths = [*accumulate(changes, initial=self._depth)]
        self._depth = depths[-1]
        del depths[0]
        if 0 not in depths:
            return []
        # Bracket k has these bytes before it, and k brackets.
        before = [*accumulate(map(len, outside.translate(_ALIKE).split(b"{")))]
        ends = compress(range(len(depths)), map(not_, depths))
        return [before[bracket] + bracket + 1 for bracket in ends]

    def _outside(self, piece: bytes) -> bytes:
        """Return a piece with spaces for the brackets in strings."""
        if self._escaped:
            piece = b" " + piece[1:]
        piece = piece.replace(rb"\\", b"  ").replace(rb"\"", b"  ")
        self._escaped = piece.endswith(b"\\")
        texts = piece.split(b'"')
        inside = slice(0 if self._inside else 1, None, 2)
        texts[inside] = map(bytes.translate, texts[inside], repeat(_WITHOUT_BRACKETS))
        self._inside ^= len(texts) % 2 == 0
        return b'"'.join(texts)
