"""`antiphon batches`: Message Batches, on the database that the servers work on."""

import argparse
import asyncio
import shlex
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from msgspec.structs import replace

from antiphon.cli.admin_session import AdminSession, open_session
from antiphon.cli.batch_file import STDIN, open_batch_file
from antiphon.cli.batch_watch import open_display, watch
from antiphon.cli.command import (
    CommandError,
    ExamplesFormatter,
    actions_of,
    add_command,
    add_confirmation,
    confirm,
    repeated_flags,
)
from antiphon.cli.listing_flags import looked_in, number_up_to, workspace_of
from antiphon.cli.new_file import new_file
from antiphon.cli.output import day, hint, print_change, say, say_json
from antiphon.cli.successor import all_served
from antiphon.cli.tables import TableForm, print_listing
from antiphon.core.batches import described
from antiphon.core.errors import InvalidRequestError, NotFoundError
from antiphon.core.pagination import IdCursor
from antiphon.core.validation.bodies import BETA_NAME, VERSIONS
from antiphon.core.validation.versions import OLDEST
from antiphon.service.batches.batches import BatchHeaders, BatchOwner, repeat_key
from antiphon.service.models import catalogue_of
from antiphon.settings import Settings
from antiphon.store.batches.rows import Batch
from antiphon.wire.base import BETAS
from antiphon.wire.batches import DeletedBatch, MessageBatch, RequestCounts
from antiphon.wire.errors import shortened

T = TypeVar("T")

MOST_LISTED: Final = 1000
LISTED: Final = TableForm(
    empty="There are no batches.",
    texts=("done",),
    least_useful=("created",),
    folding={"created": len("2026-11-28")},
)
_EXAMPLES = """examples:
  antiphon batches create questions.jsonl
  antiphon batches watch msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d
  antiphon batches results msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d --output answers.jsonl

A file has a request in each line, with an id of your own and the parameters of
the Messages API:
  {"custom_id": "q-1", "params": {"model": "…", "max_tokens": 9, "messages": …}}

A running server or `antiphon worker` answers them. They cost half the price."""


def add_to(family: argparse.ArgumentParser) -> None:
    """Add the actions."""
    family.formatter_class = ExamplesFormatter
    family.epilog = _EXAMPLES
    actions = actions_of(family)
    create = add_command(actions, "create", _create, "make a batch of the requests in a file")
    create.add_argument("file", metavar="FILE", help="JSON Lines; - reads the standard input")
    create.add_argument(
        "--api-version",
        choices=VERSIONS,
        default=OLDEST,
        help=f"the version of the API that the requests are for; default: {OLDEST}",
    )
    create.add_argument(
        "--beta",
        type=_beta,
        action="append",
        default=[],
        metavar="NAME",
        help="a beta of the API that the requests use; may stand several times",
    )
    create.add_argument(
        "--idempotency-key",
        metavar="KEY",
        help="a word of yours: for 24 hours the same file with it is the same batch",
    )
    listing = add_command(actions, "list", _list, "list the batches, the newest first")
    listing.add_argument(
        "--limit",
        type=number_up_to(MOST_LISTED),
        default=20,
        metavar="N",
        help=f"at most so many, up to {MOST_LISTED}; default: 20",
    )
    listing.add_argument("--after", metavar="ID", help="only batches behind this one in the list")
    watching = add_command(actions, "watch", _watch, "show the progress of a batch until its end")
    results = add_command(
        actions, "results", _results, "print the results of a batch that has ended", json=False
    )
    results.add_argument(
        "--output", metavar="FILE", help="a new file for them; without it they are printed"
    )
    cancel = add_command(actions, "cancel", _cancel, "cancel a batch; what is done stays")
    delete = add_command(actions, "delete", _delete, "delete a batch that has ended")
    for command in (watching, results, cancel, delete):
        command.add_argument("batch", metavar="ID", help="the id of the batch")
    for command in (cancel, delete):
        add_confirmation(command)
    for command in (create, listing, watching, results, cancel, delete):
        command.add_argument(
            "--workspace",
            metavar="NAME",
            help="the workspace of the batch, by name or id; default: the Default workspace",
        )


