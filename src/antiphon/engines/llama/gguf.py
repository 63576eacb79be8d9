"""Reads the metadata at the beginning of a GGUF file: the facts about a model, without its tokens.

The format is that of ggml's docs/gguf.md. A file may be of a stranger, so the reader takes at most
`MOST_BYTES` and `MOST_KEYS`, ends at the first long list (the tokens, which follow the facts), and
returns what it has read of a damaged file.
"""

import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

MOST_BYTES: Final = 1 << 20
MOST_KEYS: Final = 2_000
MOST_ITEMS: Final = 2_000

Scalar: TypeAlias = int | float | str
Value: TypeAlias = Scalar | list[Scalar]

_SCALARS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_VERSIONS = {2, 3}


class _EndError(Exception):
    """What follows is not read."""


def read_metadata(path: Path) -> Mapping[str, Value]:
    """Return the metadata of a file, up to its first long list. Raises `OSError`."""
    with path.open("rb") as file:
        reader = _Reader(file.read(MOST_BYTES))
    found: dict[str, Value] = {}
    with suppress(_EndError, struct.error):
        if reader.take(4) != b"GGUF" or reader.number("<I") not in _VERSIONS:
            return found
        reader.number("<Q")  # the number of tensors
        for _ in range(min(reader.number("<Q"), MOST_KEYS)):
            key = reader.text()
            found[key] = reader.value(reader.number("<I"))
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise _EndError
        self._at += size
        return piece

    def number(self, form: str) -> int:
        return int(self._scalar(form))

    def text(self) -> str:
        return self.take(self.number("<Q")).decode(errors="replace")

    def value(self, kind: int) -> Value:
        if kind != _ARRAY:
            return self._item(kind)
        kind, count = self.number("<I"), self.number("<Q")
        if count > MOST_ITEMS:
            raise _EndError
        return [self._item(kind) for _ in range(count)]

    def _item(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self.text()
        if kind not in _SCALARS:
            raise _EndError
        return self._scalar(_SCALARS[kind])

    def _scalar(self, form: str) -> int | float:
        number: int | float
        (number,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return number
