"""Turns an image of another format into a PNG, with Pillow.

Pillow is native code that reads a stranger's file, so only the child of `file_child` may use it.
"""

import struct
from base64 import b64encode
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Final

from antiphon.core.images import WEBP, ImageHead, read_head
from antiphon.service.content.file_protocol import LONGEST_SIDE, MOST_PIXELS, UnreadableFileError

if TYPE_CHECKING:
    from PIL import Image

MOST_OF_OTHERS: Final = 8000 * 8000
"""Pixels of an image that is no WebP: as many as the API takes. Some are too many for a child."""
FORMATS: Final = ("WEBP", "GIF", "JPEG", "PNG")
_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
# The least: what zlib gains beyond it takes longer than to pass on the bytes.
_COMPRESSION: Final = 1


def png_of(content: bytes, pixels: int = 0) -> str:
    """Return the first frame of an image as a PNG in base64, upright and not too large.

    It has at most so many `pixels`, or, if they are 0, `LONGEST_SIDE` of them a side.
    Raises `UnreadableFileError`.
    """
    from PIL import Image  # noqa: PLC0415 - native code; no other process may load it

    try:
        # Pillow takes memory for all pixels of a WebP before it tells their number.
        head = read_head(content)
        if head.width * head.height > (MOST_PIXELS if head.media_type == WEBP else MOST_OF_OTHERS):
            raise UnreadableFileError("pixels")
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            image.thumbnail(_room(head, pixels))
            frame = _upright(_in_bytes(image))
            written = BytesIO()
            # Without profiles and comments.
            frame.save(written, "PNG", compress_level=_COMPRESSION, icc_profile=None, exif=b"")
    except MemoryError as error:
        raise UnreadableFileError("pixels") from error
    except (
        *(EOFError, OSError, SyntaxError, ValueError),
        Image.DecompressionBombError,
    ) as error:
        raise UnreadableFileError("image") from error
    return b64encode(written.getbuffer()).decode("ascii")


def _room(head: ImageHead, pixels: int) -> tuple[int, int]:
    """Return the sides within which an image is scaled down; its form stays."""
    if not pixels:
        return LONGEST_SIDE, LONGEST_SIDE
    scale = min(1.0, (pixels / (head.width * head.height)) ** 0.5)
    return max(1, int(head.width * scale)), max(1, int(head.height * scale))


def _in_bytes(image: "Image.Image") -> "Image.Image":
    """Return an image with a byte for each colour of a pixel."""
    if image.mode in _MODES:
        return image
    if image.mode.startswith("I"):  # grey of 16 bits
        return image.point(lambda value: value * (1 / 256)).convert("L")
    return image.convert("RGB")


def _upright(image: "Image.Image") -> "Image.Image":
    """Return an image as its camera was held; one that says nonsense of it stays as it is."""
    from PIL import ImageOps  # noqa: PLC0415 - as above

    with suppress(struct.error, LookupError, TypeError):
        return ImageOps.exif_transpose(image)
    return image
