"""The format and the size of images, read from their first bytes.

Only the head is read. A fault in the rest shows when a model's own decoder reads the image.
"""

import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from antiphon.wire.content import Base64ImageSource, ImageParam

PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
GIF: Final = "image/gif"
WEBP: Final = "image/webp"
MEDIA_TYPES: Final = frozenset({PNG, JPEG, GIF, WEBP})

PATCH: Final = 28
LONGEST_SIDE: Final = 1568
MOST_TOKENS: Final = 1568

UNREADABLE: Final = "Could not process image"
"""The API's sentence for an image that cannot be read."""

MOST_SEGMENTS: Final = 4096
"""Colour profiles and thumbnails fill dozens. The limit bounds the time that one image takes."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GIFS: Final = (b"GIF87a", b"GIF89a")
_JPEG_START: Final = b"\xff\xd8"
# FF fills, and FF 00 is a byte of pixels; any other byte behind FF is a marker.
_MARKER: Final = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
# Frames of all codings; C4, C8 and CC among them are tables and an extension.
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_PIXELS_OR_END: Final = frozenset({0xD9, 0xDA})
_EXIF: Final = 0xE1
_EXIF_START: Final = b"Exif\0\0"
_SEGMENT_HEAD: Final = 4
_ORIENTATION_TAG: Final = 0x0112
_TURNED: Final = range(2, 9)
_KEYFRAME: Final = b"\x9d\x01\x2a"


class UnreadableImageError(ValueError):
    """Bytes that are no image, or one whose head is broken."""


class ImageHead(msgspec.Struct, frozen=True):
    """The head of an image; `width` and `height` in pixels, never 0."""

    media_type: str
    width: int
    height: int

    @property
    def longest_side(self) -> int:
        return max(self.width, self.height)


def read_head(image: bytes) -> ImageHead:
    """Read the format and the size of an image. Raises only `UnreadableImageError`."""
    media_type = media_type_of(image)
    if media_type is None:
        raise UnreadableImageError("the bytes are not a PNG, JPEG, GIF or WebP image")
    try:
        width, height = _SIZES[media_type](image)
    except IndexError as error:
        raise UnreadableImageError("the image is cut off in its head") from error
    if not width or not height:
        raise UnreadableImageError("the image has no pixels")
    return ImageHead(media_type, width, height)


def media_type_of(image: bytes) -> str | None:
    """Return the media type by the first bytes, `None` for another format."""
    if image.startswith(_SIGNATURE):
        return PNG
    if image.startswith(_JPEG_START):
        return JPEG
    if image.startswith(_GIFS):
        return GIF
    return WEBP if image[:4] == b"RIFF" and image[8:12] == b"WEBP" else None


def read_base64(text: str) -> bytes:
    """Decode base64 as the wire has it, without spaces or line ends. Raises `ValueError`."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("the data is not base64") from error


def usual_tokens(image: ImageParam) -> int:
    """Count an image as the Claude API does: one token for each patch, once it is scaled down.

    An image that has not been fetched counts as the largest. Raises as `read_head` does.
    """
    if not isinstance(image.source, Base64ImageSource):
        return MOST_TOKENS
    head = read_head(read_base64(image.source.data))
    scale = min(1.0, LONGEST_SIDE / head.longest_side)
    across, down = (-(-int(side * scale) // PATCH) for side in (head.width, head.height))
    return max(1, min(across * down, MOST_TOKENS))


def _number(image: bytes, start: int, size: int, *, little: bool = False) -> int:
    if start + size > len(image):
        raise IndexError
    return int.from_bytes(image[start : start + size], "little" if little else "big")


def _png_size(image: bytes) -> tuple[int, int]:
    if image[12:16] != b"IHDR":
        raise UnreadableImageError("the PNG does not begin with its header")
    return _number(image, 16, 4), _number(image, 20, 4)


def _gif_size(image: bytes) -> tuple[int, int]:
    return _number(image, 6, 2, little=True), _number(image, 8, 2, little=True)


def _jpeg_size(image: bytes) -> tuple[int, int]:
    for marker, offset in _jpeg_segments(image):
        if marker in _FRAMES:
            return _number(image, offset + 7, 2), _number(image, offset + 5, 2)
    raise UnreadableImageError("the JPEG has no frame before its pixels")


def _jpeg_segments(image: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker and the place of each segment before the pixels.

    Some programs leave bytes between segments; like all decoders, this passes over them.
    """
    offset = len(_JPEG_START)
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(image, offset)
        if found is None:
            raise IndexError
        offset = found.start()
        marker = image[offset + 1]
        if marker in _PIXELS_OR_END:
            return
        yield marker, offset
        if marker in _WITHOUT_LENGTH:
            offset += 2
        else:
            offset += 2 + max(2, _number(image, offset + 2, 2))
    raise UnreadableImageError("the JPEG has too many segments before its frame")


def is_turned(image: bytes) -> bool:
    """Return whether a JPEG says that it is to be turned or mirrored before it is shown.

    Cameras write what their sensor saw, and how it was held (EXIF). What cannot be read is not
    turned.
    """
    if media_type_of(image) != JPEG:
        return False
    try:
        for marker, offset in _jpeg_segments(image):
            start = offset + _SEGMENT_HEAD
            if marker == _EXIF and image[start : start + len(_EXIF_START)] == _EXIF_START:
                return _orientation(image, start + len(_EXIF_START)) in _TURNED
            if marker in _FRAMES:
                break
    except (IndexError, UnreadableImageError):
        pass
    return False


def _orientation(image: bytes, start: int) -> int:
    """Return the orientation in an EXIF block, 1 if it has none; the block is a small TIFF."""
    little = image[start : start + 2] == b"II"
    entries = start + _number(image, start + 4, 4, little=little)
    for index in range(_number(image, entries, 2, little=little)):
        entry = entries + 2 + 12 * index
        if _number(image, entry, 2, little=little) == _ORIENTATION_TAG:
            return _number(image, entry + 8, 2, little=little)
    return 1


def _webp_size(image: bytes) -> tuple[int, int]:
    match image[12:16]:
        case b"VP8 " if image[23:26] == _KEYFRAME:
            # The two highest bits hold the scaling.
            width, height = (_number(image, offset, 2, little=True) for offset in (26, 28))
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L" if image[20:21] == b"\x2f":
            bits = _number(image, 21, 4, little=True)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width, height = (_number(image, offset, 3, little=True) for offset in (24, 27))
            return width + 1, height + 1
    raise UnreadableImageError("the WebP begins with no image")


_SIZES: Mapping[str, Callable[[bytes], tuple[int, int]]] = MappingProxyType(
    {PNG: _png_size, JPEG: _jpeg_size, GIF: _gif_size, WEBP: _webp_size}
)
