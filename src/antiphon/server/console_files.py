"""The built files of the Console, read once and kept in memory.

`console/build.py` makes them, with a `.br` and a `.gz` beside each that these make smaller. What
lies in `assets` has the digest of its content in its name, so a browser may keep it for ever; all
other names stay the same over upgrades.
"""

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

FOLDER: Final = Path(__file__).parents[1] / "console_app"
# The paths of the app's files.
PREFIX: Final = "/console/"
INDEX: Final = "index.html"
ASSETS: Final = "assets/"
# Says why there is no app, to whoever runs the server.
NOTE: Final = "missing.txt"
STAMP: Final = "build.json"
# What a browser can read, best first, and the ending of its file.
CODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class ConsoleFile(msgspec.Struct, frozen=True):
    """One file: `packed` has its content in the codings that make it smaller.

    `tag` is its entity tag. It is weak, as all codings share it.
    """

    content_type: str
    tag: str
    plain: bytes
    packed: Mapping[str, bytes]

    def in_coding(self, accepted: str) -> tuple[str | None, bytes]:
        """Return the coding for an `Accept-Encoding`, `None` for none, and the content in it."""
        names = _acceptable(accepted)
        for coding, _ in CODINGS:
            if coding in names and coding in self.packed:
                return coding, self.packed[coding]
        return None, self.plain


def read_files(folder: Path = FOLDER) -> dict[str, ConsoleFile]:
    """Return the files of a built app by their paths; none if it is not built."""
    if not (folder / INDEX).is_file():
        return {}
    found = (path for path in sorted(folder.rglob("*")) if path.suffix in TYPES)
    return {path.relative_to(folder).as_posix(): _read(path) for path in found}


def is_missing(folder: Path = FOLDER) -> bool:
    """Return whether the app could not be built, so that it is of no use to wait for it."""
    return (folder / NOTE).is_file()


def _read(path: Path) -> ConsoleFile:
    plain = path.read_bytes()
    beside = ((coding, path.with_name(path.name + ending)) for coding, ending in CODINGS)
    packed = {coding: one.read_bytes() for coding, one in beside if one.is_file()}
    digest = blake2b(plain, digest_size=12).hexdigest()
    return ConsoleFile(TYPES[path.suffix], f'W/"{digest}"', plain, packed)


def _acceptable(header: str) -> set[str]:
    """Return the codings that a header names and does not refuse by a weight of 0."""
    names = set()
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        if weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            names.add(name.strip())
    return names
