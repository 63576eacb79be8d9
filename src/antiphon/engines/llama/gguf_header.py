"""Reads the whole header of a GGUF file: the facts about a model, its tokens and its templates.

The format is that of ggml's docs/gguf.md. A file may be of a stranger, whose lengths may lie: the
reader takes at most `MOST_BYTES`, `MOST_KEYS` and `MOST_TOKENS`, and reserves nothing for what a
length says. It takes a stream, so that a header can be read before its file is downloaded.
"""

import struct
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from antiphon.engines.llama.gguf import SCALARS, Scalar, Value

MOST_BYTES: Final = 256 << 20
"""Vocabularies of 260,000 tokens take some 20 MB, and some files repeat them as JSON."""
MOST_KEYS: Final = 2_000
MOST_ITEMS: Final = 2_000
"""Of a list that is kept. Longer ones are skipped, but for the tokens."""
MOST_TOKENS: Final = 2_000_000
MOST_TEXT: Final = 4 << 20
"""Of a text that is kept: a template, say. Longer ones are skipped."""
TOKENS: Final = "tokenizer.ggml.tokens"
TYPES: Final = "tokenizer.ggml.token_type"
"""Of its tokens."""

_INT32, _STRING, _ARRAY = 5, 8, 9
_CONTROL: Final = 3
"""The type of control tokens."""
_VERSIONS: Final = {2, 3}
_CHUNK: Final = 1 << 16


class HeaderError(Exception):
    """The header is damaged, or none. The message says how."""


class Stream(Protocol):
    """Bytes that are read once, from the beginning."""

    def read(self, size: int, /) -> bytes: ...


class Header(msgspec.Struct, frozen=True):
    """A header: its metadata, without long lists and texts, its tokens, and the bytes it takes.

    `controls` are the numbers of the tokens that are control tokens. `tensors` is how many the file
    says that it has.
    """

    facts: Mapping[str, Value]
    tokens: tuple[bytes, ...]
    controls: tuple[int, ...]
    tensors: int
    size: int

    def token(self, number: object) -> str:
        """Return the text of a token; empty if there is none of this number."""
        if not isinstance(number, int) or not 0 <= number < len(self.tokens):
            return ""
        return self.tokens[number].decode(errors="replace")


def read_header(stream: Stream) -> Header:
    """Read a header. Raises `HeaderError`, and what the stream raises."""
    reader = _Reader(stream)
    if reader.take(4) != b"GGUF":
        raise HeaderError("it is not a GGUF file")
    version = reader.number("<I")
    if version not in _VERSIONS:
        raise HeaderError(f"it has version {version} of the format; 2 and 3 are known")
    tensors, keys = reader.number("<Q"), reader.number("<Q")
    if keys > MOST_KEYS:
        raise HeaderError(f"it says that it has {keys:,} facts, more than {MOST_KEYS:,}")
    facts: dict[str, Value] = {}
    tokens: tuple[bytes, ...] = ()
    controls: tuple[int, ...] = ()
    for _ in range(keys):
        key = reader.text()
        if key is None:
            raise HeaderError("the name of a fact is too long")
        kind = reader.number("<I")
        if key == TOKENS and kind == _ARRAY:
            tokens = reader.tokens()
        elif key == TYPES and kind == _ARRAY:
            controls = reader.controls()
        elif (value := reader.value(kind)) is not None:
            facts[key] = value
    return Header(facts, tokens, controls, tensors, reader.size)


class _Reader:
    """Reads values one after the other; `None` stands for one that is skipped."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ahead = b""
        self._at = 0
        self.size = 0

    def take(self, size: int) -> bytes:
        """Return the next bytes, of which there are at most `MOST_BYTES` in all."""
        self._count(size)
        if len(self._ahead) - self._at < size:
            self._fill(size)
        piece = self._ahead[self._at : self._at + size]
        self._at += size
        return piece

    def number(self, form: str) -> int:
        return int(self._scalar(form))

    def text(self) -> str | None:
        size = self.number("<Q")
        if size > MOST_TEXT:
            self._skip(size)
            return None
        return self.take(size).decode(errors="replace")

    def tokens(self) -> tuple[bytes, ...]:
        kind, count = self.number("<I"), self.number("<Q")
        if kind != _STRING or count > MOST_TOKENS:
            raise HeaderError(f"its tokens are not a list of at most {MOST_TOKENS:,} texts")
        return tuple(self.take(self.number("<Q")) for _ in range(count))

    def controls(self) -> tuple[int, ...]:
        kind, count = self.number("<I"), self.number("<Q")
        if kind != _INT32 or count > MOST_TOKENS:
            raise HeaderError(f"the types of its tokens are not at most {MOST_TOKENS:,} numbers")
        types = struct.unpack(f"<{count}i", self.take(4 * count))
        return tuple(number for number, one in enumerate(types) if one == _CONTROL)

    def value(self, kind: int) -> Value | None:
        if kind != _ARRAY:
            return self._item(kind)
        kind, count = self.number("<I"), self.number("<Q")
        if count > MOST_ITEMS:
            self._skip_items(kind, count)
            return None
        items = [self._item(kind) for _ in range(count)]
        return [item for item in items if item is not None]

    def _item(self, kind: int) -> Scalar | None:
        if kind == _STRING:
            return self.text()
        return self._scalar(_form(kind))

    def _scalar(self, form: str) -> int | float:
        number: int | float
        (number,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return number

    def _skip_items(self, kind: int, count: int) -> None:
        if kind != _STRING:
            self._skip(count * struct.calcsize(_form(kind)))
            return
        # Each takes the eight bytes of its length at least.
        self._check(8 * count)
        for _ in range(count):
            self._skip(self.number("<Q"))

    def _skip(self, size: int) -> None:
        self._check(size)
        while size:
            size -= len(self.take(min(size, _CHUNK)))

    def _count(self, size: int) -> None:
        self._check(size)
        self.size += size

    def _check(self, size: int) -> None:
        if self.size + size > MOST_BYTES:
            raise HeaderError(
                f"a length in it is wrong: its header would take more than {MOST_BYTES >> 20} MiB"
            )

    def _fill(self, size: int) -> None:
        """Read on until `size` bytes are there."""
        pieces = [self._ahead[self._at :]]
        missing = size - len(pieces[0])
        while missing > 0:
            piece = self._stream.read(_CHUNK)
            if not piece:
                raise HeaderError("it ends within its header")
            pieces.append(piece)
            missing -= len(piece)
        self._ahead, self._at = b"".join(pieces), 0


def _form(kind: int) -> str:
    if kind not in SCALARS:
        raise HeaderError(f"a value in it is of the type {kind}, which is not known")
    return SCALARS[kind]
