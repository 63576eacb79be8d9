"""A file of this machine on its way into the Files API, as the form of an upload would bring it."""

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Final

from antiphon.cli.command import CommandError
from antiphon.core.files import LOOKED_AT, name_of, type_of

PIECE: Final = 1 << 20


class LocalFile:
    """What is told of the file and its content, by the rules of an upload."""

    def __init__(self, name: str, mime_type: str | None, life: timedelta | None) -> None:
        """Raise `InvalidRequestError` for a name that no file may have."""
        self._name, self._mime_type = name, mime_type
        self._begins = b""
        self.life = life
        _ = self.filename

    @property
    def mime_type(self) -> str:
        return type_of(self._mime_type, self._name, self._begins)

    @property
    def filename(self) -> str:
        return name_of(self._name, self.mime_type)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take the next piece of the content, which is all that there is in it."""
        if len(self._begins) < LOOKED_AT:
            self._begins += piece[:LOOKED_AT]
        yield piece

    def end(self) -> None:
        """Do nothing: the name is known to be one."""


@contextmanager
def opened_file(given: str) -> Generator[IO[bytes]]:
    """Open a file to read. Raises `CommandError` for a folder and for what cannot be read."""
    path = Path(given)
    if path.is_dir():
        raise CommandError(f"{given} is a folder: name a file")
    try:
        file = path.open("rb")
    except OSError as error:
        raise CommandError(f"{given}: {error.strerror}") from error
    with file:
        yield file


async def pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield the content of a file."""
    while piece := file.read(PIECE):
        yield piece
