"""Reads the metadata at the beginning of a GGUF file: the facts about a model, without its tokens.

The format is that of ggml's docs/gguf.md. A file may be of a stranger, so the reader takes at most
`MOST_BYTES` and `MOST_KEYS`, ends at the first long list (the tokens, which follow the facts), and
returns what it has read of a damaged file.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final, TypeAlias

MOST_BYTES: Final = 1 << 20
MOST_KEYS: Final = 2_000
MOST_ITEMS: Final = 2_000
MOST_SKIPPED: Final = 4_000_000
"""The most texts of lists that are passed over: eight times those of the largest vocabularies."""

TEMPLATE: Final = "tokenizer.chat_template"

Scalar: TypeAlias = int | float | str
Value: TypeAlias = Scalar | list[Scalar]

SCALARS: Final = {
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


def has_template(path: Path) -> bool:
    """Return whether a file has a chat template, which stands behind its tokens.

    One that cannot be read to its end is taken to have one. Raises `OSError`.
    """
    damaged = suppress(_EndError, struct.error, ValueError)  # of an empty file there is no map
    with (
        path.open("rb") as file,
        damaged,
        closing(mmap(file.fileno(), 0, access=ACCESS_READ)) as data,
    ):
        names = _Reader(data).all_keys()
        return any(name == TEMPLATE or name.startswith(f"{TEMPLATE}.") for name in names)
    return True


class _Reader:
    def __init__(self, data: bytes | mmap) -> None:
        self._data = data
        self._at = 0
        self._skipped = 0

    def take(self, size: int) -> bytes:
        if size > MOST_BYTES:
            raise _EndError
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

    def all_keys(self) -> Iterator[str]:
        """Yield all keys. Raises `_EndError` if one cannot be read, `struct.error` likewise."""
        if self.take(4) != b"GGUF" or self.number("<I") not in _VERSIONS:
            raise _EndError
        self.number("<Q")  # the number of tensors
        keys = self.number("<Q")
        if keys > MOST_KEYS:
            raise _EndError
        for _ in range(keys):
            yield self.text()
            self.skip(self.number("<I"))

    def skip(self, kind: int) -> None:
        """Pass over a value."""
        count = 1
        if kind == _ARRAY:
            kind, count = self.number("<I"), self.number("<Q")
        if kind in SCALARS:
            self._move(count * struct.calcsize(SCALARS[kind]))
            return
        self._skipped += count
        if kind != _STRING or self._skipped > MOST_SKIPPED:
            raise _EndError
        for _ in range(count):
            self._move(self.number("<Q"))

    def _move(self, size: int) -> None:
        if self._at + size > len(self._data):
            raise _EndError
        self._at += size

    def _item(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self.text()
        if kind not in SCALARS:
            raise _EndError
        return self._scalar(SCALARS[kind])

    def _scalar(self, form: str) -> int | float:
        number: int | float
        (number,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return number
