"""What every source of models shares: what it hands over, and how it fails."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MAGIC = b"GGUF"
PARTIAL = ".partial"


class PullError(Exception):
    """A model could not be fetched. The message is for the operator and says what to do."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole file that is not yet a model: `partial` will be called `name`.

    `sha256` is what the source says the file must be, where it says so; `source` is what else
    the manifest should remember (an ETag, a revision).
    """

    partial: Path
    name: str
    sha256: str | None = None
    source: Mapping[str, str] = field(default_factory=dict)


def check_magic(path: Path) -> None:
    """Refuse what is not a GGUF file, such as the web page of a login."""
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start != MAGIC:
        raise PullError(f"{path.name} is not a GGUF file: it begins with {start!r}")


def sha256_of(path: Path) -> str:
    """Read the whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sidecar_path(partial: Path) -> Path:
    """Say where it is written what a partial file is a part of."""
    return partial.with_name(f"{partial.name}.json")


def discard(partial: Path) -> None:
    """Throw away a partial file and what is known about it."""
    partial.unlink(missing_ok=True)
    sidecar_path(partial).unlink(missing_ok=True)
