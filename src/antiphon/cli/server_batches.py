"""`antiphon batches` of a server, through its API. Needs nothing of a server's packages."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from antiphon.cli.batch_listing import (
    LISTED,
    command_for,
    done_of,
    row_of,
    said_of_cancel,
    said_of_end,
    said_of_interrupt,
)
from antiphon.cli.command import Command, CommandError, confirm
from antiphon.cli.new_file import new_file
from antiphon.cli.output import hint, print_change, say
from antiphon.cli.tables import say_table
from antiphon.cli.talking.connection import open_client, told_by_api
from antiphon.sdk.batches.operations import batch_results, create_encoded
from antiphon.sdk.batches.types import MessageBatch
from antiphon.sdk.call import CallOptions
from antiphon.sdk.errors import NotFoundError
from antiphon.sdk.lines import Lines
from antiphon.settings import Settings
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.sdk.client import Client

STDIN: Final = "-"
MOST_BYTES: Final = 256 * 1024 * 1024
"""The most bytes of a batch, as of the API."""
LINE_EVERY_S: Final = 10.0
"""How often a line of progress is printed where no terminal shows it."""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a file of requests. The server checks the parameters."""

    custom_id: str
    params: msgspec.Raw


@contextmanager
def _asking(arguments: argparse.Namespace, settings: Settings) -> Iterator["Client"]:
    """Ask a server, and raise its errors as a command's."""
    if arguments.workspace is not None:
        raise CommandError("--workspace: a server shows the batches of the workspace of the key")
    with open_client(arguments, settings) as client, told_by_api(client):
        try:
            yield client
        except NotFoundError as error:
            if "batch" not in arguments:
                raise
            raise CommandError(
                f"there is no batch {shortened(arguments.batch)!r} in the workspace of the key; "
                f"{command_for(arguments, 'list')} shows them"
            ) from error


def _create(arguments: argparse.Namespace, settings: Settings) -> int:
    body = _body_of(arguments.file)
    headers: dict[str, str | None] = {"anthropic-version": arguments.api_version}
    if arguments.beta:
        headers["anthropic-beta"] = ",".join(arguments.beta)
    # With a key of its own the batch is made once, however often the call has to be sent.
    key = arguments.idempotency_key or f"cli-{token_hex(16)}"
    with _asking(arguments, settings) as client:
        options = CallOptions(extra_headers=headers)
        batch = client.run(create_encoded(body, key, options))
    number = batch.request_counts.total
    done = (
        f"Batch {batch.id} has {number:,} request{'' if number == 1 else 's'}. "
        f"{command_for(arguments, 'watch', batch.id)} shows its progress."
    )
    return print_change(arguments, batch.to_dict(), done)


def _body_of(name: str) -> bytes:
    """Read a file of requests, a line for each. Raises `CommandError` for one that is none."""
    if name == STDIN:
        return _joined(sys.stdin.buffer, "the standard input")
    try:
        with Path(name).open("rb") as file:
            return _joined(file, name)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or error}") from error


def _joined(file: IO[bytes], name: str) -> bytes:
    """Return the body of the requests of a file, which is read no further than a batch may be."""
    decoder = msgspec.json.Decoder(Line)
    lines: list[bytes] = []
    size, number = 0, 0
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not (line := line.strip()):
            continue
        size += len(line) + 1
        if size > MOST_BYTES:
            raise CommandError(f"{name} is larger than a batch may be: {MOST_BYTES >> 20} MB")
        try:
            decoder.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CommandError(
                f'{name}, line {number}: {error}. A line is {{"custom_id": "…", "params": {{…}}}}'
            ) from error
        lines.append(line)
    if not lines:
        raise CommandError(f"{name} has no requests")
    return b'{"requests":[' + b",".join(lines) + b"]}"


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    with _asking(arguments, settings) as client:
        page = client.messages.batches.list(limit=arguments.limit, after_id=arguments.after)
        batches = page.data
    if arguments.json:
        return print_change(arguments, [batch.to_dict() for batch in batches], "")
    makes_one = f"{command_for(arguments, 'create', 'FILE')} makes one."
    form = replace(LISTED, empty=f"There are no batches: {makes_one}")
    say_table([row_of(batch) for batch in batches], form)
    if page.has_more:
        hint(f"There are more: --after {batches[-1].id} lists them.")
    return 0


