"""`antiphon batches`: Message Batches, on the database that the servers work on or of a server.

The database is used unless a server is named, or this installation has nothing of a server.
"""

import argparse
from importlib.util import find_spec
from typing import Final

from antiphon.cli.command import (
    Command,
    ExamplesFormatter,
    actions_of,
    add_command,
    add_confirmation,
)
from antiphon.cli.listing_flags import add_limit
from antiphon.cli.talking.connection import add_connection
from antiphon.core.validation.bodies import BETA_NAME, VERSIONS
from antiphon.core.validation.versions import OLDEST
from antiphon.settings import Settings
from antiphon.wire.errors import shortened

MOST_LISTED: Final = 1000
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
    create = add_command(
        actions, "create", _via("create"), "make a batch of the requests in a file"
    )
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
    listing = add_command(actions, "list", _via("list"), "list the batches, the newest first")
    add_limit(listing, MOST_LISTED)
    listing.add_argument("--after", metavar="ID", help="only batches behind this one in the list")
    watching = add_command(
        actions, "watch", _via("watch"), "show the progress of a batch until its end"
    )
    results = add_command(
        actions,
        "results",
        _via("results"),
        "print the results of a batch that has ended",
        json=False,
    )
    results.add_argument(
        "--output", metavar="FILE", help="a new file for them; without it they are printed"
    )
    cancel = add_command(actions, "cancel", _via("cancel"), "cancel a batch; what is done stays")
    delete = add_command(actions, "delete", _via("delete"), "delete a batch that has ended")
    for command in (watching, results, cancel, delete):
        command.add_argument("batch", metavar="ID", help="the id of the batch")
    for command in (cancel, delete):
        add_confirmation(command)
    for command in (create, listing, watching, results, cancel, delete):
        command.add_argument(
            "--workspace",
            metavar="NAME",
            help="the workspace of the batch, by name or id; default: the Default workspace. Of a "
            "server that is asked, it is that of the key",
        )
        add_connection(command)


def _beta(text: str) -> str:
    if not BETA_NAME.match(text):
        raise argparse.ArgumentTypeError(f"{shortened(text)!r} is no name of a beta")
    return text


def _via(action: str) -> Command:
    """Return the command of an action, which imports what it needs when it runs."""

    def run(arguments: argparse.Namespace, settings: Settings) -> int:
        arguments.action = action
        if _asks_server(arguments):
            from antiphon.cli.server_batches import ACTIONS as THERE  # noqa: PLC0415

            return THERE[action](arguments, settings)
        from antiphon.cli.database_batches import ACTIONS as HERE  # noqa: PLC0415

        return HERE[action](arguments, settings)

    return run


def _asks_server(arguments: argparse.Namespace) -> bool:
    # Variables do not decide: where a server runs, they are set for its clients.
    return arguments.base_url is not None or find_spec("sqlalchemy") is None
