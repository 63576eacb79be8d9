"""`antiphon batches` on the database that the servers work on, whether one runs or not."""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Final, TypeVar

from msgspec.structs import replace

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.batch_file import STDIN, open_batch_file
from antiphon.cli.batch_listing import (
    LISTED,
    command_for,
    done_of,
    row_of,
    said_of_cancel,
    said_of_end,
    said_of_interrupt,
)
from antiphon.cli.batch_watch import open_display, watch
from antiphon.cli.command import Command, CommandError, confirm
from antiphon.cli.listing_flags import looked_in, workspace_of
from antiphon.cli.new_file import new_file
from antiphon.cli.output import hint, print_change, say, say_json
from antiphon.cli.successor import all_served
from antiphon.cli.tables import print_listing
from antiphon.core.batches import described
from antiphon.core.errors import InvalidRequestError, NotFoundError
from antiphon.core.pagination import IdCursor
from antiphon.service.batches.batches import BatchHeaders, BatchOwner, repeat_key
from antiphon.service.models import catalogue_of
from antiphon.settings import Settings
from antiphon.store.batches.rows import Batch
from antiphon.wire.base import BETAS
from antiphon.wire.batches import DeletedBatch, MessageBatch
from antiphon.wire.errors import shortened

T = TypeVar("T")


def _create(arguments: argparse.Namespace, settings: Settings) -> int:
    catalogue = catalogue_of(all_served(settings))
    betas = BETAS.intersection(arguments.beta)
    with open_batch_file(arguments.file, settings) as file:
        checked = file.check(
            arguments.api_version, betas, lambda name: catalogue.resolve(name) is not None
        )

        async def create(session: AdminSession) -> Batch:
            owner = await _owner(session, arguments)
            asked = BatchHeaders(arguments.api_version, betas, arguments.idempotency_key)
            try:
                return await session.batches.create(owner, asked, file.pieces())
            except InvalidRequestError as error:
                if (made := await _made_before(session, owner, asked)) is None:
                    raise
                raise CommandError(
                    "--idempotency-key: it has been used for another file, or with another "
                    f"--api-version or --beta, of {made.id}; use another key"
                ) from error

        batch = open_session(settings, create)
    if arguments.json:
        say_json(_shown(batch))
    else:
        number = f"{batch.requests:,} request{'' if batch.requests == 1 else 's'}"
        say(
            f"Batch {batch.id} has {number}. {command_for(arguments, 'watch', batch.id)} shows its "
            "progress."
        )
    if checked.unknown_models:
        names = ", ".join(shortened(name) for name in checked.unknown_models)
        hint(
            f"No model of these settings answers to {names}: where workers have the same "
            "settings, such requests end with an error."
        )
    return 0


async def _made_before(
    session: AdminSession, owner: BatchOwner, asked: BatchHeaders
) -> Batch | None:
    """Return the batch that was made with the same idempotency key, if there is one."""
    if asked.idempotency_key is None:
        return None
    return await session.batch_made_with(repeat_key(owner, asked.idempotency_key))


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    async def read(session: AdminSession) -> tuple[tuple[Batch, ...], bool]:
        owner = await _owner(session, arguments)
        cursor = IdCursor(limit=arguments.limit, after_id=arguments.after)
        found = await session.batches.listing(owner, cursor)
        return found.records, found.has_more

    batches, has_more = open_session(settings, read)
    where = "" if arguments.workspace is None else f" in workspace {arguments.workspace!r}"
    makes_one = f"{command_for(arguments, 'create', 'FILE')} makes one."
    form = replace(LISTED, empty=f"There are no batches{where}: {makes_one}")
    status = print_listing(arguments, [_shown(batch) for batch in batches], row_of, form)
    if not arguments.json:
        for batch in batches:
            if (hindrance := batch.hindrance) is not None:
                hint(f"{batch.id}: {hindrance}")
        if has_more:
            hint(f"There are more: --after {batches[-1].id} lists them.")
    return status


