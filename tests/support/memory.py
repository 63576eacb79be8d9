"""Keeps the temporary files of the tests in memory: each commit to SQLite waits for a disk."""

import os
import tempfile
from pathlib import Path
from shutil import disk_usage

# A file system in memory, where Linux has one.
MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it has names of its own
# Several times what the tests have there at once. A container may have 64 MB.
ROOM = 2 * 2**30


def keep_files_in_memory() -> None:
    """Let this process, and those that it starts, make their temporary files in memory.

    A folder that `TMPDIR` names stays, and without room in memory the files are on the disk.
    """
    if "TMPDIR" not in os.environ and has_room():
        os.environ["TMPDIR"] = str(MEMORY)
        # What was found before is forgotten.
        tempfile.tempdir = None


def has_room() -> bool:
    return MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and disk_usage(MEMORY).free >= ROOM
