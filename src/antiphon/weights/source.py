"""The common parts of all sources of models: the fetched file, and the error."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

MAGIC = b"GGUF"
PARTIAL = ".partial"
LONGEST_REASON = 500
# The end of an error of the network.
OFFLINE = "Offline, `antiphon serve --model FILE.gguf` takes a file of this machine"


class PullError(Exception):
    """A model could not be fetched. The message is for the operator and says what to do."""


class FetchedFile(msgspec.Struct, frozen=True):
    """A complete file that is not yet a model: `partial` will be renamed to `name`.

    `sha256` is the checksum that the source states, if it states one; `source` holds other facts
    for the manifest (an ETag, a revision).
    """

    partial: Path
    name: str
    sha256: str | None = None
    source: Mapping[str, str] = {}


def system_reason(error: object) -> str:
    """Return the reason of an error of the network, without the numbers of the system."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return printable(re.sub(r"^\[Errno -?\d+\] ", "", line))


def printable(text: str) -> str:
    """Return what a stranger wrote, cut, and without what moves a terminal's cursor."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:LONGEST_REASON])


def check_magic(path: Path) -> None:
    """Raise `PullError` for a file that is not GGUF, for example the web page of a login."""
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start != MAGIC:
        raise PullError(f"{path.name} is not a GGUF file: it begins with {start!r}")


def check_file(fetched: FetchedFile) -> str:
    """Return the SHA-256 of a fetched file. Raises `PullError` if it is none, or not as stated."""
    check_magic(fetched.partial)
    actual = sha256_of(fetched.partial)
    if fetched.sha256 not in {None, actual}:
        raise PullError(f"{fetched.name} has SHA-256 {actual}, expected {fetched.sha256}")
    return actual


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sidecar_path(partial: Path) -> Path:
    """Return the path of the file that describes a partial file."""
    return partial.with_name(f"{partial.name}.json")


def discard(partial: Path) -> None:
    """Delete a partial file and its sidecar."""
    partial.unlink(missing_ok=True)
    sidecar_path(partial).unlink(missing_ok=True)
