"""Refuses a download that the disk cannot hold, before it begins."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from antiphon.weights.source import PullError

LEAST_FREE = 256 << 20
"""The bytes that stay free on the disk: the database may be there too, and has to be written."""

# Returns the bytes that are free on the disk of a folder.
FreeBytes: TypeAlias = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free on the disk of a folder, for this user."""
    return shutil.disk_usage(folder).free


def check_space(folder: Path, needed: int, free: FreeBytes = free_bytes) -> None:
    """Raise `PullError` if the disk of the folder has less than `needed` bytes free."""
    from rich.filesize import decimal  # noqa: PLC0415 - most starts pull nothing

    there = free(folder)
    if there < needed:
        raise PullError(
            f"the disk of {folder} has {decimal(there)} free, {decimal(needed)} are needed. "
            f"{MORE_SPACE}"
        )


MORE_SPACE = "Free some space, or choose another folder with --data-dir"
