"""How batches are shown, wherever they were read: from the database or from a server."""

import argparse
import shlex
from typing import Any, Final, Protocol

from antiphon.cli.command import repeated_flags
from antiphon.cli.output import day
from antiphon.cli.tables import TableForm

LISTED: Final = TableForm(
    empty="There are no batches.",
    texts=("done",),
    least_useful=("created",),
    folding={"created": len("2026-11-28")},
)


class Counts(Protocol):
    """The requests of a batch by their state."""

    @property
    def processing(self) -> int: ...
    @property
    def succeeded(self) -> int: ...
    @property
    def errored(self) -> int: ...
    @property
    def canceled(self) -> int: ...
    @property
    def expired(self) -> int: ...


class Shown(Protocol):
    """A batch as the API sends it."""

    @property
    def id(self) -> str: ...
    @property
    def processing_status(self) -> str: ...
    @property
    def request_counts(self) -> Counts: ...
    @property
    def created_at(self) -> str: ...


def row_of(batch: Shown) -> dict[str, Any]:
    """Return the row of a batch in the listing, as `LISTED` prints it."""
    return {
        "id": batch.id,
        "status": batch.processing_status,
        "done": done_of(batch.request_counts),
        "created": day(batch.created_at),
    }


def done_of(counts: Counts) -> str:
    """Return how many requests have a result, and how many of these are no answers.

    `49/50, 1 failed, 2 canceled`; a request that expired has failed, as `watch` says it.
    """
    failed = counts.errored + counts.expired
    done = counts.succeeded + failed + counts.canceled
    parts = [f"{done:,}/{done + counts.processing:,}"]
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{counts.canceled:,} canceled"] if counts.canceled else []
    return ", ".join(parts)


def said_of_end(arguments: argparse.Namespace, batch: Shown) -> str:
    """Return the sentence about a batch that has ended."""
    counts = batch.request_counts
    return (
        f"Batch {batch.id} has ended: {counts.succeeded:,} succeeded, {counts.errored:,} errored, "
        f"{counts.canceled:,} canceled, {counts.expired:,} expired. "
        f"{command_for(arguments, 'results', batch.id)} prints the results."
    )


def said_of_interrupt(arguments: argparse.Namespace) -> str:
    """Return what is said when somebody stops to watch."""
    again = command_for(arguments, "watch", arguments.batch)
    return f"The batch goes on: {again} shows it again."


def said_of_cancel(arguments: argparse.Namespace, batch_id: str) -> str:
    """Return what is said of a batch whose cancellation has begun."""
    shows = command_for(arguments, "watch", batch_id)
    return f"Batch {batch_id} is being canceled; {shows} shows when it has ended."


def command_for(arguments: argparse.Namespace, *words: str) -> str:
    """Return a command of this family for a message, which finds the same batches."""
    return f"`antiphon batches {shlex.join(words)}{repeated_flags(arguments)}`"
