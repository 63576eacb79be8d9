"""Minimal images: valid ones that decoders read, and headers that declare any size."""

import struct
import zlib
from base64 import b64decode, b64encode
from typing import Any

from antiphon.wire.content import Base64ImageSource, ImageParam

# One pixel each, as encoders write them.
JPEG = b64decode(
    "/9j/4AAQSkZJRgABAQEAYABgAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsL"
    "EBYQERMUFRUVDA8XGBYUGBIUFRT/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAA"
    "AAAAAAAAAAD/2gAIAQEAAD8AKp//2Q=="
)
GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
WEBP = b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")


def png(width: int = 4, height: int = 3, colour: tuple[int, int, int] = (200, 0, 55)) -> bytes:
    """Make an image of one colour."""
    lines = (b"\0" + bytes(colour) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_head(width: int, height: int) -> bytes:
    return png(1, 1)[:16] + struct.pack(">II", width, height)


def gif_head(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


def jpeg_head(width: int, height: int, *, frame: int = 0xC0, before: bytes = b"") -> bytes:
    app = b"\xff\xe0\x00\x04ab"
    return b"\xff\xd8" + app + before + struct.pack(">BBHBHH", 255, frame, 17, 8, height, width)


def lossy_webp_head(width: int, height: int) -> bytes:
    frame = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0" + frame


def lossless_webp_head(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    return b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", bits)


def extended_webp_head(width: int, height: int) -> bytes:
    size = b"".join(struct.pack("<I", side - 1)[:3] for side in (width, height))
    return b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + size


def image_block(data: bytes | None = None, kind: str = "image/png", **more: Any) -> dict[str, Any]:
    """Make an image block of a request."""
    encoded = b64encode(png() if data is None else data).decode()
    source = {"type": "base64", "media_type": kind, "data": encoded}
    return {"type": "image", "source": source, **more}


def image_param(data: bytes | None = None, kind: Any = "image/png") -> ImageParam:
    """Make an image block of a prompt."""
    encoded = b64encode(png() if data is None else data).decode()
    return ImageParam(source=Base64ImageSource(media_type=kind, data=encoded))
