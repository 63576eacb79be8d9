"""`antiphon chat`: a conversation with a model in the terminal."""

import argparse
import sys
import time

from antiphon.cli.command import ExamplesFormatter, as_command
from antiphon.cli.message import add_asking, content_of
from antiphon.cli.talking.connection import add_connection, connect
from antiphon.settings import Settings

_EXAMPLES = """examples:
  antiphon chat
  antiphon chat --system "Answer in one sentence." --file notes.md

Ctrl-C stops an answer; Ctrl-D ends the conversation. /help lists what can be
typed besides. Nothing of a conversation is kept, unless /save writes it."""


def add_to(family: argparse.ArgumentParser) -> None:
    """Set up the command."""
    family.formatter_class = ExamplesFormatter
    family.epilog = _EXAMPLES
    as_command(family, _chat, json=False)
    family.add_argument(
        "--plain", action="store_true", help="print answers as they are, without styles"
    )
    add_asking(family)
    add_connection(family)


def _chat(arguments: argparse.Namespace, settings: Settings) -> int:
    from antiphon.cli.talking.conversation import Conversation  # noqa: PLC0415 - with the client
    from antiphon.cli.talking.lines import open_lines  # noqa: PLC0415 - loads readline

    attached = content_of("", arguments.file, arguments.image)
    with connect(arguments, settings) as connection:
        conversation = Conversation(
            connection,
            connection.model(arguments.model),
            arguments,
            lines=open_lines(sys.stdin, sys.stdout),
            styled=sys.stdout.isatty() and not arguments.plain,
            write=_write,
            now=time.monotonic,
        )
        if attached:
            conversation.attach(list(attached))  # type: ignore[arg-type] # no text, so blocks
        return conversation.run()


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
