"""What the reader of files and its child processes say to one another over pipes.

The reader sends a `HEAD` (the size of the data, the seconds that the task may take, the task, and
the most pixels of a PNG, 0 for `LONGEST_SIDE`) and a file in base64. The child answers with a
`LENGTH` and a `FileReply` in MessagePack. A new child sends an empty reply first: it is ready.
"""

from enum import IntEnum
from struct import Struct
from typing import Final, Literal, TypeAlias

import msgspec

HEAD: Final = Struct("!QIBQ")
LENGTH: Final = Struct("!Q")

MOST_PAGES: Final = 100
MOST_CHARACTERS: Final = 8 * 1024 * 1024
"""More text than any model reads. Without a bound, a small file could expand to gigabytes."""
MOST_PIXELS: Final = 4096 * 4096
"""A child needs 280 MB for an image of so many."""
LONGEST_SIDE: Final = 2576
"""A converted image is scaled down to it; no model of the API reads more."""
MOST_AS_IT_IS: Final = LONGEST_SIDE**2
"""The most pixels of an image that a model's server gets: it keeps three bytes for each of them."""


class Task(IntEnum):
    """What a child does with a file: read a PDF or a web page, or turn an image into a PNG."""

    PDF_TEXT = 0
    PNG = 1
    PAGE = 2


Refusal: TypeAlias = Literal["base64", "invalid", "locked", "pages", "text", "image", "pixels"]
"""Why a file is not read. It is no base64; it is no PDF; it needs a password or a certificate; it
has more than `MOST_PAGES` pages, or more than `MOST_CHARACTERS` characters. It is no image that can
be read, or has more than `MOST_PIXELS`."""


class FileReply(msgspec.Struct, frozen=True, array_like=True):
    """The result of a task, or why there is none.

    `pages` is the text of each page, `None` for a page that cannot be read; of a web page, its
    title and its text. `png` is in base64.
    """

    pages: tuple[str | None, ...] = ()
    png: str = ""
    refusal: Refusal | None = None


class UnreadableFileError(Exception):
    """A file that is not read."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal: Refusal = refusal
