"""Files in a turn: text and PDF files as documents, pictures as images."""

import base64
from pathlib import Path
from typing import Any, Final

from antiphon.cli.command import CommandError

LARGEST: Final = 24 * 1024 * 1024
"""The most bytes of a file. A request may have 32 MB, and base64 takes a third more."""

# How the formats begin that the API takes.
_IMAGES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_PDF: Final = b"%PDF-"


def file_block(path: Path) -> dict[str, Any]:
    """Return the block of a text, PDF or picture file, by what it holds. Raises `CommandError`."""
    data = _read(path)
    if _image_type(data) is not None:
        return _image(data)
    if data.startswith(_PDF):
        source = {"type": "base64", "media_type": "application/pdf", "data": _base64(data)}
        return {"type": "document", "title": path.name, "source": source}
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(f"{path}: it is no text in UTF-8, no PDF and no picture") from error
    if not text.strip():
        raise CommandError(f"{path} has no text")
    source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "title": path.name, "source": source}


def path_of(typed: str) -> Path:
    """Return the path that a person typed; `~` is a home. Raises `CommandError`."""
    try:
        path = Path(typed).expanduser()
    except RuntimeError as error:
        raise CommandError(f"{typed}: there is no such home") from error
    if "\0" in typed:
        raise CommandError("a path has no zero byte")
    return path


def image_block(path: Path) -> dict[str, Any]:
    """Return the block of a picture: PNG, JPEG, GIF or WebP. Raises `CommandError`."""
    data = _read(path)
    if _image_type(data) is None:
        raise CommandError(f"{path}: it is no PNG, JPEG, GIF or WebP picture")
    return _image(data)


def _image(data: bytes) -> dict[str, Any]:
    media_type = _image_type(data)
    source = {"type": "base64", "media_type": media_type, "data": _base64(data)}
    return {"type": "image", "source": source}


def _image_type(data: bytes) -> str | None:
    for start, media_type in _IMAGES.items():
        if data.startswith(start):
            return media_type
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read(path: Path) -> bytes:
    """Read a file. One that grows, or a pipe without an end, is read no further than allowed."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from error
    if len(data) > LARGEST:
        raise CommandError(f"{path} is larger than {LARGEST >> 20} MiB")
    return data
