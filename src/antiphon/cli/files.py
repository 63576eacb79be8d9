"""`antiphon files`: files that requests name, on the database that the servers work on."""

import argparse
import shlex
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from msgspec.structs import replace

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.command import (
    CommandError,
    ExamplesFormatter,
    actions_of,
    add_command,
    add_confirmation,
    confirm,
    repeated_flags,
)
from antiphon.cli.listing_flags import add_limit, looked_in, workspace_of
from antiphon.cli.local_file import LocalFile, opened_file, pieces
from antiphon.cli.new_file import new_file
from antiphon.cli.output import day, decimal_size, hint, print_change, say
from antiphon.cli.tables import TableForm, print_listing
from antiphon.cli.times import DurationOrTime, from_now, moment_ahead
from antiphon.core.errors import InvalidRequestError, NotFoundError
from antiphon.core.files import LONGEST_LIFE_S, described, life_of
from antiphon.core.pagination import IdCursor
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.service.files.files import Content, FileOwner
from antiphon.settings import Settings
from antiphon.store.files import StoredFile
from antiphon.wire.errors import shortened
from antiphon.wire.files import DeletedFile, FileMetadata

T = TypeVar("T")

STDOUT: Final = "-"
LONGEST: Final = timedelta(seconds=LONGEST_LIFE_S)
MOST_LISTED: Final = 1000
LISTED: Final = TableForm(
    empty="There are no files.",
    texts=("name",),
    least_useful=("created", "type", "expires"),
    folding={"created": len("2026-11-28")},
)
_EXAMPLES = """examples:
  antiphon files upload report.pdf
  antiphon files upload notes.txt --expires 7d
  antiphon files list
  antiphon files delete file_011CNha8iCJcU1wXNR6q4V8w

A request names a file by its id, in a document or an image:
  {"type": "document", "source": {"type": "file", "file_id": "file_…"}}"""


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    family.formatter_class = ExamplesFormatter
    family.epilog = _EXAMPLES
    actions = actions_of(family)
    upload = add_command(actions, "upload", _upload, "keep a file, for requests to name")
    upload.add_argument("file", metavar="FILE", help="the file")
    upload.add_argument("--name", metavar="NAME", help="its name there; default: that of the file")
    upload.add_argument(
        "--type",
        metavar="TYPE",
        help="its media type; default: known by its first bytes, or by the ending of its name",
    )
    upload.add_argument(
        "--expires",
        type=from_now(LONGEST),
        metavar="WHEN",
        help="when it is removed: 24h, 7d, or a time; from an hour to 90 days; default: never",
    )
    listing = add_command(actions, "list", _list, "list the files, the newest first")
    add_limit(listing, MOST_LISTED)
    listing.add_argument("--after", metavar="ID", help="only files behind this one in the list")
    download = add_command(
        actions, "download", _download, "write a file that may be downloaded", json=False
    )
    download.add_argument(
        "--output",
        metavar="FILE",
        help="a new file for it, - prints it; default: its name, in the current folder",
    )
    delete = add_command(actions, "delete", _delete, "delete a file")
    add_confirmation(delete)
    for command in (download, delete):
        command.add_argument("file", metavar="ID", help="the id of the file")
    for command in (upload, listing, download, delete):
        command.add_argument(
            "--workspace",
            metavar="NAME",
            help="the workspace of the file, by name or id; default: the Default workspace",
        )


def _upload(arguments: argparse.Namespace, settings: Settings) -> int:
    given = arguments.file
    with opened_file(given) as file:

        async def upload(session: AdminSession) -> StoredFile:
            owner = await _owner(session, arguments)
            form = LocalFile(
                arguments.name or Path(given).name,
                arguments.type,
                _life(arguments.expires, session.now),
            )
            return await session.files.upload(owner, COMMAND_LINE, form, pieces(file))

        kept = open_session(settings, upload)
    size = decimal_size(kept.size_bytes)
    done = f"File {kept.id} is kept: {kept.filename}, {kept.mime_type}, {size}."
    return print_change(arguments, described(kept), done)


