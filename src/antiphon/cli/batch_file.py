"""The file of a new batch: JSON Lines with a request in each, checked before anything is created.

Memory: one line, of at most `largest` bytes, and the digests of the custom ids. The file is read
twice, so an input that cannot be is copied to the disk first.
"""

import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

import msgspec

from antiphon.cli.command import CommandError
from antiphon.cli.output import decimal_size
from antiphon.core.batches import check_batch_params
from antiphon.core.errors import InvalidRequestError
from antiphon.service.batches.runs import decode_params
from antiphon.settings import Settings
from antiphon.wire.batch_body import BatchBody
from antiphon.wire.decoding import BodyError, not_json

STDIN: Final = "-"
_BEGIN: Final = b'{"requests":['
_BETWEEN: Final = b","
_END: Final = b"]}"
_PIECE: Final = 1 << 20
_MARK: Final = b"\xef\xbb\xbf"
# A message of the API begins with the path of a field.
_PATH: Final = re.compile(r"[a-z_]+(?:\.\w+)*: ")
# Callers choose names, so there may be many.
_MOST_NAMES: Final = 5

_LINE: Final = 'A line is {"custom_id": "…", "params": {…}}, and params are a body of /v1/messages'
# What other files have on a line, and what is to be done with it.
_OTHERS: Final = {
    "requests": "write each object of `requests` into a line of its own",
    "body": "what stands in `body` belongs into `params`, as a request of the Messages API",
    "messages": "a request of the Messages API stands in `params`, beside a `custom_id`",
}
# What a file begins with that is no lines of JSON, and what is to be done with it.
_UTF_16: Final = "The file is UTF-16: save it as UTF-8"
_NO_LINES: Final = {
    b"\x1f\x8b": "The file is compressed: unpack it first",
    b"\x28\xb5\x2f\xfd": "The file is compressed: unpack it first",
    b"PK\x03\x04": "The file is compressed: unpack it first",
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
}


class CheckedFile(msgspec.Struct, frozen=True):
    """The number of requests, and the names of models among them that nothing answers to."""

    requests: int
    unknown_models: tuple[str, ...]


class BatchFile:
    """A file that is open, at its beginning; `name` is for messages."""

    def __init__(self, file: IO[bytes], name: str, settings: Settings) -> None:
        self._file = file
        self._name = name
        self._largest = settings.max_body_bytes
        self._largest_batch = settings.max_batch_bytes

    def check(
        self, version: str, betas: frozenset[str], is_served: Callable[[str], bool]
    ) -> CheckedFile:
        """Check every line as the service does, and its params as the worker will.

        Raises `CommandError` for the first line that is wrong.
        """
        body = BatchBody(self._largest)
        body.feed(_BEGIN)
        count, size, unknown = 0, len(_BEGIN + _END), Counter[str]()
        for number, line in self._lines():
            if count:
                body.feed(_BETWEEN)
            size += len(line) + len(_BETWEEN)
            if size > self._largest_batch:
                raise CommandError(
                    f"{self._where(number)}: the batch is larger than "
                    f"{decimal_size(self._largest_batch)} (max_batch_bytes) from here on; make "
                    "several batches of it"
                )
            try:
                model = _model_of(body, line, version, betas)
            except (BodyError, InvalidRequestError) as error:
                raise CommandError(f"{self._where(number)}: {error}") from error
            count += 1
            if len(unknown) < _MOST_NAMES and not is_served(model):
                unknown[model] += 1
        if not count:
            raise CommandError(f"{self._name} has no requests. {_LINE}")
        return CheckedFile(count, tuple(unknown))

    async def pieces(self) -> AsyncIterator[bytes]:
        """Return the body of a batch with the requests of the file, line by line."""
        between = _BEGIN
        for _, line in self._lines():
            yield between + line
            between = _BETWEEN
        yield _END

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number of each line that is not empty, from 1 on, and its text."""
        self._file.seek(0)
        number = 0
        # The end of a line, and a mark that some editors write at the beginning of a file.
        longest = self._largest + len(_MARK) + len(b"\r\n")
        while line := self._file.readline(longest + 1):
            number += 1
            if len(line) > longest:
                raise CommandError(
                    f"{self._where(number)}: it is longer than {decimal_size(self._largest)} "
                    "(max_body_bytes), the most that a request may have"
                )
            if number == 1:
                line = line.removeprefix(_MARK)
            if text := line.strip(b" \t\r\n"):
                yield number, text

    def _where(self, number: int) -> str:
        return f"{self._name}, line {number}"


@contextmanager
def open_batch_file(path: str, settings: Settings) -> Generator[BatchFile]:
    """Open a file, or the standard input for `-`. Raises `OSError`."""
    if path == STDIN:
        with _copied(sys.stdin.buffer, settings.max_batch_bytes) as copy:
            yield BatchFile(copy, "standard input", settings)
        return
    with Path(path).open("rb") as file:
        if file.seekable():
            yield BatchFile(file, path, settings)
        else:
            with _copied(file, settings.max_batch_bytes) as copy:
                yield BatchFile(copy, path, settings)


@contextmanager
def _copied(source: IO[bytes], most: int) -> Generator[IO[bytes]]:
    """Copy what can be read only once to the disk, in a file without a name.

    Of more than `most` bytes enough is copied for a check to refuse it.
    """
    with TemporaryFile() as copy:
        left = 2 * most
        while left > 0 and (piece := source.read(min(left, _PIECE))):
            copy.write(piece)
            left -= len(piece)
        yield copy


def _model_of(body: BatchBody, line: bytes, version: str, betas: frozenset[str]) -> str:
    """Check the next request of a body; return the model that it names.

    Raises `BodyError` and `InvalidRequestError`, with the path of the field inside of the line.
    """
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        said = str(not_json(error)).partition(": ")[2]
        raise BodyError(f"it is not JSON: {said}. {_right_beginning(line)}") from error
    try:
        # One whole value, so it is one request or a fault.
        item = body.feed(line)[0]
    except BodyError as error:
        said = re.sub(r"^requests(\.\d+)?[.:] ?", "", str(error))
        if said.startswith("custom_id's must be unique"):
            raise BodyError(said) from error
        raise BodyError(f"{said}. {_right(line)}") from error
    try:
        params = decode_params(item.params, version, betas)
        check_batch_params(params)
    except InvalidRequestError as error:
        said = str(error)
        raise InvalidRequestError(
            f"params{'.' if _PATH.match(said) else ': '}{said} (custom_id {item.custom_id})"
        ) from error
    return params.model


def _right_beginning(line: bytes) -> str:
    """Return what a line that is no JSON should be, by its beginning."""
    for beginning, advice in _NO_LINES.items():
        if line.startswith(beginning):
            return advice
    return f"{_LINE}; write each request into one line" if line in {b"{", b"["} else _LINE


def _right(line: bytes) -> str:
    """Return what the line should be, by what it is."""
    if line.startswith(b"["):
        return f"{_LINE}; write each object of the array into a line of its own"
    if line.startswith(b"{"):
        keys = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).keys()
        for key, advice in _OTHERS.items():
            if key in keys:
                return f"{_LINE}: {advice}"
    return _LINE
