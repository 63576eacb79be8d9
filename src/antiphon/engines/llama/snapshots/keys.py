"""The key of a data folder, with which its snapshots are proven. It is made once."""

import fcntl
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from antiphon.engines.llama.snapshots.records import KEY_BYTES
from antiphon.regular_files import NoRegularFileError, opened_regular

KEY_FILE: Final = "key"
LOCK_FILE: Final = "key.lock"


def open_key(folder: Path, key: bytes | None = None) -> bytes:
    """Return the key of a folder; if it has none, `key` or a new one is made its key.

    A key that others could read or write, or of another size, is replaced: it proves nothing.
    Processes that make one at the same time get the same. Raises `OSError`.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(folder / LOCK_FILE, flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / KEY_FILE
        return read_key(path) or _make(path, key or secrets.token_bytes(KEY_BYTES))
    finally:
        os.close(lock)


def _make(path: Path, key: bytes) -> bytes:
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return key


def read_key(path: Path) -> bytes | None:
    """Return the key in a file; `None` if there is none, or none that can be trusted."""
    try:
        with opened_regular(path) as descriptor:
            found, key = os.fstat(descriptor), os.read(descriptor, KEY_BYTES + 1)
    except (FileNotFoundError, NoRegularFileError):
        return None
    own = found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077
    return key if own and len(key) == KEY_BYTES else None
