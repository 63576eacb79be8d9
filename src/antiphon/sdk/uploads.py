"""A file that is uploaded: a form that is read, piece by piece, while it is sent."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final, TypeAlias

from antiphon.transport.base import Discreet

BINARY: Final = "application/octet-stream"
PIECE: Final = 1024 * 1024
"""How much of a file is in memory at once, in bytes."""

Source: TypeAlias = "_InMemory | _OnDisk | _Opened"


class FileForm(Discreet, frozen=True):
    """The body of an upload, as a transport takes it: fields and one file, in a form.

    Each iteration reads the file from where it began, so the form can be sent again.
    """

    source: Source
    before: bytes
    behind: bytes
    content_type: str

    def __len__(self) -> int:
        return len(self.before) + self.source.size + len(self.behind)

    def __iter__(self) -> Iterator[bytes]:
        yield self.before
        yield from self.source.pieces()
        yield self.behind


def file_form(file: Any, fields: Mapping[str, str]) -> FileForm:
    """Return the form of a file: a path, an open file, bytes, or a name, one of these and a type.

    What cannot be read twice, as a pipe, is read into memory now; the rest while it is sent.
    Raises `OSError` for what cannot be read, and `TypeError` for what is none of these.
    """
    name: str | None = None
    mime: str | None = None
    if isinstance(file, tuple):
        name, file, *rest = file
        mime = rest[0] if rest else None
    own, source = _source_of(file)
    name = name or own
    mime = mime or _mime_of(name)
    if not (mime.isascii() and mime.isprintable()):
        raise ValueError(f"{mime!r} is no type of a file")
    boundary = f"antiphon-{os.urandom(16).hex()}"
    head = f"--{boundary}\r\ncontent-disposition: form-data; name="
    parts = [f'{head}"{field}"\r\n\r\n{value}\r\n' for field, value in fields.items()]
    # These three would end the name; browsers write them so as well.
    shown = (name or "file").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    parts.append(f'{head}"file"; filename="{shown}"\r\ncontent-type: {mime}\r\n\r\n')
    return FileForm(
        source,
        # A name of a file system may have bytes that are no text.
        "".join(parts).encode("utf-8", "replace"),
        f"\r\n--{boundary}--\r\n".encode(),
        f"multipart/form-data; boundary={boundary}",
    )


class _InMemory(Discreet, frozen=True):
    content: bytes | memoryview

    @property
    def size(self) -> int:
        return len(self.content)

    def pieces(self) -> Iterator[bytes]:
        view = memoryview(self.content)
        for start in range(0, len(view), PIECE):
            yield bytes(view[start : start + PIECE])


class _OnDisk(Discreet, frozen=True):
    """A file that is opened anew each time it is sent."""

    path: str | bytes
    size: int

    def pieces(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:  # noqa: PTH123 - a path of any kind
            yield from _pieces_of(file, self.size)


class _Opened(Discreet, frozen=True):
    """A file that the program has opened, from where it stood when the call was made."""

    file: IO[bytes]
    start: int
    size: int

    def pieces(self) -> Iterator[bytes]:
        self.file.seek(self.start)
        yield from _pieces_of(self.file, self.size)


def _pieces_of(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Read so many bytes. What is appended meanwhile is left out; less is an `OSError`."""
    left = size
    while left:
        piece = file.read(min(left, PIECE))
        if not piece:
            raise OSError(f"the file became {left} bytes shorter while it was sent")
        left -= len(piece)
        yield piece


def _source_of(file: Any) -> tuple[str | None, Source]:
    """Return the name of a file, if it has one, and what it is read from."""
    if isinstance(file, str | os.PathLike):
        path = os.fspath(file)
        found = os.stat(path)  # noqa: PTH116 - a path of any kind
        if stat.S_ISREG(found.st_mode):
            with open(path, "rb"):  # noqa: PTH123 - a path of any kind; a mistake is told at once
                pass
            return _name_of(path), _OnDisk(path, found.st_size)
        with open(path, "rb") as opened:  # noqa: PTH123 - a path of any kind
            return _name_of(path), _InMemory(opened.read())
    if isinstance(file, bytes | bytearray | memoryview):
        return None, _InMemory(file if isinstance(file, bytes) else bytes(file))
    if not hasattr(file, "read"):
        raise TypeError(f"a file is a path, an open file or bytes, not {type(file).__name__}")
    own = getattr(file, "name", None)
    name = _name_of(own) if isinstance(own, str | bytes) else None
    if not (hasattr(file, "seekable") and file.seekable()):
        return name, _InMemory(_of_bytes(file.read()))
    _of_bytes(file.read(0))
    start = file.tell()
    file.seek(0, os.SEEK_END)
    end = file.tell()
    file.seek(start)
    return name, _Opened(file, start, max(0, end - start))


def _of_bytes(content: Any) -> bytes:
    if not isinstance(content, bytes):
        raise TypeError("a file is opened for reading bytes: open(path, 'rb')")
    return content


def _name_of(path: str | bytes) -> str:
    return os.path.basename(os.fsdecode(path))  # noqa: PTH119 - a path of any kind


def _mime_of(name: str | None) -> str:
    if name is None:
        return BINARY
    from mimetypes import guess_type  # noqa: PLC0415 - 4 ms, and only an upload needs it

    return guess_type(name)[0] or BINARY
