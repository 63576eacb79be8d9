"""Turns an image of another format into a PNG, with Pillow.

Pillow is native code that reads a stranger's file, so only the child of `file_child` may use it.
"""

from base64 import b64encode
from io import BytesIO
from typing import Final

from antiphon.core.images import read_head
from antiphon.service.content.file_protocol import LONGEST_SIDE, MOST_PIXELS, UnreadableFileError

FORMATS: Final = ("WEBP", "GIF", "JPEG", "PNG")
_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})
# The least: what zlib gains beyond it takes longer than to pass on the bytes.
_COMPRESSION: Final = 1


def png_of(content: bytes) -> str:
    """Return the first frame of an image as a PNG in base64. Raises `UnreadableFileError`."""
    from PIL import Image  # noqa: PLC0415 - native code; no other process may load it

    try:
        # Pillow takes memory for all pixels of a WebP before it tells their number.
        head = read_head(content)
        if head.width * head.height > MOST_PIXELS:
            raise UnreadableFileError("pixels")
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            frame = image if image.mode in _MODES else image.convert("RGB")
            frame.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            written = BytesIO()
            # Without profiles and comments.
            frame.save(written, "PNG", compress_level=_COMPRESSION, icc_profile=None, exif=b"")
    except (
        *(EOFError, OSError, SyntaxError, ValueError),
        *(Image.DecompressionBombError, MemoryError),
    ) as error:
        raise UnreadableFileError("image") from error
    return b64encode(written.getbuffer()).decode("ascii")
