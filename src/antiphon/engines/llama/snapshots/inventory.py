"""What is kept in all folders of snapshots: for a command, also while a server uses them.

Nothing is locked, and nothing is removed but what is asked for. A server that looks for a snapshot
which is gone reads the prompt instead.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from antiphon.engines.llama.snapshots.files import DamagedFileError, SnapshotFiles, opened
from antiphon.engines.llama.snapshots.folder import MODEL, is_of_an_identity
from antiphon.engines.llama.snapshots.keys import KEY_FILE, read_key
from antiphon.engines.llama.snapshots.prefixes import TOKEN_BYTES

MOST_NAME_BYTES: Final = 4096


class KeptPrefix(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of a model for a salt. Its life ends at `ends_at` without another use.

    Times are in seconds since 1970.
    """

    folder: Path
    name: str
    model: str | None
    salt: str
    tokens: int
    size: int
    used_at: float
    ends_at: float


def kept_prefixes(root: Path) -> list[KeptPrefix]:
    """Return all whole snapshots below a root, the last used first. Blocks. Raises `OSError`.

    It reads each record once; the files of the KV are not read.
    """
    key = read_key(root / KEY_FILE) if root.is_dir() else None
    if key is None:
        return []
    found = [
        KeptPrefix(
            folder=folder,
            name=one.name,
            model=_model_of(folder),
            salt=one.record.salt,
            tokens=len(one.record.tokens) // TOKEN_BYTES,
            size=one.record.size,
            used_at=one.used_at,
            ends_at=one.used_at + one.record.lifetime_s,
        )
        for folder in root.iterdir()
        if is_of_an_identity(folder)
        for one in SnapshotFiles(folder, key).find_whole()
        if one.record.identity == folder.name
    ]
    return sorted(found, key=lambda one: -one.used_at)


def remove_prefixes(prefixes: Iterable[KeptPrefix]) -> None:
    """Remove snapshots. Blocks. Raises `OSError`."""
    for one in prefixes:
        SnapshotFiles(one.folder, b"").remove(one.name)


def _model_of(folder: Path) -> str | None:
    try:
        with opened(folder.with_suffix(MODEL)) as descriptor:
            return os.read(descriptor, MOST_NAME_BYTES).decode(errors="replace")
    except (FileNotFoundError, DamagedFileError):
        return None
