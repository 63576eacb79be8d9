"""Opens files to read in folders where something else may stand in their place."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NoRegularFileError(OSError):
    """A link, a pipe, a socket, a folder or a device stands in place of a file."""


@contextmanager
def opened_regular(path: Path) -> Iterator[int]:
    """Open a regular file to read, and nothing else: to open a pipe would wait for its writer.

    Raises `NoRegularFileError`, and other errors of the system.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        # Neither can be opened.
        if path.is_symlink() or path.is_socket():
            raise NoRegularFileError("it is no regular file") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NoRegularFileError("it is no regular file")
        yield descriptor
    finally:
        os.close(descriptor)