def _life(given: DurationOrTime | None, now: datetime) -> timedelta | None:
    if given is None:
        return None
    if isinstance(given, datetime):
        given = moment_ahead("--expires", given, now, LONGEST) - now
    return life_of(str(int(given.total_seconds())))


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(session: AdminSession) -> tuple[tuple[StoredFile, ...], bool]:
        owner = await _owner(session, arguments)
        cursor = IdCursor(limit=arguments.limit, after_id=arguments.after)
        found = await session.files.page_by_ids(owner.workspace_id, cursor)
        return found.records, found.has_more

    files, has_more = open_session(settings, read)
    where = "" if arguments.workspace is None else f" in workspace {arguments.workspace!r}"
    keeps_one = f"{_command(arguments, 'upload', 'FILE')} keeps one."
    form = replace(LISTED, empty=f"There are no files{where}: {keeps_one}")
    status = print_listing(arguments, [described(file) for file in files], row_of, form)
    if has_more and not arguments.json:
        hint(f"There are more: --after {files[-1].id} lists them.")
    return status


def row_of(file: FileMetadata) -> dict[str, Any]:
    """Return the row of a file in the listing, as `LISTED` prints it."""
    return {
        "id": file.id,
        "name": file.filename,
        "type": file.mime_type,
        "size": decimal_size(file.size_bytes),
        "created": day(file.created_at),
        "expires": day(file.expires_at),
    }


def _download(arguments: argparse.Namespace, settings: Settings) -> int:
    written = ""

    async def write(session: AdminSession) -> None:
        nonlocal written
        owner = await _owner(session, arguments)
        content = await _found(arguments, lambda: _content(session, owner, arguments.file))
        if arguments.output == STDOUT:
            await _copy(content, sys.stdout.buffer)
            return
        written = arguments.output or content.file.filename
        with new_file(Path(written)) as file:
            await _copy(content, file)

    open_session(settings, write)
    if written:
        say(f"Wrote {written}.")
    return 0


async def _content(session: AdminSession, owner: FileOwner, wanted: str) -> Content:
    try:
        return await session.files.download(owner.workspace_id, wanted)
    except InvalidRequestError as error:
        raise CommandError(
            f"file {wanted} cannot be downloaded: only those can that are uploaded while "
            "`file_downloads = true` is set"
        ) from error


async def _copy(content: Content, file: IO[bytes]) -> None:
    async for chunk in content.chunks():
        file.write(chunk)
    file.flush()


def _delete(arguments: argparse.Namespace, settings: Settings) -> int:
    async def delete(session: AdminSession) -> StoredFile:
        owner = await _owner(session, arguments)
        file = await _found(
            arguments, lambda: session.files.show(owner.workspace_id, arguments.file)
        )
        confirm(arguments, f"Requests that name it fail from then on. Delete {file.filename}?")
        await session.files.delete(owner, COMMAND_LINE, file.id)
        return file

    file = open_session(settings, delete)
    done = f"File {file.id} ({file.filename}) is deleted."
    return print_change(arguments, DeletedFile(id=file.id), done)


async def _owner(session: AdminSession, arguments: argparse.Namespace) -> FileOwner:
    """Return the owner of files in the workspace that is named. Raises `CommandError`."""
    adds = arguments.command is _upload
    return FileOwner(await workspace_of(session, arguments.workspace, adds=adds))


async def _found(arguments: argparse.Namespace, use: Callable[[], Awaitable[T]]) -> T:
    """Return what `use` returns; say which workspace has no such file."""
    try:
        return await use()
    except NotFoundError as error:
        if error.error_code is not None:  # it has expired
            raise
        raise CommandError(
            f"there is no file {shortened(arguments.file)!r} in "
            f"{looked_in(arguments.workspace)}; {_command(arguments, 'list')} shows them"
        ) from error


def _command(arguments: argparse.Namespace, *words: str) -> str:
    """Return a command of this family for a message, which finds the same files."""
    return f"`antiphon files {shlex.join(words)}{repeated_flags(arguments)}`"