def _beta(text: str) -> str:
    if not BETA_NAME.match(text):
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no name of a beta")
    return text


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
            f"Batch {batch.id} has {number}. {_command(arguments, 'watch', batch.id)} shows its "
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
    makes_one = f"{_command(arguments, 'create', 'FILE')} makes one."
    form = replace(LISTED, empty=f"There are no batches{where}: {makes_one}")
    status = print_listing(arguments, [_shown(batch) for batch in batches], row_of, form)
    if not arguments.json:
        for batch in batches:
            if (hindrance := batch.hindrance) is not None:
                hint(f"{batch.id}: {hindrance}")
        if has_more:
            hint(f"There are more: --after {batches[-1].id} lists them.")
    return status


def row_of(batch: MessageBatch) -> dict[str, Any]:
    """Return the row of a batch in the listing, as `LISTED` prints it."""
    return {
        "id": batch.id,
        "status": batch.processing_status,
        "done": done_of(batch.request_counts),
        "created": day(batch.created_at),
    }


def done_of(counts: RequestCounts) -> str:
    """Return how many requests have a result, and how many of these are no answers.

    `49/50, 1 failed, 2 canceled`; a request that expired has failed, as `watch` says it.
    """
    failed = counts.errored + counts.expired
    done = counts.succeeded + failed + counts.canceled
    parts = [f"{done:,}/{done + counts.processing:,}"]
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{counts.canceled:,} canceled"] if counts.canceled else []
    return ", ".join(parts)


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
        hint(f"The batch goes on: {_command(arguments, 'watch', arguments.batch)} shows it again.")
        raise
    finally:
        display.close()
    counts = _shown(batch).request_counts
    done = (
        f"Batch {batch.id} has ended: {counts.succeeded:,} succeeded, {counts.errored:,} errored, "
        f"{counts.canceled:,} canceled, {counts.expired:,} expired. "
        f"{_command(arguments, 'results', batch.id)} prints the results."
    )
    return print_change(arguments, _shown(batch), done)


def _results(arguments: argparse.Namespace, settings: Settings) -> int:
    async def write(session: AdminSession) -> None:
        owner = await _owner(session, arguments)
        batch = await _found(arguments, lambda: session.batches.show(owner, arguments.batch))
        if batch.ended_at is None:
            done = done_of(_shown(batch).request_counts)
            raise CommandError(
                f"batch {batch.id} has not ended ({done}), and its results come then; "
                f"{_command(arguments, 'watch', batch.id)} shows its progress"
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
    done = (
        f"Batch {batch.id} is being canceled; {_command(arguments, 'watch', batch.id)} shows when "
        "it has ended."
    )
    return print_change(arguments, _shown(batch), done)


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
    adds = arguments.command is _create
    return BatchOwner(await workspace_of(session, arguments.workspace, adds=adds))


async def _found(arguments: argparse.Namespace, use: Callable[[], Awaitable[T]]) -> T:
    """Return what `use` returns; say which workspace has no such batch."""
    try:
        return await use()
    except NotFoundError as error:
        raise CommandError(
            f"there is no batch {shortened(arguments.batch)!r} in "
            f"{looked_in(arguments.workspace)}; {_command(arguments, 'list')} shows them"
        ) from error


def _command(arguments: argparse.Namespace, *words: str) -> str:
    """Return a command of this family for a message, which finds the same batches."""
    return f"`antiphon batches {shlex.join(words)}{repeated_flags(arguments)}`"


def _shown(batch: Batch) -> MessageBatch:
    """Return a batch as the API sends it. A command knows no server, so there is no URL."""
    return replace(described(batch, ""), results_url=None)
