"""A file that a command writes for the user: it never replaces another one."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from antiphon.cli.command import CommandError


@contextmanager
def new_file(path: Path) -> Generator[IO[bytes]]:
    """Write a file that is there whole at the end of the block, or not at all.

    Raises `CommandError` if there is one of this name, and `OSError`.
    """
    taken = CommandError(f"{path} exists; name another file")
    if path.exists() or path.is_symlink():
        raise taken
    folder = path.parent
    if not folder.is_dir():
        raise CommandError(f"there is no folder {folder}")
    with NamedTemporaryFile(dir=folder, prefix=f".{path.name}.", delete=False) as file:
        unfinished = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            try:
                # Unlike a rename, it never replaces a file.
                path.hardlink_to(unfinished)
            except FileExistsError as error:
                raise taken from error
            except OSError:
                # This file system has no such links.
                if path.exists():
                    raise taken from None
                unfinished.rename(path)
        finally:
            with suppress(FileNotFoundError):
                unfinished.unlink()
