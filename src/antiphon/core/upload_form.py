"""The form of an upload: the content of one file, and how long it is kept."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from antiphon.core.errors import InvalidRequestError
from antiphon.core.files import LOOKED_AT, life_of, name_of, type_of
from antiphon.wire.errors import shortened
from antiphon.wire.multipart import (
    MultipartError,
    MultipartReader,
    PartContent,
    PartHead,
    boundary_of,
)

FILE: Final = "file"
LIFE: Final = "expires_in_seconds"
LONGEST_NUMBER: Final = 32


class UploadForm:
    """Reads the form as it arrives. What it says of the file is known at the end.

    Raises `InvalidRequestError`, also when it is made: for a `content-type` that is none of a form.
    """

    def __init__(self, content_type: str | None) -> None:
        try:
            self._reader = MultipartReader(boundary_of(content_type))
        except MultipartError as error:
            raise InvalidRequestError(str(error)) from error
        self._heads: dict[str, PartHead] = {}
        self._field = ""
        self._life = bytearray()
        self._begins = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take the next piece of the body, and yield what it holds of the file's content."""
        try:
            events = self._reader.feed(piece)
        except MultipartError as error:
            raise InvalidRequestError(str(error)) from error
        for event in events:
            match event:
                case PartHead():
                    self._begin(event)
                case PartContent(data) if self._field == FILE:
                    if len(self._begins) < LOOKED_AT:
                        self._begins += data[:LOOKED_AT]
                    yield data
                case PartContent(data):
                    self._add_to_life(data)
                case _:
                    self._field = ""

    def end(self) -> None:
        """Raise `InvalidRequestError` if the form is not complete, or says what no file may have.

        From here on the other values are known.
        """
        try:
            self._reader.end()
        except MultipartError as error:
            raise InvalidRequestError(str(error)) from error
        if FILE not in self._heads:
            raise InvalidRequestError(f"{FILE}: Field required")
        _ = self.filename, self.life

    @property
    def mime_type(self) -> str:
        head = self._heads[FILE]
        return type_of(head.content_type, head.filename, self._begins)

    @property
    def filename(self) -> str:
        return name_of(self._heads[FILE].filename, self.mime_type)

    @property
    def life(self) -> timedelta | None:
        """How long the file is kept; `None` for ever."""
        if LIFE not in self._heads:
            return None
        return life_of(self._life.decode("latin-1").strip())

    def _begin(self, head: PartHead) -> None:
        if head.name not in {FILE, LIFE}:
            raise InvalidRequestError(f"{shortened(head.name)}: Extra inputs are not permitted")
        if head.name in self._heads:
            raise InvalidRequestError(f"{head.name}: Input should be given once")
        self._heads[head.name] = head
        self._field = head.name
        if head.name == FILE:
            # Known now, so a file that is refused for it need not arrive.
            name_of(head.filename, self.mime_type)

    def _add_to_life(self, data: bytes) -> None:
        self._life += data
        if len(self._life) > LONGEST_NUMBER:
            raise InvalidRequestError(f"{LIFE}: Input should be a valid integer")