def _watch(arguments: argparse.Namespace, settings: Settings) -> int:
    display = open_display(time.monotonic, stderr=arguments.json)

    async def use(session: AdminSession) -> Batch:
        owner = await _owner(session, arguments)
        look = partial(session.batches.progress, owner, arguments.batch)
        progress = await _found(
            arguments, lambda: watch(look, display, asyncio.sleep, time.monotonic)
        )
        return progress.batch

    try:
        batch = open_session(settings, use)
    except KeyboardInterrupt:
        display.close()
        hint(said_of_interrupt(arguments))
        raise
    finally:
        display.close()
    shown = _shown(batch)
    return print_change(arguments, shown, said_of_end(arguments, shown))


def _results(arguments: argparse.Namespace, settings: Settings) -> int:
    async def write(session: AdminSession) -> None:
        owner = await _owner(session, arguments)
        batch = await _found(arguments, lambda: session.batches.show(owner, arguments.batch))
        if batch.ended_at is None:
            done = done_of(_shown(batch).request_counts)
            raise CommandError(
                f"batch {batch.id} has not ended ({done}), and its results come then; "
                f"{command_for(arguments, 'watch', batch.id)} shows its progress"
            )
        lines = await session.batches.results(owner, batch.id)
        if arguments.output in {None, STDIN}:
            await _copy(lines, sys.stdout.buffer)
            return
        with new_file(Path(arguments.output)) as file:
            await _copy(lines, file)

    open_session(settings, write)
    if arguments.output not in {None, STDIN}:
        say(f"Wrote {arguments.output}.")
    return 0


async def _copy(lines: AsyncIterator[bytes], file: IO[bytes]) -> None:
    async for part in lines:
        file.write(part)
    file.flush()


def _cancel(arguments: argparse.Namespace, settings: Settings) -> int:
    async def cancel(session: AdminSession) -> Batch:
        owner = await _owner(session, arguments)
        await _found(arguments, lambda: session.batches.show(owner, arguments.batch))
        confirm(arguments, f"Requests that are not done are never run. Cancel {arguments.batch}?")
        return await session.batches.cancel(owner, arguments.batch)

    batch = open_session(settings, cancel)
    return print_change(arguments, _shown(batch), said_of_cancel(arguments, batch.id))


def _delete(arguments: argparse.Namespace, settings: Settings) -> int:
    async def delete(session: AdminSession) -> DeletedBatch:
        owner = await _owner(session, arguments)
        batch = await _found(arguments, lambda: session.batches.show(owner, arguments.batch))
        batch.check_delete()
        confirm(arguments, f"Its results cannot be read again. Delete {batch.id}?")
        await session.batches.delete(owner, batch.id)
        return DeletedBatch(id=batch.id)

    deleted = open_session(settings, delete)
    return print_change(arguments, deleted, f"Batch {deleted.id} is deleted.")


async def _owner(session: AdminSession, arguments: argparse.Namespace) -> BatchOwner:
    """Return the owner of batches in the workspace that is named. Raises `CommandError`."""
    adds = arguments.action == "create"
    return BatchOwner(await workspace_of(session, arguments.workspace, adds=adds))


async def _found(arguments: argparse.Namespace, use: Callable[[], Awaitable[T]]) -> T:
    """Return what `use` returns; say which workspace has no such batch."""
    try:
        return await use()
    except NotFoundError as error:
        raise CommandError(
            f"there is no batch {shortened(arguments.batch)!r} in "
            f"{looked_in(arguments.workspace)}; {command_for(arguments, 'list')} shows them"
        ) from error


def _shown(batch: Batch) -> MessageBatch:
    """Return a batch as the API sends it. A command knows no server, so there is no URL."""
    return replace(described(batch, ""), results_url=None)


ACTIONS: Final[Mapping[str, Command]] = {
    "create": _create,
    "list": _list,
    "watch": _watch,
    "results": _results,
    "cancel": _cancel,
    "delete": _delete,
}
