"""What the reader of PDFs and its child processes say to one another over pipes.

The reader sends a `HEAD` (the size of the data, and the seconds that reading may take) and a PDF
in base64. The child answers with a `LENGTH` and a `PdfReply` in MessagePack. A new child sends an
empty reply first: it is ready.
"""

from struct import Struct
from typing import Final, Literal, TypeAlias

import msgspec

HEAD: Final = Struct("!QI")
LENGTH: Final = Struct("!Q")

MOST_PAGES: Final = 100
MOST_CHARACTERS: Final = 8 * 1024 * 1024
"""More text than any model reads. Without a bound, a small file could expand to gigabytes."""

Refusal: TypeAlias = Literal["base64", "invalid", "locked", "pages", "text"]
"""Why a PDF is not read: it is no base64, or no PDF; it needs a password or a certificate; it has
more than `MOST_PAGES` pages, or more than `MOST_CHARACTERS` characters."""


class PdfReply(msgspec.Struct, frozen=True, array_like=True):
    """The text of each page, `None` for a page that cannot be read; or why there are none."""

    pages: tuple[str | None, ...] = ()
    refusal: Refusal | None = None