def _watch(arguments: argparse.Namespace, settings: Settings) -> int:
    progress = _Progress(sys.stderr if arguments.json else sys.stdout, time.monotonic)
    with _asking(arguments, settings) as client:
        # `wait` would hope for a while that a batch which is not there comes.
        client.messages.batches.retrieve(arguments.batch)
        try:
            batch = client.messages.batches.wait(
                arguments.batch, progress=progress.show, timeout=None
            )
        except KeyboardInterrupt:
            progress.end()
            hint(said_of_interrupt(arguments))
            raise
        finally:
            progress.end()
    return print_change(arguments, batch.to_dict(), said_of_end(arguments, batch))


class _Progress:
    """Shows a batch: one line that is written anew on a terminal, else a line now and then."""

    def __init__(self, stream: IO[str], now: Callable[[], float]) -> None:
        self._stream = stream
        self._now = now
        self._terminal = stream.isatty()
        self._next = 0.0
        self._open = False

    def show(self, batch: MessageBatch) -> None:
        text = f"{done_of(batch.request_counts)} done"
        if batch.waits_for and not batch.has_ended:
            text += f"; it waits for {batch.waits_for}"
        if self._terminal:
            self._stream.write(f"\r\x1b[K{text}")
            self._open = True
        elif self._now() >= self._next or batch.has_ended:
            self._stream.write(f"{text}\n")
            self._next = self._now() + LINE_EVERY_S
        self._stream.flush()

    def end(self) -> None:
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False


def _results(arguments: argparse.Namespace, settings: Settings) -> int:
    with _asking(arguments, settings) as client:
        batch = client.messages.batches.retrieve(arguments.batch)
        if not batch.has_ended:
            raise CommandError(
                f"batch {batch.id} has not ended ({done_of(batch.request_counts)}), and its "
                f"results come then; {command_for(arguments, 'watch', batch.id)} shows its progress"
            )
        lines = Lines(client, batch_results(batch.id))
        if arguments.output in {None, STDIN}:
            _copy(lines, sys.stdout.buffer)
            return 0
        with new_file(Path(arguments.output)) as file:
            _copy(lines, file)
    say(f"Wrote {arguments.output}.")
    return 0


def _copy(lines: Lines, file: IO[bytes]) -> None:
    try:
        for line in lines:
            file.write(line + b"\n")
        file.flush()
    finally:
        lines.close()


def _cancel(arguments: argparse.Namespace, settings: Settings) -> int:
    with _asking(arguments, settings) as client:
        client.messages.batches.retrieve(arguments.batch)
        confirm(arguments, f"Requests that are not done are never run. Cancel {arguments.batch}?")
        batch = client.messages.batches.cancel(arguments.batch)
    return print_change(arguments, batch.to_dict(), said_of_cancel(arguments, batch.id))


def _delete(arguments: argparse.Namespace, settings: Settings) -> int:
    with _asking(arguments, settings) as client:
        client.messages.batches.retrieve(arguments.batch)
        confirm(arguments, f"Its results cannot be read again. Delete {arguments.batch}?")
        deleted = client.messages.batches.delete(arguments.batch)
    return print_change(arguments, deleted.to_dict(), f"Batch {deleted.id} is deleted.")


ACTIONS: Final[Mapping[str, Command]] = {
    "create": _create,
    "list": _list,
    "watch": _watch,
    "results": _results,
    "cancel": _cancel,
    "delete": _delete,
}
